"""A ZIP in the one spelling that a bundle has: stored members, sorted names, one fixed time.

The same members give the same bytes. Sizes beyond 4 GiB and counts beyond 65,534 are written as
ZIP64. Source: APPNOTE.TXT 6.3.10 sections 4.3 and 4.5.3; `docs/design/bundle.md`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import IO, Final

_DATE: Final = 0x21  # 1 January 1980
_MAX_32: Final = 0xFFFFFFFF
_MAX_16: Final = 0xFFFF
_PIECE: Final = 2**20


class ZipWriter:
    """Writes members to a file; `directory` takes what follows them, until `finish`.

    Memory does not grow with the number of members.
    """

    def __init__(self, file: IO[bytes], directory: IO[bytes]) -> None:
        self._file = file
        self._directory = directory
        self._offset = 0
        self._count = 0
        self._last = b""

    def add(self, name: str, data: bytes) -> None:
        """Write a member whose name follows the one before."""
        self._begin(name, zlib.crc32(data), len(data))
        self._file.write(data)

    def add_file(self, name: str, file: IO[bytes]) -> None:
        """Write a member whose content is all of a file, which is read twice."""
        crc, size = 0, 0
        for piece in pieces_of(file):
            crc, size = zlib.crc32(piece, crc), size + len(piece)
        self._begin(name, crc, size)
        for piece in pieces_of(file):
            self._file.write(piece)

    def finish(self) -> None:
        """Write the directory and the end."""
        size = self._directory.tell()
        for piece in pieces_of(self._directory):
            self._file.write(piece)
        self._file.write(_end_records(self._count, size, self._offset))

    def _begin(self, name: str, crc: int, size: int) -> None:
        encoded = name.encode("ascii")
        assert encoded > self._last, f"{name} does not follow the member before it"
        header = _local_header(encoded, crc, size)
        self._directory.write(_central_header(encoded, crc, size, self._offset))
        self._file.write(header)
        self._last = encoded
        self._offset += len(header) + size
        self._count += 1


def pieces_of(file: IO[bytes]) -> Iterable[bytes]:
    """Yield the content of a file from its beginning."""
    file.seek(0)
    while piece := file.read(_PIECE):
        yield piece


def _local_header(name: bytes, crc: int, size: int) -> bytes:
    is_big = size >= _MAX_32
    extra = struct.pack("<HHQQ", 1, 16, size, size) if is_big else b""
    shown = min(size, _MAX_32)
    fixed = struct.pack(
        "<4sHHHHHIIIHH",
        b"PK\x03\x04", 45 if is_big else 20, 0, 0, 0, _DATE, crc, shown, shown,
        len(name), len(extra),
    )  # fmt: skip
    return fixed + name + extra


def _central_header(name: bytes, crc: int, size: int, offset: int) -> bytes:
    large = [value for value in (size, size, offset) if value >= _MAX_32]
    extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    shown = min(size, _MAX_32)
    version = 45 if large else 20
    fixed = struct.pack(
        "<4sHHHHHHIIIHHHHHII",
        b"PK\x01\x02", version, version, 0, 0, 0, _DATE, crc, shown, shown,
        len(name), len(extra), 0, 0, 0, 0, min(offset, _MAX_32),
    )  # fmt: skip
    return fixed + name + extra


def _end_records(count: int, size: int, offset: int) -> bytes:
    data = b""
    if count >= _MAX_16 or size >= _MAX_32 or offset >= _MAX_32:
        data = struct.pack(
            "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset
        )
        data += struct.pack("<4sIQI", b"PK\x06\x07", 0, offset + size, 1)
    few = min(count, _MAX_16)
    return data + struct.pack(
        "<4sHHHHIIH", b"PK\x05\x06", 0, 0, few, few, min(size, _MAX_32), min(offset, _MAX_32), 0
    )
