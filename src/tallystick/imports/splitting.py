"""A stream of bytes as the JSON values in it, one after another, with bounded memory.

A stream holds a value a line, or values of many lines behind one another; of an array, and of an
object that is nothing but a wrapper around one, each item is a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from tallystick import json_text
from tallystick.errors import Malformed, TooLarge

VALUE_BYTES_MAX = 32 * 1024 * 1024
"""One value: an event has 1 MiB, but what wraps many need not begin with its list."""

_CHUNK_BYTES = 1024 * 1024
_BLANKS = b" \t\r\n"
_WRAPPER = re.compile(rb'\{\s*"(?:Records|Events|logEvents)"\s*:\s*\[')
# Long enough for the start of any wrapper.
_WRAPPER_BYTES = 256
# A text, a bracket, or a text whose end is not here yet.
_token = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]|"', re.DOTALL).search
_end_of_bare = re.compile(rb"[\s,\]}]").search
# The end of a line within a value of many lines, rather than of a line that is broken.
_GOES_ON = (b"{", b"[", b",", b":")


class FoundRecords:
    """One value of a stream, or what is wrong with it, and where it stands."""

    __slots__ = ("error", "place", "value")

    def __init__(
        self, place: str, value: object, error: Malformed | TooLarge | None = None
    ) -> None:
        self.place = place
        self.value = value
        self.error = error


def values_of(stream: IO[bytes]) -> Iterator[FoundRecords]:
    """Yield the values of a stream; a broken line does not stop the others.

    Cost: about 1 s for 15 MB of one value of many lines; lines are decoded at once.
    """
    head = stream.read(_CHUNK_BYTES).removeprefix(json_text.BYTE_ORDER_MARK)
    if _is_lines(head):
        yield from _lines(head, stream)
    else:
        yield from _Splitter(head, stream).values()


def texts_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the text of each value of a stream: lines as they are, blank ones too, so that a line
    that is refused is told by its number; items of an array and values of many lines encoded.

    Raises: Malformed, TooLarge when the stream is neither JSON nor lines of JSON.
    """
    head = stream.read(_CHUNK_BYTES).removeprefix(json_text.BYTE_ORDER_MARK)
    if not _is_lines(head):
        for found in _Splitter(head, stream, wrappers=False).values():
            if found.error is not None:
                raise found.error
            yield json_text.encode(found.value)
        return
    for number, line in enumerate(map(bytes.strip, _read_lines(head, stream))):
        if number == 0 and line.startswith(b"["):
            yield from map(json_text.encode, json_text.decode(line))
        else:
            yield line


def _is_lines(head: bytes) -> bool:
    lines = [line.strip() for line in head.split(b"\n")]
    # The last one may be cut off by the end of the chunk.
    whole = [line for line in (lines[:-1] if len(head) >= _CHUNK_BYTES else lines) if line][:2]
    if not whole or any(line in (b"{", b"[") for line in lines):
        return False
    if _is_value(whole[0]):
        return True
    return len(whole) > 1 and not whole[0].endswith(_GOES_ON) and _is_value(whole[1])


def _is_value(line: bytes) -> bool:
    if not line.startswith((b"{", b"[")):
        return False
    try:
        json_text.decode(line)
    except Malformed:
        return False
    return True


def _lines(head: bytes, stream: IO[bytes]) -> Iterator[FoundRecords]:
    for number, line in enumerate(_read_lines(head, stream), 1):
        place = f"line {number}"
        if len(line) > VALUE_BYTES_MAX:
            yield FoundRecords(place, None, _too_large())
            continue
        if not line.strip(_BLANKS):
            continue
        try:
            value = json_text.decode(line)
        except Malformed as error:
            yield from _several(place, line, error)
        else:
            yield FoundRecords(place, value)


def _several(place: str, line: bytes, error: Malformed) -> Iterator[FoundRecords]:
    """Yield the values that stand behind one another in a line that is no single value."""
    found = list(_Splitter(line, None).values())
    if len(found) > 1 and all(item.error is None for item in found):
        yield from (FoundRecords(f"{place}, {item.place}", item.value) for item in found)
    else:
        yield FoundRecords(place, None, error)


def _read_lines(head: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    """Yield lines; of one that is too long, as much as shows it."""
    lines = head.split(b"\n")
    yield from lines[:-1]
    line = lines[-1] + stream.readline(VALUE_BYTES_MAX + 1)
    while line:
        if len(line) > VALUE_BYTES_MAX:
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = stream.readline(_CHUNK_BYTES)
        yield line.removesuffix(b"\n")
        line = stream.readline(VALUE_BYTES_MAX + 1)


class _Splitter:
    """Cuts a stream into values by counting brackets outside of texts."""

    def __init__(self, head: bytes, stream: IO[bytes] | None, *, wrappers: bool = True) -> None:
        self._stream = stream
        self._wrappers = wrappers
        self._buffer = head
        self._at = 0
        self._number = 0

    def values(self) -> Iterator[FoundRecords]:
        """Yield the values; none follows one that is broken, since its end is not known."""
        try:
            while self._skip_blanks():
                if self._peek() == b"[":
                    self._at += 1
                    yield from self._items()
                elif self._wrappers and self._wrapper():
                    yield from self._items()
                    yield from self._rest_of_wrapper()
                else:
                    yield self._found(self._text())
        except (Malformed, TooLarge) as error:
            yield FoundRecords(f"after record {self._number}" if self._number else "", None, error)

    def _items(self) -> Iterator[FoundRecords]:
        expected = False
        while True:
            if not self._skip_blanks():
                raise Malformed("the body is not JSON: it ends too early")
            if self._peek() == b"]" and not expected:
                self._at += 1
                return
            yield self._found(self._text())
            if not self._skip_blanks():
                raise Malformed("the body is not JSON: it ends too early")
            expected = self._peek() == b","
            if expected:
                self._at += 1
            elif self._peek() != b"]":
                raise Malformed("the body is not JSON: a comma is missing between two items")

    def _found(self, text: bytes) -> FoundRecords:
        value = json_text.decode(text)
        self._number += 1
        return FoundRecords(f"record {self._number}", value)

    def _wrapper(self) -> bool:
        """Pass over the beginning of a wrapper, if there is one."""
        while len(self._buffer) - self._at < _WRAPPER_BYTES and self._more():
            pass
        match = _WRAPPER.match(self._buffer, self._at)
        if match is not None:
            self._at = match.end()
        return match is not None

    def _rest_of_wrapper(self) -> Iterator[FoundRecords]:
        """Pass over the members behind a wrapper's list, which must be JSON too."""
        if not self._skip_blanks() or self._peek() not in (b",", b"}"):
            raise Malformed("the body is not JSON: it ends too early")
        # With an opening bracket, and a list that was never there, the rest is an object.
        self._buffer = b'{"":[]' + self._buffer[self._at :]
        self._at = 0
        json_text.decode(self._text())
        yield from ()

    def _text(self) -> bytes:
        """Return the text of the value that begins here, and pass over it."""
        if self._peek() not in (b"{", b"["):
            return self._bare()
        depth, at = 0, self._at
        while True:
            token = _token(self._buffer, at)
            if token is None or token[0] == b'"':
                at = (len(self._buffer) if token is None else token.start()) - self._at
                if not self._more():
                    raise Malformed("the body is not JSON: it ends too early")
                at += self._at
                continue
            at = token.end()
            if token[0] in (b"{", b"["):
                depth += 1
            elif token[0] in (b"}", b"]"):
                depth -= 1
                if depth == 0:
                    text = self._buffer[self._at : at]
                    self._at = at
                    return text

    def _bare(self) -> bytes:
        """Return what is no object and no array, as far as the next blank, comma or bracket."""
        end = _end_of_bare(self._buffer, self._at + 1)
        while end is None and self._more():
            end = _end_of_bare(self._buffer, self._at + 1)
        stop = len(self._buffer) if end is None else end.start()
        text = self._buffer[self._at : stop]
        self._at = stop
        return text

    def _skip_blanks(self) -> bool:
        """Go to the next byte that is no blank; tell whether there is one."""
        while True:
            while self._peek() and self._peek() in _BLANKS:
                self._at += 1
            if self._at < len(self._buffer):
                return True
            if not self._more():
                return False

    def _peek(self) -> bytes:
        return self._buffer[self._at : self._at + 1]

    def _more(self) -> bool:
        """Read on, forgetting what was passed over; tell whether there was more."""
        data = b"" if self._stream is None else self._stream.read(_CHUNK_BYTES)
        if not data:
            return False
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        if len(self._buffer) > VALUE_BYTES_MAX + _CHUNK_BYTES:
            raise _too_large()
        return True


def _too_large() -> TooLarge:
    return TooLarge(f"one value may have {VALUE_BYTES_MAX:,} bytes", limit=VALUE_BYTES_MAX)
