"""Sealing and merging blocks.

A block is sealed within the transaction that fills it. Merging happens afterwards in small steps
while slices come in between; only its end is a transaction. Blocks whose rows were erased are
rewritten after a while, since terms of what was destroyed should not outlive it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import apsw

from tallystick import durable
from tallystick.index.lists import merge
from tallystick.index.lists.merge import Merged
from tallystick.index.lists.open_block import OpenBlock
from tallystick.index.lists.row_set import ROWS_MAX, upwards
from tallystick.index.lists.sealed_block import Segment
from tallystick.index.lists.tenant_blocks import (
    ROW_BITS,
    Shelf,
    block_path,
    transaction,
    translated,
)

_SMALL_ROWS = ROWS_MAX // 2
_ENOUGH_ROWS = ROWS_MAX * 3 // 4


class _Job(NamedTuple):
    shelf: Shelf
    sources: Sequence[Segment]
    gone: Sequence[int]
    erased: int
    path: Path
    steps: Generator[None, None, Merged]


class Tidier:
    """Writes and removes the files of blocks in one folder."""

    def __init__(
        self,
        folder: Path,
        connection: apsw.Connection,
        *,
        merged_blocks: int,
        purge_after_s: float,
    ) -> None:
        self.folder = folder
        self._connection = connection
        self._merged_blocks = merged_blocks
        self._purge_after_s = purge_after_s
        self._purged_s = time.monotonic()
        self._job: _Job | None = None
        self._useless: list[Path] = []
        self._remove_strangers()

    def seal(self, shelf: Shelf) -> None:
        """Turn the open block into a file and open another, in the caller's transaction."""
        block, path = shelf.open, block_path(self.folder, shelf.open.id)
        merged = merge.seal(block, path.with_suffix(".new"))
        self._drop_rows("arrivals", block.id)
        self._drop_rows("gone", block.id)
        execute = self._connection.execute
        if merged.rows:
            self._publish(path.with_suffix(".new"), path)
            execute(
                "UPDATE blocks SET sealed = 1, rows = ?, gone = 0, erased = 0, "
                " bytes = ?, digest = ? WHERE id = ?",
                (merged.rows, *merged.file, block.id),
            )
            shelf.sealed.append(Segment(block.id, path, merged.file.digest))
        else:
            path.with_suffix(".new").unlink()
            execute("DELETE FROM blocks WHERE id = ?", (block.id,))
        execute("INSERT INTO blocks VALUES (NULL, ?, 0, 0, 0, 0, 0, x'')", (shelf.number,))
        shelf.open = OpenBlock(self._connection.last_insert_rowid())

    @property
    def shelf(self) -> Shelf | None:
        """The shelf whose blocks are being merged: it has to stay in memory until that is done."""
        return None if self._job is None else self._job.shelf

    def step(self, shelves: Iterable[Shelf], shelf_of: Callable[[str], Shelf]) -> bool:
        """Take a step of the merge under way, or begin one; tell whether there was one."""
        if self._job is None:
            self._job = self._next_job(shelves, shelf_of)
            return self._job is not None
        try:
            next(self._job.steps)
        except StopIteration as stop:
            job, self._job = self._job, None
            self._finish(job, stop.value)
        return True

    def forget(self) -> None:
        """Give up the merge under way."""
        self._job = None

    def delete_files(self) -> None:
        """Delete the files that no row names any more, once that is stored."""
        for path in self._useless:
            path.unlink(missing_ok=True)
        self._useless.clear()

    def _next_job(self, shelves: Iterable[Shelf], shelf_of: Callable[[str], Shelf]) -> _Job | None:
        for shelf in shelves:
            sources = _crowd(shelf.sealed, self._merged_blocks)
            if sources:
                return self._new_job(shelf, sources)
        if time.monotonic() - self._purged_s < self._purge_after_s:
            return None
        with translated():
            row = self._connection.execute(
                "SELECT t.tenant, b.id FROM blocks AS b JOIN tenants AS t ON t.number = b.tenant"
                " WHERE b.sealed AND b.erased > 0 LIMIT 1"
            ).fetchone()
        if row is None:
            # While there are any, they are rewritten one after the other.
            self._purged_s = time.monotonic()
            return None
        shelf = shelf_of(row[0])
        return self._new_job(shelf, [block for block in shelf.sealed if block.id == row[1]])

    def _new_job(self, shelf: Shelf, sources: Sequence[Segment]) -> _Job:
        path = self.folder / "merged.new"
        steps = merge.merge_steps(sources, path)
        gone = [block.gone for block in sources]
        # Ranks are given now, for the rows that are there now.
        next(steps)
        return _Job(shelf, sources, gone, self._erased(sources), path, steps)

    def _finish(self, job: _Job, merged: Merged) -> None:
        """Put the merged block in the place of its sources."""
        execute = self._connection.execute
        erased = self._erased(job.sources) - job.erased
        # The sources' files are deleted next: their end must be on disk before.
        with translated():
            execute("PRAGMA synchronous = FULL")
        with transaction(self._connection, "IMMEDIATE"):
            late = _gone_meanwhile(job, merged)
            for block in job.sources:
                self._drop_rows("gone", block.id)
                execute("DELETE FROM blocks WHERE id = ?", (block.id,))
            block_id = None
            if merged.rows:
                execute(
                    "INSERT INTO blocks VALUES (NULL, ?, 1, ?, ?, ?, ?, ?)",
                    (job.shelf.number, merged.rows, len(late), erased, *merged.file),
                )
                block_id = self._connection.last_insert_rowid()
                base = block_id << ROW_BITS
                self._connection.executemany(
                    "INSERT INTO gone VALUES (?)", [(base + row,) for row in late]
                )
                self._publish(job.path, block_path(self.folder, block_id))
            execute("UPDATE tenants SET shape = shape + 1 WHERE number = ?", (job.shelf.number,))
        with translated():
            execute("PRAGMA synchronous = NORMAL")
        job.shelf.shape += 1
        kept = [block for block in job.shelf.sealed if block not in job.sources]
        if block_id is not None:
            block = Segment(block_id, block_path(self.folder, block_id), merged.file.digest)
            for row in late:
                block.gone |= 1 << row
            kept.append(block)
        job.shelf.sealed = kept
        self._useless += [block_path(self.folder, block.id) for block in job.sources]
        self.delete_files()

    def _erased(self, blocks: Sequence[Segment]) -> int:
        with translated():
            counts = [
                self._connection.execute("SELECT erased FROM blocks WHERE id = ?", (block.id,)).get
                for block in blocks
            ]
        return sum(counts)

    def _drop_rows(self, table: str, block: int) -> None:
        self._connection.execute(
            f"DELETE FROM {table} WHERE pos >= ? AND pos < ?",
            (block << ROW_BITS, (block + 1) << ROW_BITS),
        )

    def _publish(self, new: Path, path: Path) -> None:
        """Give a finished file its name, for good."""
        durable.rename_file(new, path)

    def _remove_strangers(self) -> None:
        """Remove what a crash left: files that no row names."""
        with translated():
            rows = self._connection.execute("SELECT id FROM blocks WHERE sealed")
            known = {block_path(self.folder, id) for (id,) in rows}
        for path in (*self.folder.glob("*.block"), *self.folder.glob("*.new")):
            if path not in known:
                with suppress(FileNotFoundError):
                    path.unlink()


def _crowd(blocks: Sequence[Segment], enough_blocks: int) -> list[Segment]:
    """Return small blocks that together are worth one of full size, the oldest first."""
    chosen: list[Segment] = []
    rows = 0
    for block in blocks:
        alive = block.alive
        if alive >= _SMALL_ROWS:
            continue
        if rows + alive > ROWS_MAX:
            break
        chosen.append(block)
        rows += alive
    enough = len(chosen) >= enough_blocks or (len(chosen) > 1 and rows >= _ENOUGH_ROWS)
    return chosen if enough else []


def _gone_meanwhile(job: _Job, merged: Merged) -> list[int]:
    late: list[int] = []
    for block, gone, ranks in zip(job.sources, job.gone, merged.ranks, strict=True):
        late += [ranks[row] for row in upwards(block.gone & ~gone, 0)]
    return sorted(late)
