"""Streams on record: what is sent where, for whom, and from which entry on.

A record says what people decided; how far a stream has come is the sender's to know. Each decision
is an act, so the log tells who sent what out of the store, and to whom.
"""

from __future__ import annotations

import secrets
from typing import Literal

import msgspec

from tallystick.events.event import Json, Resource
from tallystick.identity.access import Scope
from tallystick.query.native_filter import NativeFilter

SINKS = ("webhook", "hec", "otlp", "cloudevents", "objects")
MODES = ("ordered", "parallel")

Sink = Literal["webhook", "hec", "otlp", "cloudevents", "objects"]
Mode = Literal["ordered", "parallel"]
State = Literal["active", "paused", "disabled"]


class Maker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """For whom a stream reads: a key, a user or a program; none of them is the operator."""

    key: str | None = None
    user: str | None = None
    client: str | None = None
    scopes: tuple[Scope, ...] = ()
    names: tuple[str, ...] = ()
    """Names of a token's scopes, which narrow what roles show."""


class Replay(msgspec.Struct, frozen=True):
    """A stretch of the log to be sent again, before what comes next; `number` counts them."""

    number: int
    start: int
    stop: int


class Stream(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is sent, to whom, and since when."""

    id: str
    tenant: str
    created_ms: int
    sink: Sink
    to: str
    """A URL, or the name of a destination that the operator configured."""
    mode: Mode
    filter: NativeFilter
    maker: Maker
    maker_name: Resource
    salt: str
    """What tells this stream from another of the same name; secrets follow from it."""
    start: int
    """The entry at which it begins."""
    epoch: int = 1
    """Moves with `start`: the sender begins there when it sees another one."""
    replay: Replay | None = None
    revived: int = 0
    """Moves when dead letters are to be sent again."""
    state: State = "active"
    reason: str | None = None
    run: int = 1
    """Moves when it is resumed: what stopped an earlier run is over."""
    secret: int = 1
    """Which of the secrets that follow from the salt is the latest."""
    rotated_ms: int | None = None
    headers: str | None = None
    """Headers of every request, encrypted."""
    options: Json = {}
    """What only one kind of sink knows, such as the index of a Splunk."""


def new_salt() -> str:
    """Return what tells a new stream from every other."""
    return secrets.token_hex(8)
