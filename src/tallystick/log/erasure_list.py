"""The list of erasures: what was erased where, outside the store, so that it survives a restore.

A backup that is older than an erasure still has what was erased. The list, one JSON object a line,
tells positions and nothing else; a restore erases them again. It stands in the data folder
and, by setting, in a second file. Lines are on disk before an erasure is acknowledged; what is
missing after a crash is taken from the log at the next start.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from tallystick import durable
from tallystick.errors import StoreCorrupt
from tallystick.events import entry, erased_sections
from tallystick.events.entry import section_bits, sections_of_bits
from tallystick.events.erased_sections import ErasedSections
from tallystick.json_text import NOT_JSON
from tallystick.store.base import Erasure, LogHead, Store

_STEP = 4_096
_log = structlog.get_logger(__name__)


class ErasureLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was erased in a log while it grew to a size; without `erased`, it was looked at."""

    tenant: str
    origin: str
    size: int
    erased: tuple[tuple[int, int], ...] = ()
    """Positions, each with its sections as bits."""


_decoder = msgspec.json.Decoder(ErasureLine)


class ErasureList:
    """Keeps the list in one or more files; safe to share between threads."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._lock = threading.Lock()  # one line after the other
        # What was committed and not written yet; appended by the sequencer's threads.
        self._pending: deque[ErasureLine] = deque()

    def lines(self) -> Iterator[ErasureLine]:
        """Yield what all files tell; a line may come more than once.

        Raises: StoreCorrupt for a line that does not decode, unless a crash cut it off.
        """
        for path in self._paths:
            yield from read_lines(path)

    def committed(self, heads: Iterable[LogHead], erased: Mapping[str, Sequence[Erasure]]) -> None:
        """Note erasures of a commit, for `flush` to write: a flush to disk is not for commits."""
        if erased:
            self._pending.extend(
                ErasureLine(head.tenant, head.origin, head.size, _positions(erased[head.tenant]))
                for head in heads
                if head.tenant in erased
            )

    def flush(self) -> None:
        """Write what was noted; on return it is on disk, whichever thread wrote it."""
        with self._lock:
            lines: list[ErasureLine] = []
            while self._pending:
                lines.append(self._pending.popleft())
            if lines:
                self._write(lines)

    def catch_up(self, store: Store) -> None:
        """Note erasures that the logs tell of and the list does not.

        Cost: one read of the entries since the last start, of all entries the first time.
        """
        seen: dict[str, int] = {}
        for line in self.lines():
            seen[line.origin] = max(line.size, seen.get(line.origin, 0))
        for head in store.log_heads():
            start = seen.get(head.origin, 0)
            if start < head.size:
                found = tuple(
                    position
                    for index in erase_entries(store, head.tenant, start, head.size)
                    for position in _told_at(store, head.tenant, index)
                )
                self._pending.append(ErasureLine(head.tenant, head.origin, head.size, found))
        self.flush()

    def _write(self, lines: Iterable[ErasureLine]) -> None:
        text = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        for path in self._paths:
            try:
                durable.append_lines(path, text)
            except OSError as error:
                # It is in the log, and the next start reads it from there.
                _log.error("erasure_not_listed", path=str(path), reason=error.strerror)


def unerased(store: Store, lines: Iterable[ErasureLine]) -> dict[str, dict[int, tuple[str, ...]]]:
    """Return, by tenant and index, sections that a list says were erased and that are there."""
    heads = {head.origin: head for head in store.log_heads()}
    wanted: dict[str, dict[int, int]] = {}
    for line in lines:
        head = heads.get(line.origin)
        if head is not None:
            of_log = wanted.setdefault(head.tenant, {})
            for index, bits in line.erased:
                if index < head.size:
                    of_log[index] = of_log.get(index, 0) | bits
    found: dict[str, dict[int, tuple[str, ...]]] = {}
    for tenant, of_log in wanted.items():
        indexes = sorted(of_log)
        for at in range(0, len(indexes), _STEP):
            rows = store.rows_at(tenant, indexes[at : at + _STEP])
            for index, row in sorted(rows.items()):
                there = zip(entry.SECTIONS, row.sections, strict=True)
                present = [name for name, value in there if value is not None]
                sections = sections_of_bits(of_log[index], present)
                if sections:
                    found.setdefault(tenant, {})[index] = sections
    return found


def read_lines(path: Path) -> Iterator[ErasureLine]:
    """Yield the lines of one file; none if it does not exist.

    Raises: StoreCorrupt.
    """
    try:
        texts = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreCorrupt(f"{path} cannot be read: {error.strerror}") from error
    for number, text in enumerate(texts, 1):
        if not text:
            continue
        try:
            yield _decoder.decode(text)
        except NOT_JSON as error:
            # A crash cuts off a line; the next one begins after it.
            if number < len(texts) and text.endswith(b"}"):
                raise StoreCorrupt(f"{path}, line {number}: no erasure") from error


def _positions(erasures: Iterable[Erasure | ErasedSections]) -> tuple[tuple[int, int], ...]:
    return tuple((erasure.index, section_bits(erasure.sections)) for erasure in erasures)


def erase_entries(store: Store, tenant: str, start: int, stop: int) -> Iterator[int]:
    """Yield where the entries of [start, stop) stand that destroyed something."""
    for at in range(start, stop, _STEP):
        for index, text in enumerate(store.entries(tenant, at, min(at + _STEP, stop)), at):
            if b'"op":"erase"' in text:
                yield index


def _told_at(store: Store, tenant: str, index: int) -> tuple[tuple[int, int], ...]:
    row = store.rows_at(tenant, [index])[index]
    return _positions(erased_sections.decode(entry.decode(tenant, index, row.entry, row.sections)))
