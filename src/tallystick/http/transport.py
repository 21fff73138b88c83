"""Answers that leave in one piece, and clients that neither go on and on nor stand still.

The HTTP server writes the head and the body of an answer one after the other, and each write would
be a call to the system and a packet of its own: a third of what a small request costs. Here all
that a connection writes in one turn of the event loop goes out together.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tallystick import limits

_END = b"content-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + _END
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n" + _END


class JoinedWrites(asyncio.Transport):
    """A transport that keeps what is written until the loop's turn ends."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._kept: list[bytes | bytearray | memoryview[Any]] = []

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send `data` soon, together with what follows at once."""
        if not self._kept:
            self._loop.call_soon(self._send)
        self._kept.append(data)

    def _send(self) -> None:
        if self._kept:
            kept, self._kept = self._kept, []
            self._transport.write(b"".join(kept))

    def close(self) -> None:
        """Send what is kept, then close."""
        self._send()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._kept.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        """Tell whether the connection is closing or closed."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the connection."""
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self._transport.set_protocol(protocol)

    def pause_reading(self) -> None:
        """Take no more bytes from the other side."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes from the other side again."""
        self._transport.resume_reading()


class Protocol(HttpToolsProtocol):
    """The HTTP server's protocol over such a transport; it bounds what is no body, and waiting.

    How long a body takes is up to whoever may send one: lines may be sent as they come about.
    """

    _loose_bytes = 0
    _head_since_s: float | None = None
    """Since when the head of a request is waited for."""
    _stalled_since_s: float | None = None
    """Since when the client takes nothing of an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(JoinedWrites(transport))
        self._head_since_s = self.loop.time()
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._next_look.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Hold answers back: the client does not take them."""
        self._stalled_since_s = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on with answers."""
        self._stalled_since_s = None
        super().resume_writing()

    def _look_again(self) -> None:
        # A timer for each request would cost every request; one that looks now and then does not.
        self._next_look = self.loop.call_later(limits.CLIENT_WAIT_S / 4, self._look)

    def _look(self) -> None:
        """Close the connection of a client that stands still, else look again later."""
        latest_s = self.loop.time() - limits.CLIENT_WAIT_S
        if self._stalled_since_s is not None and self._stalled_since_s <= latest_s:
            self.transport.abort()
        elif self._head_since_s is not None and self._head_since_s <= latest_s:
            self.transport.write(_TOO_SLOW)
            self.transport.close()
        else:
            self._look_again()

    def data_received(self, data: bytes) -> None:
        """Take what came in; a head, or trailers, that go on and on are not waited for."""
        self._loose_bytes += len(data)
        super().data_received(data)
        # What follows an end in the same read does not count: that is bounded by itself.
        if self._loose_bytes > limits.HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        # Between requests an empty line is no beginning of one, but ends the wait for the next.
        if self._head_since_s is None and self.cycle.response_complete:
            self._head_since_s = self.loop.time()

    def on_message_begin(self) -> None:
        """Count from the beginning of a request."""
        self._loose_bytes = 0
        self._head_since_s = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Count anew: the head is whole."""
        self._loose_bytes = 0
        super().on_headers_complete()
        self._head_since_s = None

    def on_body(self, body: bytes) -> None:
        """Count anew: a piece of the body is here."""
        self._loose_bytes = 0
        super().on_body(body)
