"""Acts on streams: each is an entry of op `system` together with the record that it changes."""

from __future__ import annotations

from typing import Literal

import msgspec

from tallystick.errors import Conflict
from tallystick.events.event import Draft, Json, Op, Resource
from tallystick.identity.acts import Act
from tallystick.identity.streams import Maker, Replay, Stream
from tallystick.store.base import IdentityWrite


def created(stream: Stream, actor: Resource) -> Act:
    """Return the act that makes a stream."""
    told: Json = {
        name: msgspec.to_builtins(getattr(stream, name))
        for name in ("sink", "to", "mode", "filter", "start", "salt", "maker", "options")
    }
    return _act("created", stream, actor, told)


def paused(stream: Stream, reason: str, actor: Resource | None) -> Act:
    """Return the act after which a stream sends nothing until it is resumed.

    Raises: Conflict when it is not active.
    """
    return _stopped(stream, "paused", reason, actor)


def disabled(stream: Stream, reason: str, actor: Resource | None) -> Act:
    """Return the act by which a receiver that takes nothing, or wants nothing, is left alone.

    Raises: Conflict when the stream is not active.
    """
    return _stopped(stream, "disabled", reason, actor)


def resumed(stream: Stream, maker: Maker, actor: Resource) -> Act:
    """Return the act after which a stream goes on where it stopped, for a maker.

    Raises: Conflict when it is active.
    """
    if stream.state == "active":
        raise Conflict(f"the stream {stream.id!r} is active")
    changed = msgspec.structs.replace(
        stream, state="active", reason=None, run=stream.run + 1, maker=maker,
        maker_name=stream.maker_name if maker == stream.maker else actor,
    )  # fmt: skip
    told: Json = {"state": "active", "reason": None, "run": changed.run}
    told["maker"] = msgspec.to_builtins(maker)
    return _act("resumed", changed, actor, told)


def skipped(stream: Stream, start: int, actor: Resource) -> Act:
    """Return the act after which a stream goes on at another entry."""
    return _moved("skipped", stream, start, actor)


def replayed(stream: Stream, start: int, stop: int | None, actor: Resource) -> Act:
    """Return the act that sends a stretch again before what comes next; without `stop`, all."""
    if stop is None:
        return _moved("replayed", stream, start, actor)
    number = 1 if stream.replay is None else stream.replay.number + 1
    replay = Replay(number, start, stop)
    changed = msgspec.structs.replace(stream, replay=replay)
    return _act("replayed", changed, actor, {"replay": msgspec.to_builtins(replay)})


def revived(stream: Stream, actor: Resource) -> Act:
    """Return the act that sends dead letters again."""
    changed = msgspec.structs.replace(stream, revived=stream.revived + 1)
    return _act("replayed", changed, actor, {"revived": changed.revived})


def rotated(stream: Stream, now_ms: int, actor: Resource) -> Act:
    """Return the act that gives a stream a new secret; the one before counts for some time yet."""
    changed = msgspec.structs.replace(stream, secret=stream.secret + 1, rotated_ms=now_ms)
    told: Json = {"secret": changed.secret, "rotated_ms": now_ms}
    return _act("secret_rotated", changed, actor, told)


def deleted(stream: Stream, actor: Resource) -> Act:
    """Return the act that ends a stream."""
    write = IdentityWrite(stream.tenant, "stream", stream.id, None)
    return Act(draft_of(stream, "stream.deleted", {}, actor), (write,))


def draft_of(stream: Stream, kind: str, told: Json, actor: Resource | None = None) -> Draft:
    """Return the draft of an entry about a stream."""
    target = Resource("stream", stream.id)
    return Draft(kind=kind, op=Op.SYSTEM, actor=actor, target=target, data=told, dialect="native")


def _act(what: str, stream: Stream, actor: Resource | None, told: Json) -> Act:
    write = IdentityWrite(stream.tenant, "stream", stream.id, msgspec.json.encode(stream))
    return Act(draft_of(stream, f"stream.{what}", told, actor), (write,))


def _moved(what: str, stream: Stream, start: int, actor: Resource) -> Act:
    changed = msgspec.structs.replace(stream, start=start, epoch=stream.epoch + 1)
    return _act(what, changed, actor, {"start": start, "epoch": changed.epoch})


def _stopped(
    stream: Stream, state: Literal["paused", "disabled"], reason: str, actor: Resource | None
) -> Act:
    _check_active(stream)
    changed = msgspec.structs.replace(stream, state=state, reason=reason)
    return _act(state, changed, actor, {"state": state, "reason": reason})


def _check_active(stream: Stream) -> None:
    if stream.state != "active":
        raise Conflict(f"the stream {stream.id!r} is {stream.state} already")
