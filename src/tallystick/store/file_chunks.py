"""Files in chunks of one size: which ones a patch touches, and what becomes of them. Pure.

A chunk that is not there stands for zeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tallystick.store.public_files import Patch

CHUNK_BYTES = 4_000
"""Two of them, with what a row needs besides, fill a page of 8 KiB."""

Place = tuple[int, int]
"""A file and the number of a chunk in it."""


def touched(patches: Iterable[Patch]) -> list[Place]:
    """Return the chunks that patches change, in order."""
    return sorted({(patch.file, chunk) for patch in patches for chunk in _chunks_of(patch)})


def patched(chunks: Mapping[Place, bytes], patches: Iterable[Patch]) -> dict[Place, bytes]:
    """Return the chunks that patches change as they are afterwards.

    Shape: `chunks` holds those of them that are there already.
    """
    changed: dict[Place, bytearray] = {}
    for patch in patches:
        for chunk in _chunks_of(patch):
            place = (patch.file, chunk)
            content = changed.get(place)
            if content is None:
                content = changed[place] = bytearray(chunks.get(place) or bytes(CHUNK_BYTES))
            start = chunk * CHUNK_BYTES
            low = max(patch.offset, start)
            high = min(patch.offset + len(patch.data), start + CHUNK_BYTES)
            piece = patch.data[low - patch.offset : high - patch.offset]
            content[low - start : high - start] = piece
    return {place: bytes(content) for place, content in changed.items()}


def sizes(patches: Iterable[Patch]) -> dict[int, int]:
    """Return for each file the size that it has at least, once patches are applied."""
    found: dict[int, int] = {}
    for patch in patches:
        if patch.data:
            stop = patch.offset + len(patch.data)
            found[patch.file] = max(found.get(patch.file, 0), stop)
    return found


def span(start: int, stop: int) -> tuple[int, int]:
    """Return the first and the last chunk of the bytes [start, stop)."""
    return start // CHUNK_BYTES, (stop - 1) // CHUNK_BYTES


def joined(chunks: Iterable[Sequence[object]], start: int, stop: int) -> bytes:
    """Return the bytes [start, stop) of a file, given rows of chunk number and chunk."""
    first = start // CHUNK_BYTES
    content = bytearray(stop - first * CHUNK_BYTES)
    for number, data in chunks:
        assert isinstance(number, int)
        assert isinstance(data, bytes)
        at = (number - first) * CHUNK_BYTES
        content[at : at + len(data)] = data[: len(content) - at]
    return bytes(memoryview(content)[start - first * CHUNK_BYTES :])


def _chunks_of(patch: Patch) -> range:
    if not patch.data:
        return range(0)
    first, last = span(patch.offset, patch.offset + len(patch.data))
    return range(first, last + 1)
