"""What a server and its follower process say to each other: lines of JSON over a socket pair.

The server has at most one message under way a follower; what else there is to say gathers until it
was answered. So neither side ever waits for the other's buffer, and under load the news of many
commits is one message.
"""

from __future__ import annotations

import socket
from typing import Generic, TypeVar

import msgspec

_CHUNK_BYTES = 1 << 16


_Message = TypeVar("_Message", "FollowerOrder", "FollowerReport")


class FollowerOrder(msgspec.Struct, omit_defaults=True):
    """From the server: how far logs have come, who waits for it, what to serve or to stop."""

    heads: dict[str, int] = {}
    urgent: list[str] = []
    """Tenants whose logs a read waits for, as far as the server named them by now."""
    swap: str | None = None
    """The generation to go on with."""
    check: int = 0
    """The number of the doubt for which to check that what was taken is still in the log."""
    damaged: bool = False
    """A reader found the index damaged: it is to be made again."""
    verify: bool = False
    """A reader suspects that it is damaged."""


class FollowerReport(msgspec.Struct, omit_defaults=True):
    """From the follower: how far it has come.

    `answer` says that the message under way was read. `folder` comes with the cursors of all
    tenants of a generation, when it is opened; otherwise `cursors` are those that moved.
    """

    cursors: dict[str, int] = {}
    answer: bool = False
    folder: str | None = None
    residue: bool = False
    """Only a rebuild destroys what is left of erased content."""
    checked: int = 0
    """The latest doubt that was settled; what is wrong with the index was said before."""
    remade: str | None = None
    """Why the index that `folder` names is made from the beginning."""
    set_back: dict[str, int] = {}
    """Positions to which logs had been followed whose entries there are gone."""
    done: int = 0
    total: int = 0


class Lines(Generic[_Message]):
    """Messages of one kind from a stream of bytes."""

    def __init__(self, kind: type[_Message]) -> None:
        self._decoder: msgspec.json.Decoder[_Message] = msgspec.json.Decoder(kind)
        self._rest = b""

    def feed(self, data: bytes) -> list[_Message]:
        """Take in bytes and return the messages that they complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [self._decoder.decode(line) for line in lines]


def send(sock: socket.socket, message: FollowerOrder | FollowerReport) -> None:
    """Send one message, waiting until it is handed over.

    Raises: OSError when the other side is gone.
    """
    sock.sendall(msgspec.json.encode(message) + b"\n")


def receive(sock: socket.socket) -> bytes:
    """Return what has arrived, waiting until something has; nothing once the other side is gone."""
    try:
        return sock.recv(_CHUNK_BYTES)
    except ConnectionError:
        return b""
