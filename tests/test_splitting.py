"""A stream as the JSON values in it: in any form, in pieces of any size, with bounded memory."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.imports import splitting
from tallystick.imports.splitting import texts_of, values_of

VALUES = st.lists(
    st.dictionaries(
        st.text(max_size=5),
        st.text(max_size=12) | st.lists(st.integers() | st.none(), max_size=3),
        max_size=3,
    ),
    max_size=6,
)


class Pieces(io.RawIOBase):
    """A stream that gives its bytes piece by piece."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next(self._pieces, b"")
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def read(content: bytes) -> list[object]:
    """Return the values of a content, none of which is broken."""
    found = list(values_of(io.BytesIO(content)))
    assert [item.error for item in found] == [None] * len(found)
    return [item.value for item in found]


@given(values=VALUES, indent=st.sampled_from([None, 0, 3]), chunk=st.integers(1, 40))
def test_every_form_has_the_same_values(values: list[Any], indent: int | None, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "_CHUNK_BYTES", chunk)
        # Values of one line are lines, so that those of many are not mixed with them here.
        values = values if indent is None else [value for value in values if value]
        whole = {"Records": values, "More": {"a": "]}"}}
        documents = b"\n\n".join(json.dumps(value, indent=indent).encode() for value in values)
        assert read(documents) == values
        assert read(json.dumps(whole, indent=indent or 1).encode()) in (values, [whole])
        texts = texts_of(io.BytesIO(json.dumps(values, indent=indent).encode()))
        assert [json.loads(text) for text in texts] == values


def test_a_document_of_many_megabytes_is_read_in_little_memory() -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"Records":['
        for n in range(60_000):
            yield (b"," if n else b"") + json.dumps({"n": n, "text": "x{}[]\\" * 100}).encode()
        yield b"]}"

    tracemalloc.start()
    count = sum(1 for _ in values_of(io.BufferedReader(Pieces(pieces()))))
    assert count == 60_000
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [b"{", b"[", b"[1", b"[1,]", b'["', b'{"Records":[', b'{"Records":[{}]', b"nonsense", b"]"],
)
def test_what_is_broken_is_told(content: bytes) -> None:
    assert list(values_of(io.BytesIO(content)))[-1].error is not None


def test_a_value_that_is_too_large_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "VALUE_BYTES_MAX", 1000)
    monkeypatch.setattr(splitting, "_CHUNK_BYTES", 100)
    lines = b'{"a":1}\n{"b":"' + b"x" * 2000 + b'"}\n{"c":1}\n'
    found = list(values_of(io.BytesIO(lines)))
    assert [item.error is None for item in found] == [True, False, True]
    assert found[1].place == "line 2"
    [item] = values_of(io.BytesIO(b'{"b":"' + b"x" * 2000 + b'"}'))
    assert item.error is not None
