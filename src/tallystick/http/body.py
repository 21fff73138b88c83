"""Reading a request body without reading more than a limit allows."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.types import Receive, Scope

from tallystick.errors import Malformed, TooLarge


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """Return the whole body.

    Raises: TooLarge as soon as the limit is passed, ClientGone.
    """
    _check_declared(scope, limit_bytes)
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
    """Yield the body as it comes in.

    Raises: TooLarge before more is read than the limit allows, ClientGone.
    """
    _check_declared(request.scope, limit_bytes)
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
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None


def text_header(scope: Scope, name: bytes) -> str | None:
    """Return the first header called `name` as text."""
    value = header(scope, name)
    return None if value is None else value.decode("latin-1")


def _check_declared(scope: Scope, limit_bytes: int) -> None:
    declared = header(scope, b"content-length")
    if declared is None:
        return
    if not declared.isdigit():
        raise Malformed("Content-Length is not a number")
    _check(int(declared), limit_bytes)


def _check(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise TooLarge(
            f"the body may have {limit_bytes:,} bytes; this one has {size:,} or more",
            limit=limit_bytes,
            actual=size,
        )
