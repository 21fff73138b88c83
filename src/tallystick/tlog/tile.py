"""Where a log's hashes and entries lie: tile coordinates, their paths, and entry bundles.

A tile is 256 consecutive hashes of one level; entry i of a level-L tile is the root of the
complete subtree over 256**L leaves. This module is arithmetic and encoding; it stores nothing
and serves nothing. Source: C2SP tlog-tiles v0.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from tallystick.errors import Malformed, NotFound, TooLarge
from tallystick.tlog.hashing import HASH_BYTES, SIZE_MAX, complete_root

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 256
ENTRY_BYTES_MAX: Final = 0xFFFF  # a length in a bundle has two bytes

Level = int | Literal["entries"]

_PATH: Final = re.compile(
    r"(?P<level>entries|[0-9]|[1-5][0-9]|6[0-3])"
    r"/(?P<index>(?:x[0-9]{3}/){0,7}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)


class LevelTiles(NamedTuple):
    """What one level of a tree consists of: `full` tiles, then one of `partial` hashes if any."""

    level: int
    full: int
    partial: int


def path(level: Level, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile below `tile/`, such as `0/x001/234` or `1/000.p/17`."""
    assert index >= 0, "tiles are counted from 0"
    assert 1 <= width <= TILE_WIDTH, "empty tiles have no path"
    index, last = divmod(index, 1000)
    parts = [f"{last:03d}"]
    while index:
        index, part = divmod(index, 1000)
        parts.append(f"x{part:03d}")
    suffix = "" if width == TILE_WIDTH else f".p/{width}"
    return f"{level}/{'/'.join(reversed(parts))}{suffix}"


def parse_path(text: str) -> tuple[Level, int, int]:
    """Return level (or "entries"), index and width of the tile whose path follows `tile/`.

    Raises: Malformed if it is not spelled as `path` spells it; NotFound if no log can be that big.
    """
    match = _PATH.fullmatch(text)
    if match is None:
        raise Malformed("this is not the path of a tile", path="path")
    index = int(match["index"].replace("x", "").replace("/", ""))
    level: Level = "entries" if match["level"] == "entries" else int(match["level"])
    width = int(match["width"] or TILE_WIDTH)
    if path(level, index, width) != text:
        raise Malformed("the tile's index has needless leading zeroes", path="path")
    if tile_end(level, index, width) > SIZE_MAX:
        raise NotFound("no log has a tile there")
    return level, index, width


def tile_end(level: Level, index: int, width: int = TILE_WIDTH) -> int:
    """Return the smallest size of a tree that has this tile at this width."""
    height = 0 if level == "entries" else TILE_HEIGHT * level
    return (index * TILE_WIDTH + width) << height


def tile_width(level: Level, index: int, size: int) -> int:
    """Return how many hashes (or entries) the tile has at `size`; 0 if it does not exist yet."""
    height = 0 if level == "entries" else TILE_HEIGHT * level
    return min(max((size >> height) - index * TILE_WIDTH, 0), TILE_WIDTH)


def tiles_at(size: int) -> list[LevelTiles]:
    """Return the tiles of a tree of `size` leaves, level by level from the leaves up.

    Shape: a level without any hash is left out, so the list is empty for the empty tree.
    """
    levels = []
    level = 0
    while size:
        levels.append(LevelTiles(level, *divmod(size, TILE_WIDTH)))
        size >>= TILE_HEIGHT
        level += 1
    return levels


def full_tiles_completed(old_size: int, new_size: int) -> Iterator[tuple[int, int]]:
    """Yield (level, index) of every tile that becomes full on growing, lower levels first."""
    level = 0
    height = TILE_HEIGHT
    while new_size >> height:
        for index in range(old_size >> height, new_size >> height):
            yield level, index
        level += 1
        height += TILE_HEIGHT


def tile_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root of a full tile: the hash that represents it one level up.

    Shape: exactly 256 hashes.
    """
    assert len(hashes) == TILE_WIDTH, "only a full tile has an entry one level up"
    return complete_root(hashes)


def split_hashes(data: bytes) -> list[bytes]:
    """Return the hashes of a tile's bytes.

    Raises: Malformed unless there are 1 to 256 whole hashes.
    """
    count, rest = divmod(len(data), HASH_BYTES)
    if rest or not 1 <= count <= TILE_WIDTH:
        raise Malformed("a tile holds 1 to 256 hashes of 32 bytes")
    return [data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES)]


def entry_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the entries of one tile, each after its length in two bytes big-endian.

    Raises: TooLarge if an entry is longer than two bytes can say.
    """
    longest = max(map(len, entries), default=0)
    if longest > ENTRY_BYTES_MAX:
        raise TooLarge("an entry is too long", limit=ENTRY_BYTES_MAX, actual=longest)
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_entry_bundle(data: bytes) -> list[bytes]:
    """Return the entries of a bundle.

    Raises: Malformed if it ends inside an entry or holds more than 256.
    """
    entries: list[bytes] = []
    start = 0
    while start < len(data):
        end = start + 2 + int.from_bytes(data[start : start + 2], "big")
        if start + 2 > len(data) or end > len(data):
            raise Malformed("the entry bundle ends in the middle of an entry")
        if len(entries) == TILE_WIDTH:
            raise Malformed("the entry bundle holds more than 256 entries")
        entries.append(data[start + 2 : end])
        start = end
    return entries
