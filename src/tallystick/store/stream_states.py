"""What a store of streams' states promises: how far each has come, what waits, what was sent.

It is no truth: a state that is lost is made again from the log, which tells once a minute how far
a stream has come. It holds positions and never content, so an erasure has nothing to look for here.

A stream is sent by one sender at a time. `acquire` makes this one the sender, and `save` writes
nothing once another has taken over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

LEASE_S = 8.0
"""How long a sender that says nothing keeps others from taking over, on a shared store."""

DELIVERIES = 1_000
"""Deliveries of a stream that are remembered."""


class Letter(NamedTuple):
    """One message that was not delivered yet: the stretch of the log that holds it.

    Shape: from `start_part` of the entry `start` to before `stop_part` of the entry `stop`.
    `due_ms` None means that it is not tried any more.
    """

    start: int
    start_part: int
    stop: int
    stop_part: int
    attempts: int
    due_ms: int | None
    problem: str


class StateRow(NamedTuple):
    """A stream's state as it is stored, and who sends the stream."""

    tenant: str
    stream: str
    doc: bytes
    owner: str


class Save(NamedTuple):
    """What changes together: the state, letters that wait or are dead, and those that are over."""

    doc: bytes
    deliveries: Sequence[bytes] = ()
    letters: Sequence[Letter] = ()
    settled: Sequence[Letter] = ()


class StreamStates(Protocol):
    """States of streams; safe to share between threads."""

    def acquire(self, tenant: str, stream: str) -> bool:
        """Become the sender of a stream, or stay it; tell whether this one is."""

    def release(self, tenant: str, stream: str) -> None:
        """Let another sender take over at once."""

    def load(self, tenant: str, stream: str) -> bytes | None:
        """Return the state of a stream, if it has one."""

    def save(self, tenant: str, stream: str, save: Save) -> bool:
        """Write what changed, all of it or nothing, durably; tell whether this one is the sender.

        Raises: StoreBusy, StoreFailed.
        """

    def all(self) -> list[StateRow]:
        """Return the states of all streams."""

    def deliveries(self, tenant: str, stream: str, limit: int) -> list[bytes]:
        """Return the latest deliveries of a stream, latest first."""

    def due(self, tenant: str, stream: str, now_ms: int, limit: int) -> list[Letter]:
        """Return letters that are to be tried now, those that wait longest first."""

    def dead(self, tenant: str, stream: str, limit: int) -> list[Letter]:
        """Return dead letters, in the order of the log."""

    def counts(self, tenant: str, stream: str) -> tuple[int, int]:
        """Return how many letters wait, and how many are dead."""

    def revive(self, tenant: str, stream: str, now_ms: int) -> None:
        """Let all dead letters be tried again, as if they had never been."""

    def forget(self, tenant: str, stream: str) -> None:
        """Remove all that is kept of a stream."""

    def close(self) -> None:
        """Release files and connections; idempotent."""
