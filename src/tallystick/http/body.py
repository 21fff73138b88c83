"""Reading a request body without reading more than a limit allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.types import Receive, Scope

from tallystick.errors import Malformed, TooLarge
from tallystick.http.compression import Unpacker, coding_of, unpacked

_FIRST_HEADERS = "tallystick.first_headers"


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """Return the whole body, unpacked.

    Raises: TooLarge as soon as the limit is passed, before or after unpacking; Malformed,
    UnsupportedMediaType, ClientGone.
    """
    coding = _declared(scope, limit_bytes)
    body = await _as_sent(receive, limit_bytes)
    if coding is None:
        return body
    # In a thread: a small body may unpack to as much as is allowed, and all others would wait.
    return await asyncio.to_thread(unpacked, coding, body, limit_bytes)


async def _as_sent(receive: Receive, limit_bytes: int) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise ClientGone
    if not message.get("more_body", False):
        _check(len(body), limit_bytes)
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        _check(size, limit_bytes)
    return b"".join(parts)


async def pieces_of(request: Request, limit_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body as it comes in, unpacked.

    Raises: TooLarge before more is read or unpacked than the limit allows; Malformed,
    UnsupportedMediaType, ClientGone.
    """
    coding = _declared(request.scope, limit_bytes)
    sent = _pieces_as_sent(request, limit_bytes)
    if coding is None:
        async for piece in sent:
            yield piece
        return
    unpacker = Unpacker(coding, limit_bytes)
    async for piece in sent:
        # Each piece unpacks to a moderate size, so that others get their turn in between.
        for part in unpacker.unpack(piece):
            yield part
            await asyncio.sleep(0)
    unpacker.finish()


async def _pieces_as_sent(request: Request, limit_bytes: int) -> AsyncIterator[bytes]:
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        data: bytes = message.get("body", b"")
        size += len(data)
        _check(size, limit_bytes)
        more = message.get("more_body", False)
        yield data


async def body_of(request: Request, limit_bytes: int) -> bytes:
    """Return the whole body of a Starlette request; see `read_body`."""
    return await read_body(request.scope, request.receive, limit_bytes)


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the first header called `name` (in lower case)."""
    firsts: dict[bytes, bytes] | None = scope.get(_FIRST_HEADERS)
    if firsts is None:
        # Several are asked for at each request.
        firsts = scope[_FIRST_HEADERS] = dict(reversed(scope["headers"]))
    return firsts.get(name)


def text_header(scope: Scope, name: bytes) -> str | None:
    """Return the first header called `name` as text."""
    value = header(scope, name)
    return None if value is None else value.decode("latin-1")


def _declared(scope: Scope, limit_bytes: int) -> str | None:
    """Return the coding that a request's body is packed in; check the length it declares.

    Raises: TooLarge, Malformed, UnsupportedMediaType.
    """
    length = header(scope, b"content-length")
    if length is not None:
        if not length.isdigit():
            raise Malformed("Content-Length is not a number")
        _check(int(length), limit_bytes)
    if header(scope, b"content-encoding") is None:
        return None
    codings = [value for name, value in scope["headers"] if name == b"content-encoding"]
    return coding_of(b",".join(codings).decode("latin-1"))


def _check(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise TooLarge(
            f"the body may have {limit_bytes:,} bytes; this one has {size:,} or more",
            limit=limit_bytes,
            actual=size,
        )
