"""How far a stream has come, as its sender keeps it: positions, times and texts, no content."""

from __future__ import annotations

import random

import msgspec

from tallystick import limits
from tallystick.subscriptions.changes import LogPosition

ORDERED_S_MAX = 300.0
DISABLE_AFTER_MS = 5 * 24 * 3600 * 1000
"""How long a receiver may take nothing at all before its stream is disabled."""

RETRY_AFTER_S_MAX = 24 * 3600.0

_HOUR_S = 3600.0
LADDER_S = (5.0, 300.0, 1800.0, 2 * _HOUR_S, 5 * _HOUR_S, *[10 * _HOUR_S] * 6)
"""How long a message of a parallel stream waits before each further attempt: nearly three days."""


class StoredPosition(msgspec.Struct, frozen=True, array_like=True):
    """A position in a log, as it is stored."""

    index: int
    part: int = 0
    leaf: bytes = b""

    @classmethod
    def of(cls, position: LogPosition) -> StoredPosition:
        """Return a position as it is stored."""
        return cls(*position)

    @property
    def position(self) -> LogPosition:
        """The position to read on from."""
        return LogPosition(self.index, self.part, self.leaf)


class Halt(msgspec.Struct, frozen=True):
    """Why a sender stopped; it goes on in a later run than this one."""

    run: int
    state: str
    reason: str


class StreamProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of one stream."""

    salt: str
    """Of the stream that it is the state of, and no later one of the same name."""
    epoch: int
    at: StoredPosition
    """Everything before it was delivered, or waits as a letter."""
    pending: StoredPosition | None = None
    """Where the delivery under way ends: a retry is of the same stretch."""
    replay: int = 0
    """Number of the latest replay that was begun."""
    replay_at: StoredPosition | None = None
    """How far that has come; None once it is done."""
    replay_pending: StoredPosition | None = None
    revived: int = 0
    run: int = 1
    attempts: int = 0
    retry_ms: int = 0
    failing_since_ms: int | None = None
    problem: str | None = None
    """What the latest attempt failed with; None after a delivery."""
    delivered_ms: int | None = None
    total: int = 0
    """Events delivered since the stream was created."""
    requests: int = 0
    failures: int = 0
    """Requests that were not taken, of all since the stream was created."""
    halt: Halt | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt, for the delivery log."""

    id: str
    at_ms: int
    start: int
    stop: int
    events: int
    attempt: int
    took_ms: int
    status: int | None = None
    problem: str | None = None
    note: str | None = None


def ordered_wait_s(attempts: int, retry_after_s: float | None) -> float:
    """Return how long an ordered stream waits after so many attempts in a row that failed."""
    longest = min(2.0 ** min(attempts - 1, 16), ORDERED_S_MAX)
    return _at_least(longest * random.uniform(0.5, 1.0), retry_after_s)  # noqa: S311  # jitter


def ladder_wait_s(attempts: int, retry_after_s: float | None) -> float | None:
    """Return how long a message waits after so many attempts; None when it is given up."""
    if attempts > len(LADDER_S):
        return None
    wait_s = LADDER_S[attempts - 1] * random.uniform(0.9, 1.1)  # noqa: S311  # jitter
    return _at_least(wait_s, retry_after_s)


def _at_least(wait_s: float, retry_after_s: float | None) -> float:
    return max(wait_s, min(retry_after_s or 0.0, RETRY_AFTER_S_MAX))


PROBLEM_CHARS = limits.NAME_BYTES
"""How much of a problem is kept."""
