"""The file of an export: rows in one of the formats, as of the size of the log it is pinned to.

Rows go to a file beside the target, with a note of how far it is after each stretch; a run that was
killed goes on behind the latest note. A format that is no sequence of rows is made of lines of JSON
in a second step, which begins again when it is cut off.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from tallystick.durable import flush_file, rename_file, replace_file
from tallystick.errors import StoreCorrupt, StoreFailed
from tallystick.events.event import Json
from tallystick.exports.formats import FORMATS, Source, rows_of
from tallystick.exports.jobs.files import FileKind, FileOrder, Progress, WrittenFile
from tallystick.exports.rows import export_slices, span_of
from tallystick.identity.export_acts import CREATED
from tallystick.identity.makers import rights_digest
from tallystick.json_text import NOT_JSON
from tallystick.limits import EXPORT_FREE_BYTES
from tallystick.query.expr import all_of
from tallystick.query.native_filter import from_words
from tallystick.store.base import Store

_NOTED_EVERY_BYTES = 32 * 1024 * 1024
_PIECE = 1024 * 1024


class _Note(msgspec.Struct):
    """How far the rows of a file are: those of the entries before `next` are on disk."""

    rights: str
    next: int = 0
    bytes: int = 0
    events: int = 0
    first_index: int | None = None
    last_index: int | None = None


def events_file(store: Store) -> FileKind:
    """Return the kind of file that holds events of a store."""
    return FileKind(lambda *asked: _Writing(store, *asked).run(), _entry)


def _entry(order: FileOrder, written: WrittenFile) -> tuple[str, Json]:
    told: Json = {
        "format": order.job.format,
        "query": {name: list(values) for name, values in order.words.items()},
        "size": order.job.size,
        "count": written.events,
        "range": None if written.first_index is None else [written.first_index, written.last_index],
        "bytes": written.bytes,
        "sha256": written.sha256,
    }
    return CREATED, told


class _Writing:
    """One file while it is written."""

    def __init__(self, store: Store, order: FileOrder, target: Path, progress: Progress) -> None:
        head = store.log_head(order.job.tenant)
        if head is None:
            raise StoreCorrupt(f"tenant {order.job.tenant!r} has no log")
        self._store = store
        self._order = order
        self._progress = progress
        self._target = target
        self._source = Source(head.origin)
        self._rows = target.with_name("rows")
        self._noted = target.with_name("rows.json")
        self._made = target.with_name("made")
        self._form = FORMATS[order.job.format]
        self._note = _Note(rights_digest(order.job.id, order.visible))

    def run(self) -> WrittenFile:
        """Write the file and return what stands in it.

        Raises: OSError, StoreCorrupt, StoreFailed.
        """
        self._write_rows()
        made = self._rows
        if self._form.convert is not None:
            made = self._made
            with self._rows.open("rb") as rows, made.open("wb") as file:
                self._form.convert(rows, file, self._source)
                flush_file(file)
        with made.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = file.seek(0, 2)
        rename_file(made, self._target)
        self._rows.unlink(missing_ok=True)
        self._noted.unlink()
        note = self._note
        return WrittenFile(
            sha256=digest,
            bytes=size_bytes,
            events=note.events,
            first_index=note.first_index,
            last_index=note.last_index,
        )

    def _write_rows(self) -> None:
        order, size = self._order, self._order.job.size
        where = all_of((from_words(order.words).where(), order.visible))
        self._resume()
        with self._opened() as file:
            at_bytes = self._note.bytes
            slices = export_slices(
                self._store, order.job.tenant, where, start=self._note.next, size=size
            )
            self._progress(self._note.next, size)
            for part in slices:
                self._add(file, part.body)
                self._note.next = part.following
                self._progress(part.following, size)
                if self._note.bytes - at_bytes >= _NOTED_EVERY_BYTES:
                    at_bytes = self._note.bytes
                    self._keep_note(file)
            self._note.next = size
            self._keep_note(file)

    def _resume(self) -> None:
        with contextlib.suppress(FileNotFoundError, *NOT_JSON):
            note = msgspec.json.decode(self._noted.read_bytes(), type=_Note)
            if note.rights == self._note.rights and self._rows.stat().st_size >= note.bytes:
                self._note = note
                return
        self._rows.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        self._rows.touch(mode=0o600)
        with self._rows.open("r+b") as file:
            file.truncate(self._note.bytes)
            file.seek(self._note.bytes)
            if self._note.bytes == 0:
                self._write(file, self._form.head)
            yield file

    def _add(self, file: IO[bytes], lines: bytes) -> None:
        if not lines:
            return
        note = self._note
        first, last = span_of(lines)
        note.first_index = first if note.first_index is None else note.first_index
        note.last_index = last
        note.events += lines.count(b"\n")
        self._write(file, rows_of(self._form, lines, self._source))

    def _write(self, file: IO[bytes], data: bytes) -> None:
        file.write(data)
        self._note.bytes += len(data)

    def _keep_note(self, file: IO[bytes]) -> None:
        if shutil.disk_usage(self._rows.parent).free < EXPORT_FREE_BYTES:
            raise StoreFailed("the disk is almost full", hint="delete exports, or make room")
        # The rows first: a note of rows that are not on disk would leave a gap.
        flush_file(file)
        replace_file(self._noted, msgspec.json.encode(self._note))
