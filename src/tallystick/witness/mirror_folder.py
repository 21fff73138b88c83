"""The files of a mirrored log: what any web server can serve as C2SP tiles.

    <sha256 of the origin>/checkpoint   tile/<level>/...   tile/entries/...   log.vkey

The checkpoint is written last, so whatever it covers is there. Source: C2SP tlog-tiles and the
prefix of tlog-mirror.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from tallystick.durable import create_folder, replace_file
from tallystick.errors import Malformed, StoreCorrupt
from tallystick.log.head_proof import root_at, stored_frontier
from tallystick.tlog import tile
from tallystick.tlog.checkpoint import Checkpoint, open_checkpoint
from tallystick.tlog.frontier import Frontier
from tallystick.tlog.hashing import EMPTY_ROOT
from tallystick.tlog.note import Verifier
from tallystick.tlog.tile import TILE_WIDTH, Level

KEY_FILE: Final = "log.vkey"
ROTATIONS_FILE: Final = "rotations"
"""Statements by which the log's key was rotated, beside the checkpoint of a published log."""

CHECKPOINT: Final = "checkpoint"

_MODE: Final = 0o644  # public by nature, and a web server runs as somebody else


def folder_of(root: Path, origin: str) -> Path:
    """Return where below a mirror's folder the log with an origin is kept."""
    return root / sha256(origin.encode()).hexdigest()


class MirrorFolder:
    """One mirrored log; one process at a time writes to it."""

    def __init__(self, path: Path, verifier: Verifier) -> None:
        self.path = path
        self._verifier = verifier

    def make(self) -> None:
        """Make the folder if there is none. Raises: OSError."""
        create_folder(self.path)
        for each in (self.path.parent, self.path):
            each.chmod(0o755)
        if not (self.path / KEY_FILE).exists():
            self._write_key()

    def _write_key(self) -> None:
        replace_file(self.path / KEY_FILE, f"{self._verifier}\n".encode(), mode=_MODE)

    def _keys(self) -> list[Verifier]:
        """Return the keys that the copy's own checkpoint may be signed with.

        Before the first run after a rotation, that is the key that stands beside it.
        """
        kept = Verifier.parse((self.path / KEY_FILE).read_text("utf-8").strip())
        return [self._verifier, *([] if kept == self._verifier else [kept])]

    def note(self) -> str | None:
        """Return the checkpoint as it was fetched; None before the first one."""
        try:
            return (self.path / CHECKPOINT).read_bytes().decode(errors="replace")
        except FileNotFoundError:
            return None

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint that the files are of, verified; the empty one at first.

        Raises: VerificationError.
        """
        note = self.note()
        if note is None:
            return Checkpoint(self._verifier.name, 0, EMPTY_ROOT)
        return open_checkpoint(note, self._keys(), self._verifier.name)

    def frontier(self, size: int) -> Frontier:
        """Return the frontier that the files give for the first `size` entries."""
        return stored_frontier(self, "", size)

    def root_at(self, size: int) -> bytes:
        """Return the root that the files give for the first `size` entries."""
        return root_at(self, "", size)

    # What is read, in the shape in which `head_proof` reads a store

    def leaves(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the leaf hashes of [start, stop)."""
        return list(self._hashes(0, start, stop))

    def tile_roots(self, tenant: str, level: int, start: int, stop: int) -> list[bytes]:
        """Return the roots of the complete tiles [start, stop) of a level."""
        return list(self._hashes(level + 1, start, stop))

    def tile(self, tenant: str, level: int, number: int) -> bytes | None:
        """Return the hashes of a complete tile."""
        return self.read(level, number, TILE_WIDTH)

    def entries(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the entry bytes of [start, stop)."""
        found: list[bytes] = []
        for number in range(start // TILE_WIDTH, -(-stop // TILE_WIDTH)):
            first = number * TILE_WIDTH
            data = self.read("entries", number, min(stop - first, TILE_WIDTH))
            entries = [] if data is None else tile.parse_entry_bundle(data)
            found += entries[max(start - first, 0) : stop - first]
        return found

    def _hashes(self, level: int, start: int, stop: int) -> Iterator[bytes]:
        for number in range(start // TILE_WIDTH, -(-stop // TILE_WIDTH)):
            first = number * TILE_WIDTH
            data = self.read(level, number, min(stop - first, TILE_WIDTH))
            if data is None:
                return
            yield from tile.split_hashes(data)[max(start - first, 0) : stop - first]

    def read(self, level: Level, number: int, width: int) -> bytes | None:
        """Return the bytes of a tile or bundle that has `width` elements or more."""
        complete = self._path(level, number, TILE_WIDTH)
        paths = [complete]
        if width < TILE_WIDTH:
            partial = complete.with_name(f"{complete.name}.p")
            widths = sorted(int(name) for name in _names(partial) if name.isdigit())
            paths = [complete, *(partial / str(each) for each in widths if each >= width)]
        for path in paths:
            try:
                return path.read_bytes()
            except FileNotFoundError:
                continue
        return None

    def has(self, level: Level, number: int, width: int) -> bool:
        """Tell whether there is a file of exactly this width."""
        return self._path(level, number, width).exists()

    # What is written, none of it on disk before `finish`

    def write(self, level: Level, number: int, width: int, data: bytes) -> None:
        """Write a tile or bundle; partial ones of the same place stay until `finish`."""
        path = self._path(level, number, width)
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        begun = path.with_name(f"{path.name}.new")
        begun.write_bytes(data)
        begun.chmod(_MODE)
        begun.replace(path)

    def remove(self, level: Level, number: int, width: int) -> None:
        """Remove a tile or bundle."""
        self._path(level, number, width).unlink(missing_ok=True)

    def write_upper_tiles(self, old_size: int, new_size: int) -> None:
        """Write the tiles above the lowest level that a growth changes, from those below."""
        for level, full, partial in tile.tiles_at(new_size)[1:]:
            first = (old_size >> tile.TILE_HEIGHT * level) // TILE_WIDTH
            for number in range(first, full + bool(partial)):
                width = TILE_WIDTH if number < full else partial
                start = number * TILE_WIDTH
                roots = [self._root_of(level - 1, n) for n in range(start, start + width)]
                self.write(level, number, width, b"".join(roots))

    def _root_of(self, level: int, number: int) -> bytes:
        data = self.tile("", level, number)
        if data is None:
            raise StoreCorrupt(f"tile {tile.path(level, number)} of the copy is gone")
        return tile.tile_root(tile.split_hashes(data))

    def finish(self, note: str) -> None:
        """Put everything on disk, and then the checkpoint that covers it."""
        # One flush for all: a file at a time would take as long as the disk turns.
        os.sync()
        replace_file(self.path / CHECKPOINT, note.encode(), mode=_MODE)
        if len(self._keys()) > 1:
            # After the checkpoint, which both keys open until then.
            self._write_key()

    def remove_partial(self, levels: Sequence[Level], size: int) -> None:
        """Remove partial files of places that are complete at `size`."""
        for level in levels:
            shift = 0 if level == "entries" else tile.TILE_HEIGHT * int(level)
            number = (size >> shift) // TILE_WIDTH
            while number:
                number -= 1
                complete = self._path(level, number, TILE_WIDTH)
                partial = complete.with_name(f"{complete.name}.p")
                if not partial.is_dir():
                    break
                for name in _names(partial):
                    (partial / name).unlink()
                partial.rmdir()

    def _path(self, level: Level, number: int, width: int) -> Path:
        return self.path / "tile" / tile.path(level, number, width)


def split_exactly(data: bytes, width: int) -> list[bytes]:
    """Return the hashes of a tile that must have `width` of them.

    Raises: Malformed.
    """
    hashes = tile.split_hashes(data)
    if len(hashes) != width:
        raise Malformed(f"a tile has {len(hashes)} hashes instead of {width}")
    return hashes


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
