"""What the log tells of an export that is sent as it is read: that it began, and what left."""

from __future__ import annotations

import hashlib

import structlog

from tallystick.errors import TallystickError
from tallystick.events import entry
from tallystick.events.event import Draft, Json, Op, Resource
from tallystick.exports.rows import span_of
from tallystick.identity.export_acts import CREATED, REQUESTED
from tallystick.ledger.ledger import Ledger
from tallystick.log.commit_plan import Item
from tallystick.store.base import LogHead

_log = structlog.get_logger("tallystick.exports")


class StreamAccount:
    """Counts what leaves by one request, and enters it into the log in the end."""

    def __init__(self, ledger: Ledger, head: LogHead, actor: Resource, told: Json) -> None:
        self._ledger = ledger
        self._head = head
        self._actor = actor
        self._told = told
        # Belongs to the request that sends the rows.
        self._digest = hashlib.sha256()
        self._bytes = self._count = 0
        self._range: list[int] | None = None
        self._is_told = False

    def begin(self) -> None:
        """Enter into the log that somebody takes events out; nothing may leave before.

        Raises: StoreBusy, StoreError.
        """
        self._ledger.append(self._head.tenant, [self._draft(REQUESTED, self._told)])

    def add(self, lines: bytes) -> None:
        """Count rows that were sent."""
        if not lines:
            return
        self._digest.update(lines)
        self._bytes += len(lines)
        self._count += lines.count(b"\n")
        first, last = span_of(lines)
        self._range = [first if self._range is None else self._range[0], last]

    def complete(self) -> None:
        """Enter into the log that all was sent.

        Raises: StoreBusy, StoreError.
        """
        self._is_told = True
        self._ledger.append(self._head.tenant, [self._draft(CREATED, self._sent(is_whole=True))])

    def cut_off(self) -> None:
        """Enter into the log what was sent, unless that was told; does not wait."""
        if self._is_told:
            return
        self._is_told = True
        item = Item(entry.prepare(self._draft(CREATED, self._sent(is_whole=False))))
        try:
            self._ledger.submit(self._head.tenant, [item], lambda work: None)
        except TallystickError as error:
            _log.warning("export_not_told", tenant=self._head.tenant, reason=error.message)

    def _sent(self, *, is_whole: bool) -> Json:
        return self._told | {
            "complete": is_whole,
            "count": self._count,
            "range": self._range,
            "bytes": self._bytes,
            "sha256": self._digest.hexdigest(),
        }

    def _draft(self, kind: str, told: Json) -> Draft:
        target = Resource("log", self._head.origin)
        return Draft(
            kind=kind, op=Op.SYSTEM, actor=self._actor, target=target, data=told, dialect="native"
        )
