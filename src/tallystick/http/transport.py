"""Answers that leave in one piece, and requests whose head comes to an end.

The HTTP server writes the head and the body of an answer one after the other, and each write would
be a call to the system and a packet of its own: a third of what a small request costs. Here all
that a connection writes in one turn of the event loop goes out together.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tallystick import limits

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


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
    """The HTTP server's protocol over such a transport; it bounds what is no body."""

    _loose_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(JoinedWrites(transport))

    def data_received(self, data: bytes) -> None:
        """Take what came in; a head, or trailers, that go on and on are not waited for."""
        self._loose_bytes += len(data)
        super().data_received(data)
        # What follows an end in the same read does not count: that is bounded by itself.
        if self._loose_bytes > limits.HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Count from the beginning of a request."""
        self._loose_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Count anew: the head is whole."""
        self._loose_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count anew: a piece of the body is here."""
        self._loose_bytes = 0
        super().on_body(body)
