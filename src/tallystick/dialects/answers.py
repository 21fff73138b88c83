"""Answers with many rows: in one piece when they are short, else as fast as the client takes them.

A page that is found by its number or offset has all its rows, however large they are, or some would
stand on no page. So a long one is neither read nor encoded whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response, StreamingResponse

from tallystick import json_text
from tallystick.dialects.services import Door
from tallystick.ledger.selections import Row, Selection


class Layout(NamedTuple):
    """How rows stand in the text of an answer.

    `mark` is JSON that stands for all rows in an envelope, `place` what the text then has there and
    nowhere else.
    """

    mark: bytes
    place: bytes
    before: bytes
    between: bytes
    after: bytes
    encode: Callable[[Any], bytes]


# No JSON text has this byte.
COMPACT = Layout(b"\0", b"\0", b"", b",", b"", json_text.encode)


def rows_response(
    door: Door,
    selection: Selection,
    render: Callable[[Row], Any],
    envelope: Callable[[Sequence[Any]], Response],
    *,
    layout: Layout = COMPACT,
) -> Response:
    """Return the answer that `envelope` makes of rendered rows.

    Of a long selection it is made while it is sent; `envelope` then gets one row, which stands for
    all.
    """
    if selection.is_short:
        return envelope([render(row) for part in selection.slices for row in part.rows])
    whole = envelope([msgspec.Raw(layout.mark)])
    pieces = pieces_of(bytes(whole.body), selection, render, layout)
    headers = {name: value for name, value in whole.headers.items() if name != "content-length"}
    return streamed(door, pieces, whole.status_code, headers)


def pieces_of(
    text: bytes, selection: Selection, render: Callable[[Row], Any], layout: Layout = COMPACT
) -> Iterator[bytes]:
    """Yield an answer, given its text with a mark in place of its rows; a piece a slice."""
    head, _, tail = text.partition(layout.place)
    gap = head + layout.before
    for part in selection.slices:
        rows = [layout.encode(render(row)) for row in part.rows]
        if rows:
            yield gap + layout.between.join(rows)
            gap = layout.between
    rest = layout.after + tail
    yield rest if gap is layout.between else head + tail


def streamed(
    door: Door, pieces: Iterator[bytes], status: int, headers: Mapping[str, str]
) -> Response:
    """Return an answer whose pieces are made one at a time, in worker threads."""

    async def content() -> AsyncIterator[bytes]:
        while (piece := await door.run(next, pieces, None)) is not None:
            yield piece

    return StreamingResponse(content(), status, headers)
