"""Real witnesses on sockets, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from tallystick.clock import SystemClock
from tallystick.http.connection import Protocol
from tallystick.http.server import PromptServer
from tallystick.http.witness_app import witness_app
from tallystick.witness.cosign import Witness


@contextlib.contextmanager
def running_witness(folder: Path, port: int = 0) -> Iterator[str]:
    """Serve the witness in a folder until the block ends; yield its URL."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    keeper = Witness(folder, SystemClock())
    config = uvicorn.Config(
        witness_app(keeper), http=Protocol, ws="none", lifespan="off", log_config=None,
        access_log=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = PromptServer(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    try:
        while not server.started:
            thread.join(0.005)
            assert thread.is_alive(), "the witness did not start"
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        keeper.close()
        listener.close()
