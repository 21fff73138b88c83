"""A real OpenSearch for tests: one node of version 2.19, made of the server's own modules."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.support import jvm
from tests.support.needs import absent, demand

PROJECT = Path(__file__).parent
START_S = 180
MEMORY = "-Xmx512m"


class OpenSearchNode(NamedTuple):
    """A node that runs."""

    address: str
    """Host and port."""
    home: Path
    """Where it keeps its data."""

    def occurrences(self, needle: bytes) -> int:
        """Return how often bytes stand in what it keeps on disk."""
        found = 0
        for path in (self.home / "data").rglob("*"):
            # It writes meanwhile, and removes files.
            with suppress(FileNotFoundError, IsADirectoryError):
                found += path.read_bytes().count(needle)
        return found


@contextmanager
def opensearch_node() -> Iterator[OpenSearchNode]:
    """Yield a node of its own, whose data goes with it."""
    demand("opensearch")
    command = jvm.compiled(PROJECT)
    with tempfile.TemporaryDirectory(prefix="tallystick-opensearch-") as made:
        home = Path(made)
        (home / "config").mkdir()
        with (home / "errors").open("wb") as errors:
            process = subprocess.Popen(
                [command[0], MEMORY, *command[1:], made],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        # A node that hangs is ended, and with it the wait for its first words.
        timer = threading.Timer(START_S, process.kill)
        timer.start()
        try:
            yield OpenSearchNode(_address(process, home), home)
        finally:
            timer.cancel()
            assert process.stdin is not None, "it was asked for"
            assert process.stdout is not None, "it was asked for"
            process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def _address(process: subprocess.Popen[str], home: Path) -> str:
    assert process.stdout is not None, "it was asked for"
    for line in process.stdout:
        if line.startswith("http "):
            return line.removeprefix("http ").strip()
    absent("opensearch", f"it does not start: {(home / 'errors').read_text()[-500:]}")
