"""Writer processes as the fault tests see them: started, listened to, paused, killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from tests.faults.writer import Orders
from tests.support.needs import ROOT


class Acknowledged(NamedTuple):
    """One event that a writer was told is stored."""

    tenant: str
    place: int
    """Its index."""
    number: str


class WriterProcess:
    """A running `tests.faults.writer`."""

    def __init__(
        self, orders: Orders, on_acknowledged: Callable[[Acknowledged], None] = lambda _: None
    ) -> None:
        self.orders = orders
        self.refused: Counter[str] = Counter()
        self.is_done = False
        self._on_acknowledged = on_acknowledged
        self._acknowledged: list[Acknowledged] = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.writer", msgspec.json.encode(orders).decode()],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    @property
    def acknowledged(self) -> list[Acknowledged]:
        """What the process was acknowledged, as far as it could say so."""
        with self._changed:
            return list(self._acknowledged)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # A kill may cut the last line short.
            if line.endswith(b"\n"):
                self._hear(line.decode().rstrip("\n"))
        with self._changed:
            self._changed.notify_all()

    def _hear(self, line: str) -> None:
        word, *rest = line.split(" ")
        if word == "done":
            self.is_done = True
        elif word == "-":
            self.refused[rest[0]] += 1
        else:
            told = Acknowledged(rest[0], int(rest[1]), rest[2])
            with self._changed:
                self._acknowledged.append(told)
                self._changed.notify_all()
            self._on_acknowledged(told)

    def wait_for(self, count: int, *, timeout_s: float = 120) -> None:
        """Wait until so many events were acknowledged, or the process has ended."""
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._acknowledged) >= count or not self._listener.is_alive(),
                timeout_s,
            )

    def kill(self) -> None:
        """Kill the process: it has no chance to do anything more."""
        self._process.kill()
        self._end()

    def pause(self) -> None:
        """Stop the process where it stands."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process go on."""
        self._process.send_signal(signal.SIGCONT)

    def finish(self) -> None:
        """Let the process finish what it has begun."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._end()
        assert self.is_done, f"writer {self.orders.name} ended with {self._process.returncode}"

    def discard(self) -> None:
        """See that nothing is left of the process, whatever became of the test."""
        if self._process.poll() is None:
            self.kill()

    def _end(self) -> None:
        self._process.wait(120)
        self._listener.join(120)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
