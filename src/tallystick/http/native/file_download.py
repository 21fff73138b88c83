"""Sending the file of an export: whole, or from where a download broke off.

Source: RFC 9110 sections 13 and 14; RFC 9530 for `Repr-Digest`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tallystick.dialects import range_header
from tallystick.dialects.services import Door
from tallystick.errors import NotFound
from tallystick.exports.jobs.jobs import ReadyFile
from tallystick.tlog.encoding import to_base64

_PIECE = 256 * 1024
_LOOKED_S = 0.5


def file_response(
    request: Request, door: Door, file: ReadyFile, *, media_type: str, name: str
) -> Response:
    """Answer a file; it is cut off when it may not be shown any more."""
    written = file.written
    etag = f'"{written.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name}"',
        "Repr-Digest": f"sha-256=:{to_base64(bytes.fromhex(written.sha256))}:",
    }
    if _names(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    if "if-match" in request.headers and not _names(request.headers.getlist("if-match"), etag):
        return Response(status_code=412, headers=headers)
    # A client with a part of an earlier file is sent all of the one made again.
    is_same = request.headers.get("if-range", etag) == etag
    try:
        asked = request.headers.get("range") if is_same else None
        part = range_header.part_of(asked, written.bytes)
    except range_header.Unsatisfiable as error:
        headers["Content-Range"] = f"bytes */{error.size}"
        return Response(status_code=416, headers=headers)
    if part is None:
        part = range_header.ByteRange(0, written.bytes, written.bytes)
        status, headers["Content-Length"] = 200, str(written.bytes)
    else:
        status, headers = 206, headers | part.headers()
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    pieces = _pieces(door, file, part.start, part.stop)
    return StreamingResponse(pieces, status, headers, media_type)


async def _pieces(door: Door, file: ReadyFile, start: int, stop: int) -> AsyncIterator[bytes]:
    looked_s = 0.0
    for at in range(start, stop, _PIECE):
        if time.monotonic() - looked_s > _LOOKED_S:
            looked_s = time.monotonic()
            if not await door.run(file.is_current):
                raise _gone()
        yield await door.run(_read, file.path, at, min(at + _PIECE, stop))


def _read(path: Path, start: int, stop: int) -> bytes:
    # Opened for each piece: a file that was removed meanwhile sends nothing more.
    try:
        with path.open("rb") as file:
            file.seek(start)
            piece = file.read(stop - start)
    except FileNotFoundError:
        raise _gone() from None
    if len(piece) != stop - start:
        raise _gone()
    return piece


def _gone() -> NotFound:
    return NotFound("the file no longer exists: it was deleted, or an event in it was erased")


def _names(headers: list[str], etag: str) -> bool:
    tags = (tag.strip() for header in headers for tag in header.split(","))
    return any(tag.removeprefix("W/") in ("*", etag) for tag in tags)
