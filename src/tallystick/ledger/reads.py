"""Who looked: reads of a tenant's log as entries of that log, for tenants that want them.

Reads are coalesced by credential, query and minute, and written when the minute is over, many in
one commit. A `strict` tenant gets an entry of a read before the read is answered, and the counts
when the minute is over. Writing these entries is no read, so nothing recurs.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

import structlog

from tallystick import times
from tallystick.errors import TallystickError, for_operator
from tallystick.events.event import Draft, Json, Op, Resource
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.person import ACCESS_KIND

_MINUTE_MS = 60_000
_LOOK_S = 2.0
_DRAFTS = 256
_NAMED_INDEXES = 1_000
_KEYS_MAX = 50_000
"""Reads of different kinds that wait to be written; of more, the oldest are given up, aloud."""

_log = structlog.get_logger("tallystick.reads")


class LogRead(NamedTuple):
    """One read: whose, what was asked, and of which entries the answer is made."""

    tenant: str
    actor: Resource
    query: str
    indexes: Collection[int]


class _Key(NamedTuple):
    tenant: str
    minute: int
    type: str
    id: str
    query: str


class _Reads:
    """Reads of one kind within a minute."""

    __slots__ = ("actor", "events", "high", "indexes", "low", "requests")

    def __init__(self, actor: Resource) -> None:
        self.actor = actor
        self.requests = 0
        self.events = 0
        self.low: int | None = None
        self.high = 0
        self.indexes: set[int] = set()

    def add(self, indexes: Collection[int]) -> None:
        self.requests += 1
        if not indexes:
            return
        low, high = min(indexes), max(indexes)
        self.low = low if self.low is None else min(self.low, low)
        self.high = max(self.high, high)
        self.events += len(indexes)
        if len(self.indexes) < _NAMED_INDEXES:
            self.indexes.update(indexes)

    def told(self, key: _Key) -> Json:
        told: Json = {
            "query": key.query,
            "minute": times.to_rfc3339(key.minute * _MINUTE_MS),
            "requests": self.requests,
            "events": self.events,
        }
        if self.low is not None:
            told["range"] = [self.low, self.high + 1]
            if len(self.indexes) <= _NAMED_INDEXES:
                told["entries"] = list(_stretches(self.indexes))
        return told


class ReadLog:
    """Writes down who looked; safe to share between threads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        # Guards what waits, and the thread that writes it.
        self._lock = threading.Lock()
        self._waiting: dict[_Key, _Reads] = {}
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def note(self, read: LogRead) -> None:
        """Count a read; its entry follows when the minute is over. Never waits for a disk."""
        key = self._key(read)
        with self._lock:
            self._count(key, read)
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="reads", daemon=True)
                self._thread.start()

    def require(self, read: LogRead) -> None:
        """Count a read of which an entry is on disk when this returns.

        Raises: StoreBusy, SequencerFull and what else keeps an entry from being written: then there
        is to be no read.
        """
        key = self._key(read)
        with self._lock:
            is_known = key in self._waiting
        if not is_known:
            first = _Reads(read.actor)
            first.add(read.indexes)
            self._ledger.append(read.tenant, [_draft(key, first)])
        self.note(read)

    def flush(self, *, before: int | None = None) -> None:
        """Write the entries of minutes before one, or (None) of all that waits."""
        with self._lock:
            keys = sorted(k for k in self._waiting if before is None or k.minute < before)
            due = [(key, self._waiting.pop(key)) for key in keys]
        for tenant, part in groupby(due, key=lambda each: each[0].tenant):
            self._write(tenant, list(part))

    def close(self) -> None:
        """Write what waits and stop; idempotent."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _key(self, read: LogRead) -> _Key:
        minute = self._ledger.clock.now_ms() // _MINUTE_MS
        return _Key(read.tenant, minute, *read.actor.key, read.query)

    def _count(self, key: _Key, read: LogRead) -> None:
        reads = self._waiting.get(key)
        if reads is None:
            if len(self._waiting) >= _KEYS_MAX:
                given_up = next(iter(self._waiting))
                del self._waiting[given_up]
                _log.error("read_not_recorded", tenant=given_up.tenant)
            reads = self._waiting[key] = _Reads(read.actor)
        reads.add(read.indexes)

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            self.flush(before=self._ledger.clock.now_ms() // _MINUTE_MS)

    def _write(self, tenant: str, due: list[tuple[_Key, _Reads]]) -> None:
        for at in range(0, len(due), _DRAFTS):
            part = due[at : at + _DRAFTS]
            try:
                self._ledger.append(tenant, [_draft(key, reads) for key, reads in part])
            except TallystickError as error:
                _log.error("reads_not_recorded", tenant=tenant, reason=for_operator(error))
                with self._lock:
                    if not self._stopping.is_set():
                        self._waiting = {**dict(part), **self._waiting}
                return


def _draft(key: _Key, reads: _Reads) -> Draft:
    # The target is no record of identity; without one, `fsck` would take the entry for a gap.
    return Draft(
        kind=ACCESS_KIND,
        op=Op.SYSTEM,
        actor=reads.actor,
        target=Resource("reads", key.tenant),
        data=reads.told(key),
    )


def _stretches(indexes: Iterable[int]) -> Iterator[list[int]]:
    """Yield indexes as stretches [start, stop)."""
    first = last = None
    for index in sorted(indexes):
        if first is None or last is None:
            first = index
        elif index != last + 1:
            yield [first, last + 1]
            first = index
        last = index
    if first is not None and last is not None:
        yield [first, last + 1]
