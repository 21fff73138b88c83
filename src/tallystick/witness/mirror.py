"""Keeping a verified copy of a log, which only ever grows as the log may grow.

Leaf hashes are fetched tile by tile and checked, all together, against the signed checkpoint, on
top of what was mirrored before; only then the new checkpoint takes the place of the old one. What
was fetched before an interruption is not fetched again. Source: C2SP tlog-tiles, tlog-mirror.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tallystick.errors import (
    BadConsistencyProof,
    ContentMismatch,
    Malformed,
    StoreCorrupt,
)
from tallystick.tlog import tile
from tallystick.tlog.checkpoint import Checkpoint, open_checkpoint
from tallystick.tlog.hashing import leaf_hash
from tallystick.tlog.note import Verifier
from tallystick.tlog.tile import TILE_WIDTH, tile_width
from tallystick.witness.mirror_folder import MirrorFolder, split_exactly

Fetch = Callable[[str], bytes]
"""Returns the bytes at a path below the log's prefix, such as `/checkpoint`."""

Progress = Callable[[int, int], None]


class Mirrored(NamedTuple):
    """What a mirror had before, and has now."""

    origin: str
    old_size: int
    size: int
    root: bytes
    has_entries: bool


class _Unverified(Exception):
    """What was fetched does not give the root that was signed."""


def mirror_log(
    fetch: Fetch,
    folder: MirrorFolder,
    verifier: Verifier,
    *,
    entries: bool,
    progress: Progress = lambda done, total: None,
) -> Mirrored:
    """Bring a copy up to the log's newest checkpoint.

    Raises: BadConsistencyProof when the log was set back or forked; other VerificationErrors when
    what it serves does not hold; StoreCorrupt when the copy itself is damaged; what `fetch` raises.
    """
    note = fetch("/checkpoint").decode("utf-8", "replace")
    new = open_checkpoint(note, [verifier], verifier.name)
    folder.make()
    old = folder.checkpoint()
    if folder.root_at(old.size) != old.root:
        raise StoreCorrupt(
            f"the copy in {folder.path} is damaged: its tiles do not give its checkpoint",
            hint="move it away and mirror the log again",
        )
    _require_growth(folder, old, new)
    if new.size > old.size:
        try:
            _extend(fetch, folder, old, new, reuse=True, progress=progress)
        except _Unverified:
            # Tiles from an interrupted run may be what is wrong: once more, with none of them.
            try:
                _extend(fetch, folder, old, new, reuse=False, progress=progress)
            except _Unverified:
                raise _forked(old, new) from None
    if entries:
        _fetch_entries(fetch, folder, new.size, progress)
    if note != folder.note():
        folder.finish(note)
    levels: list[tile.Level] = [each.level for each in tile.tiles_at(new.size)]
    folder.remove_partial(["entries", *levels], new.size)
    return Mirrored(new.origin, old.size, new.size, new.root, entries)


def _require_growth(folder: MirrorFolder, old: Checkpoint, new: Checkpoint) -> None:
    if new.size >= old.size:
        if new.size == old.size and new.root != old.root:
            raise _forked(old, new)
        return
    if folder.root_at(new.size) != new.root:
        raise _forked(old, new)
    raise BadConsistencyProof(
        f"rewound: the log showed {old.size:,} entries before and shows {new.size:,} now"
    )


def _forked(old: Checkpoint, new: Checkpoint) -> BadConsistencyProof:
    return BadConsistencyProof(
        f"forked: the log of {new.size:,} entries does not continue the {old.size:,} entries "
        "that were mirrored; keep both checkpoints, they prove it"
    )


def _extend(
    fetch: Fetch,
    folder: MirrorFolder,
    old: Checkpoint,
    new: Checkpoint,
    *,
    reuse: bool,
    progress: Progress,
) -> None:
    """Write the tiles of a growth.

    Raises: _Unverified, having removed what was fetched.
    """
    frontier = folder.frontier(old.size)
    first, total = old.size // TILE_WIDTH, -(-new.size // TILE_WIDTH)
    before = folder.leaves("", first * TILE_WIDTH, old.size)
    for number in range(first, total):
        width = tile_width(0, number, new.size)
        data = folder.read(0, number, width) if reuse and folder.has(0, number, width) else None
        if data is None:
            data = fetch(f"/tile/{tile.path(0, number, width)}")
        try:
            hashes = split_exactly(data, width)
        except Malformed as error:
            raise ContentMismatch(f"the log serves no tile {number}: {error.message}") from None
        known = before if number == first else []
        if hashes[: len(known)] != known:
            _remove(folder, old, new)
            raise _Unverified
        frontier.extend(hashes[len(known) :])
        folder.write(0, number, width, data)
        progress(number - first + 1, total - first)
    if frontier.root() != new.root:
        _remove(folder, old, new)
        raise _Unverified
    folder.write_upper_tiles(old.size, new.size)


def _remove(folder: MirrorFolder, old: Checkpoint, new: Checkpoint) -> None:
    """Remove the lowest tiles that only the new checkpoint has."""
    for number in range(old.size // TILE_WIDTH, -(-new.size // TILE_WIDTH)):
        width = tile_width(0, number, new.size)
        if width != tile_width(0, number, old.size):
            folder.remove(0, number, width)


def _fetch_entries(fetch: Fetch, folder: MirrorFolder, size: int, progress: Progress) -> None:
    """Fetch the bundles that are missing, each checked against the leaf hashes.

    Raises: ContentMismatch.
    """
    total = -(-size // TILE_WIDTH)
    for number in range(total):
        width = tile_width("entries", number, size)
        if not folder.has("entries", number, width):
            data = fetch(f"/tile/{tile.path('entries', number, width)}")
            start = number * TILE_WIDTH
            try:
                hashes = [leaf_hash(entry) for entry in tile.parse_entry_bundle(data)]
            except Malformed as error:
                raise ContentMismatch(f"entry bundle {number}: {error.message}") from None
            if hashes != folder.leaves("", start, start + width):
                raise ContentMismatch(
                    f"the entries {start:,} to {start + width - 1:,} are not those of the leaves"
                )
            folder.write("entries", number, width, data)
        progress(number + 1, total)
