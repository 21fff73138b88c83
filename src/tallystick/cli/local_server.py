"""A server for the time of one command, on a data folder that nobody else has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tallystick.data_folder import SOCKET_FILE
from tallystick.dialects import DIALECTS
from tallystick.http.app import App
from tallystick.http.server import in_thread
from tallystick.node.node import open_node
from tallystick.settings import Settings


@contextlib.contextmanager
def local_server(folder: Path, settings: Settings) -> Iterator[Path]:
    """Yield the control socket of a server that stops when the block ends.

    Raises: StoreLocked when another process has the folder.
    """
    node = open_node(folder, settings, followers=False)
    try:
        with in_thread(App(node, DIALECTS), folder / SOCKET_FILE) as socket:
            yield socket
    finally:
        node.close()
