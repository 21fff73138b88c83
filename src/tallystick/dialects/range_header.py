"""The Range header: which bytes of something a request is for.

Source: RFC 9110 section 14. Several ranges in one request are not served: the whole is.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_RANGE = re.compile(r"bytes=\s*(\d{1,18})?\s*-\s*(\d{1,18})?\s*", re.ASCII | re.IGNORECASE)


class ByteRange(NamedTuple):
    """The bytes [start, stop) of something that has `size`."""

    start: int
    stop: int
    size: int

    def headers(self) -> dict[str, str]:
        """Return the headers that say which part this is."""
        return {
            "Content-Range": f"bytes {self.start}-{self.stop - 1}/{self.size}",
            "Content-Length": str(self.stop - self.start),
        }


def part_of(header: str | None, size: int) -> ByteRange | None:
    """Return the part that a Range header asks for; None for the whole.

    Raises: Unsatisfiable when the content has no such bytes.
    """
    match = None if header is None else _RANGE.fullmatch(header)
    if match is None or match[1] is match[2] is None:
        return None
    if match[1] is None:
        start, stop = max(size - int(match[2]), 0), size
    else:
        start = int(match[1])
        stop = size if match[2] is None else min(int(match[2]) + 1, size)
        if match[2] is not None and int(match[2]) < start:
            return None
    if start >= stop:
        raise Unsatisfiable(size)
    return ByteRange(start, stop, size)


class Unsatisfiable(Exception):
    """The range lies outside; handlers answer 416 with the size."""

    def __init__(self, size: int) -> None:
        super().__init__(f"there are {size} bytes")
        self.size = size
