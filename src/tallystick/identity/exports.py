"""Exports on record: what is written to a file, for whom, and until when it is kept.

The record holds positions and names of nobody but the maker: what was asked for stands in the data
of the entry that requested it, which can be erased. How far a file has come is the server's to know
that writes it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tallystick.events.event import Resource
from tallystick.identity.streams import Maker

KIND = "export"

What = Literal["events", "bundle"]

FACTS = ("what", "format", "size", "expires_ms", "maker")
"""What the requesting entry tells of the record."""


class ExportJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that somebody asked for, as of a size of the log."""

    id: str
    """32 hexadecimal digits."""
    tenant: str
    created_ms: int
    expires_ms: int
    what: What
    format: str
    size: int
    maker: Maker
    ended: str | None = None
    """Why there is no file any more, though nobody deleted it."""


def claim_of(id: str) -> bytes:
    """Return the claim by which the entry is found that says what was asked for."""
    return b"x" + bytes.fromhex(id)


def named(maker: Maker) -> Resource:
    """Return a maker as the log names it; the owner of the data folder is its operator."""
    for type in ("client", "user", "key"):
        id = getattr(maker, type)
        if id is not None:
            return Resource(type, id)
    return Resource("operator", "control.sock")
