"""Writing an evidence bundle: one ZIP with events, their proofs and two verifiers.

It is written in two steps. The first reads the log and fills spools in a folder beside the bundle,
noting after each stretch how far it is; a run that was killed goes on from there. The second puts
the spools, the tiles and the proofs together and renames the result. The same size of the log and
the same question give the same bytes. What was erased meanwhile must not come out of an old spool:
then everything is begun again. Source: `docs/design/bundle.md`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from array import array
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from tallystick.durable import flush_file, rename_file, replace_file
from tallystick.errors import Malformed, StoreCorrupt
from tallystick.events.event import Json
from tallystick.evidence.rows import (
    CSV_HEAD,
    entry_line,
    event_lines,
    fields_of,
    sections_line,
)
from tallystick.evidence.selection import Question, SelectedEntries, erased_since, select
from tallystick.evidence.summary_page import summary_page
from tallystick.evidence.zip_writer import ZipWriter
from tallystick.json_text import NOT_JSON
from tallystick.log.proofs import KeptHashes, StoreHashes
from tallystick.store.base import LogRow, Store
from tallystick.tlog.checkpoint import sign_checkpoint
from tallystick.tlog.encoding import to_base64
from tallystick.tlog.note import Signer
from tallystick.tlog.proof import inclusion_proof, root_from_reader
from tallystick.tlog.tile import TILE_WIDTH, path, tile_width, tiles_at

FORMAT: Final = "tallystick-bundle/1"
PROOF_HEAD: Final = "c2sp.org/tlog-proof@v1"
VERIFIERS: Final = ("verify.html", "verify.py")
_SPOOLS: Final = ("entries.ndjson", "sections.ndjson", "events.ndjson", "events.csv")
_PROGRESS: Final = "progress.json"
_AT_ONCE: Final = 256
_NOTED_EVERY: Final = 16  # stretches between two notes of how far it is
_RETRIES: Final = 8

Progress = Callable[[int, int], None]


class Progressed(msgspec.Struct):
    """How far the spools of a bundle are."""

    question: str
    head_size: int
    """Size of the log when the spools were begun: later erasures stand behind it."""
    done: int = 0
    events: int = 0
    later_erasures: bool = False
    lengths: dict[str, int] = {}


class WrittenBundle(NamedTuple):
    """A bundle that was written."""

    sha256: str
    size: int
    entries: int
    events: int
    begun_again: bool
    """Whether spools of an earlier run were given up, because something was erased since."""


class BundleWriter:
    """Writes the bundle of one question."""

    def __init__(self, store: Store, signer: Signer, question: Question, told: Json) -> None:
        """Prepare a bundle; `told` is the question as people asked it.

        Raises: Malformed for a size or range that the log does not have.
        """
        head = store.log_head(question.tenant)
        if head is None or not 0 <= question.size <= head.size:
            raise Malformed(f"the log has {head.size if head else 0:,} entries", path="at")
        if not 0 <= question.start <= question.stop <= question.size:
            raise Malformed(f"a range lies within 0 and {question.size:,}", path="range")
        self._store = store
        # One signature, also while two keys sign the log: the same bytes before and after.
        self._signer = signer.alone()
        self._question = question
        self._told = told
        self._hashes = KeptHashes(StoreHashes(store, question.tenant))
        self._identity = hashlib.sha256(
            json.dumps(
                [
                    FORMAT,
                    str(signer.verifier),
                    repr(question),
                    told,
                    *map(verifier_digest, VERIFIERS),
                ],
                sort_keys=True,
            ).encode()
        ).hexdigest()

    def write(
        self, target: Path, *, progress: Progress = lambda done, total: None
    ) -> WrittenBundle:
        """Write the bundle to a file, going on where a killed run stopped.

        Raises: OSError, StoreCorrupt.
        """
        folder = target.with_name(f"{target.name}.part")
        begun_again = False
        for _ in range(_RETRIES):
            folder.mkdir(mode=0o700, exist_ok=True)
            state, is_stale = self._begun(folder)
            begun_again = begun_again or is_stale
            selected = select(self._store, self._question)
            self._fill(folder, selected, state, progress)
            self._assemble(folder, selected, state)
            if not self._erased_since(state):
                break
            begun_again = True
            shutil.rmtree(folder)
        else:
            raise StoreCorrupt("something is erased over and over: export again later")
        digest = _finish(folder / "bundle", target)
        shutil.rmtree(folder)
        size = self._question.size
        return WrittenBundle(digest, size, len(selected.indexes), state.events, begun_again)

    # First step: spools

    def _begun(self, folder: Path) -> tuple[Progressed, bool]:
        """Return how far an earlier run came, and whether one had to be given up."""
        is_stale = False
        with contextlib.suppress(FileNotFoundError, *NOT_JSON):
            state = msgspec.json.decode((folder / _PROGRESS).read_bytes(), type=Progressed)
            if state.question == self._identity:
                if not self._erased_since(state):
                    return state, False
                is_stale = True
        for name in (*_SPOOLS, _PROGRESS, "bundle", "directory"):
            (folder / name).unlink(missing_ok=True)
        head = self._store.log_head(self._question.tenant)
        assert head is not None, "the log was there when the bundle was prepared"
        return Progressed(self._identity, head.size), is_stale

    def _erased_since(self, state: Progressed) -> bool:
        head = self._store.log_head(self._question.tenant)
        if head is None:
            raise StoreCorrupt("the log is gone")
        return erased_since(self._store, self._question.tenant, state.head_size, head.size)

    def _fill(
        self, folder: Path, selected: SelectedEntries, state: Progressed, progress: Progress
    ) -> None:
        erased = {index for _, indexes in selected.changes.erasures for index in indexes}
        with contextlib.ExitStack() as stack:
            spools = {name: stack.enter_context(_spool(folder / name, state.lengths.get(name, 0)))
                      for name in _SPOOLS}  # fmt: skip
            if state.done == 0:
                spools["events.csv"].write(CSV_HEAD)
            total = len(selected.indexes)
            for stretch, rows in enumerate(self._stretches(selected.indexes, state.done), 1):
                shown = self._shown(selected, rows)
                for row in rows:
                    self._spool_row(row, shown, spools, state)
                    if not erased.issuperset((row.index,)) and _is_cut(row):
                        state.later_erasures = True
                state.done += len(rows)
                progress(state.done, total)
                if stretch % _NOTED_EVERY == 0 or state.done == total:
                    _note(folder, spools, state)

    def _stretches(self, indexes: array[int], start: int) -> Iterator[list[LogRow]]:
        for at in range(start, len(indexes), _AT_ONCE):
            wanted = list(indexes[at : at + _AT_ONCE])
            rows = self._store.rows_at(self._question.tenant, wanted)
            missing = [index for index in wanted if index not in rows]
            if missing:
                raise StoreCorrupt(f"entry {missing[0]} is missing")
            yield [rows[index] for index in wanted]

    def _shown(self, selected: SelectedEntries, rows: Iterable[LogRow]) -> dict[int, LogRow | None]:
        """Return whose content each event shows, None for those that are not shown."""
        shown: dict[int, LogRow | None] = {}
        revised: dict[int, int] = {}
        for row in rows:
            fields = fields_of(row)
            changes = selected.changes
            is_gone = row.index in changes.removed or fields.id in changes.retracted
            is_event = fields.op == "record" and not is_gone
            shown[row.index] = row if is_event else None
            revisions = selected.changes.revisions.get(fields.id)
            if is_event and revisions:
                revised[row.index] = revisions[-1]
        found = self._store.rows_at(self._question.tenant, list(revised.values()))
        return shown | {index: found[revision] for index, revision in revised.items()}

    @staticmethod
    def _spool_row(
        row: LogRow,
        shown: dict[int, LogRow | None],
        spools: dict[str, IO[bytes]],
        state: Progressed,
    ) -> None:
        spools["entries.ndjson"].write(entry_line(row))
        spools["sections.ndjson"].write(sections_line(row, fields_of(row)))
        content = shown[row.index]
        if content is not None:
            lines = event_lines(row, content)
            spools["events.ndjson"].write(lines.ndjson)
            spools["events.csv"].write(lines.csv)
            state.events += 1

    # Second step: the ZIP

    def _assemble(self, folder: Path, selected: SelectedEntries, state: Progressed) -> None:
        checkpoint = self._checkpoint()
        manifest = self._manifest(selected, state)
        page = summary_page(manifest, str(self._signer.verifier), selected.omitted)
        files = {name: verifier_source(name) for name in VERIFIERS} | {"summary.html": page}
        manifest["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        text = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        with (folder / "bundle").open("wb") as file, (folder / "directory").open("w+b") as names:
            archive = ZipWriter(file, names)
            archive.add("checkpoint", checkpoint.encode())
            for name in ("entries.ndjson", "events.csv", "events.ndjson"):
                with (folder / name).open("rb") as spool:
                    archive.add_file(name, spool)
            archive.add("log.vkey", f"{self._signer.verifier}\n".encode())
            archive.add("manifest.json", text.encode())
            if self._question.is_complete:
                lines = (f"{first}-{last} {reason}\n" for first, last, reason in selected.omitted)
                archive.add("omitted.txt", "".join(lines).encode())
            for index in selected.indexes:
                archive.add(f"proofs/{index:012d}.tlog-proof", self._proof(index, checkpoint))
            with (folder / "sections.ndjson").open("rb") as spool:
                archive.add_file("sections.ndjson", spool)
            archive.add("summary.html", page)
            for name, level, number in self._tiles(selected):
                archive.add(name, self._tile(level, number))
            for name in VERIFIERS:
                archive.add(name, files[name])
            archive.finish()
            flush_file(file)

    def _checkpoint(self) -> str:
        size = self._question.size
        return sign_checkpoint(
            self._signer, self._signer.name, size, root_from_reader(size, self._hashes)
        )

    def _manifest(self, selected: SelectedEntries, state: Progressed) -> Json:
        question = self._question
        return {
            "format": FORMAT,
            "origin": self._signer.name,
            "size": question.size,
            "range": [question.start, question.stop] if question.is_complete else None,
            "question": self._told,
            "sees": "all" if question.sees_all else "part",
            "entries": len(selected.indexes),
            "events": state.events,
            "later_erasures": state.later_erasures,
        }

    def _proof(self, index: int, checkpoint: str) -> bytes:
        siblings = inclusion_proof(index, self._question.size, self._hashes)
        lines = [PROOF_HEAD, f"index {index}", *map(to_base64, siblings)]
        return ("\n".join(lines) + f"\n\n{checkpoint}").encode()

    def _tiles(self, selected: SelectedEntries) -> list[tuple[str, int, int]]:
        """Return name, level and number of the tiles that prove every entry and the range."""
        question = self._question
        size = question.size
        needed = {index >> 8 for index in selected.indexes}
        if question.is_complete and question.stop > question.start:
            needed.update(range(question.start >> 8, (question.stop - 1 >> 8) + 1))
        tiles: list[tuple[str, int, int]] = []
        for level in tiles_at(size):
            if level.partial:
                needed.add(level.full)
            for number in needed:
                width = tile_width(level.level, number, size)
                if width:
                    tiles.append((f"tile/{path(level.level, number, width)}", level.level, number))
            needed = {number >> 8 for number in needed}
        return sorted(tiles)

    def _tile(self, level: int, number: int) -> bytes:
        width = tile_width(level, number, self._question.size)
        return b"".join(self._hashes.hashes(level, number * TILE_WIDTH, width))


def verifier_source(name: str) -> bytes:
    """Return a verifier as it stands in every bundle of this version."""
    return resources.files("tallystick.evidence").joinpath(name).read_bytes()


def verifier_digest(name: str) -> str:
    """Return the SHA-256 of a verifier, in hexadecimal."""
    return hashlib.sha256(verifier_source(name)).hexdigest()


def _is_cut(row: LogRow) -> bool:
    committed = fields_of(row).sections
    return len(committed) + row.sections.count(None) != len(row.sections)


@contextlib.contextmanager
def _spool(path: Path, length: int) -> Iterator[IO[bytes]]:
    """Open a spool behind its first `length` bytes; what a killed run wrote after them is gone."""
    path.touch(mode=0o600)
    with path.open("r+b") as file:
        file.truncate(length)
        file.seek(length)
        yield file


def _note(folder: Path, spools: dict[str, IO[bytes]], state: Progressed) -> None:
    for name, file in spools.items():
        flush_file(file)
        state.lengths[name] = file.tell()
    # Only now: what it names is on disk.
    replace_file(folder / _PROGRESS, msgspec.json.encode(state))


def _finish(made: Path, target: Path) -> str:
    with made.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    rename_file(made, target)
    return digest
