"""Compressed bodies and files: gzip, deflate and zstd, unpacked no further than a limit allows.

Source: RFC 9110 section 8.4.1, RFC 1950, RFC 1952, RFC 8878, RFC 9659.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from tallystick.errors import Malformed, TooLarge, UnsupportedMediaType

# The module of the standard library of Python 3.14, by either name.
if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS = ("gzip", "deflate", "zstd")
"""The codings of a body that are unpacked, by their names in Content-Encoding."""

_ALIASES = {"x-gzip": "gzip"}
_SLICE_BYTES = 64 * 1024
"""What is unpacked at once, before and after: bounds copies of what follows a member's end."""

_MEMBERS_MAX = 10_000
"""Members or frames behind one another in one body: an empty one costs as much as a full one."""

_ZSTD_WINDOW_LOG_MAX = 23
"""8 MiB, what RFC 9659 allows a body to need; without it two bytes could ask for 2 GiB."""


class _Member(Protocol):
    """What unpacks one gzip member, deflate stream or zstd frame."""

    @property
    def eof(self) -> bool:
        """Whether the end was reached."""

    @property
    def unused_data(self) -> bytes:
        """What came behind the end."""

    @property
    def holds_more(self) -> bool:
        """Whether more can be had without more data."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return what `data` unpacks to, at most so many bytes; the rest follows for no data."""


class _Zlib:
    def __init__(self, window: int) -> None:
        self._unpacker = zlib.decompressobj(window)
        self._is_full = False

    @property
    def eof(self) -> bool:
        return self._unpacker.eof

    @property
    def holds_more(self) -> bool:
        return self._is_full and not self.eof

    @property
    def unused_data(self) -> bytes:
        return self._unpacker.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        unpacked = self._unpacker.decompress(self._unpacker.unconsumed_tail + data, max_length)
        # What is left inside shows only when there is room for it.
        self._is_full = len(unpacked) == max_length
        return unpacked


class _Zstd:
    def __init__(self) -> None:
        options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG_MAX}
        self._unpacker = zstd.ZstdDecompressor(options=options)

    @property
    def eof(self) -> bool:
        return self._unpacker.eof

    @property
    def unused_data(self) -> bytes:
        return self._unpacker.unused_data

    @property
    def holds_more(self) -> bool:
        return not self.eof and not self._unpacker.needs_input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._unpacker.decompress(data, max_length)


_MEMBERS: Mapping[str, Callable[[], _Member]] = {
    "gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS),
    "zstd": _Zstd,
}


def coding_of(header: str) -> str | None:
    """Return the coding that a Content-Encoding names, in any letter case; None for none.

    Raises: UnsupportedMediaType for one that is not unpacked here, or for several.
    """
    names = [name.strip().lower() for name in header.split(",")]
    named = [_ALIASES.get(name, name) for name in names if name not in ("", "identity")]
    if not named:
        return None
    if len(named) > 1 or named[0] not in CODINGS:
        raise UnsupportedMediaType(
            f"a body in {', '.join(named)[:64]!r} is not unpacked here",
            path="Content-Encoding",
            hint=f"one of {', '.join(CODINGS)}, or no coding",
        )
    return named[0]


class Unpacker:
    """Unpacks a body piece by piece; members behind one another are one body."""

    def __init__(self, coding: str, limit_bytes: int) -> None:
        self._coding = coding
        self._limit_bytes = limit_bytes
        self._size = 0
        self._members = 0
        self._member: _Member | None = None

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next piece of the body unpacks to, in pieces of moderate size.

        Raises: TooLarge before more than the limit is unpacked; Malformed.
        """
        for start in range(0, len(data), _SLICE_BYTES):
            part = data[start : start + _SLICE_BYTES]
            while part:
                yield from self._of_member(part)
                part = self._next_member()

    def finish(self) -> None:
        """Let the body end here.

        Raises: Malformed when it is cut off.
        """
        if self._member is not None or not self._members:
            raise Malformed("the compressed body is truncated", path="Content-Encoding")

    def _of_member(self, data: bytes) -> Iterator[bytes]:
        if self._member is None:
            self._members += 1
            if self._members > _MEMBERS_MAX:
                raise Malformed("the body is packed in too many pieces", path="Content-Encoding")
            self._member = _MEMBERS[self._coding]()
        while True:
            try:
                unpacked = self._member.decompress(data, _SLICE_BYTES)
            except (zlib.error, zstd.ZstdError):
                raise Malformed(
                    f"the body is not {self._coding}", path="Content-Encoding"
                ) from None
            self._size += len(unpacked)
            if self._size > self._limit_bytes:
                raise TooLarge(
                    f"the body may unpack to {self._limit_bytes:,} bytes", limit=self._limit_bytes
                )
            if unpacked:
                yield unpacked
            if not self._member.holds_more:
                return
            data = b""

    def _next_member(self) -> bytes:
        """Return what follows the end of the member, if it has ended."""
        if self._member is None or not self._member.eof:
            return b""
        rest = self._member.unused_data
        self._member = None
        return rest


def unpacked(coding: str, body: bytes, limit_bytes: int) -> bytes:
    """Return what a whole body unpacks to.

    Raises: TooLarge before more than the limit is unpacked; Malformed.
    """
    unpacker = Unpacker(coding, limit_bytes)
    parts = list(unpacker.unpack(body))
    unpacker.finish()
    return b"".join(parts)
