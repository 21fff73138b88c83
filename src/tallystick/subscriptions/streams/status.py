"""Streams as administration shows them: what people decided, and how far the sender has come."""

from __future__ import annotations

import msgspec

from tallystick import times
from tallystick.events.event import Json
from tallystick.identity.streams import Stream
from tallystick.store.stream_states import Letter
from tallystick.subscriptions.streams.progress import Delivery, StreamProgress


def stream(known: Stream, doc: bytes | None, size: int) -> Json:
    """Return a stream, its state as its sender wrote it last, and how far it is behind."""
    progress = _progress(doc)
    if progress is not None and progress.salt != known.salt:
        progress = None
    told: Json = {
        "name": known.id,
        "tenant": known.tenant,
        "sink": known.sink,
        "to": known.to,
        "mode": known.mode,
        "filter": _filter(known),
        "state": known.state,
        "reason": known.reason,
        "created_at": times.to_rfc3339(known.created_ms),
        "created_by": msgspec.to_builtins(known.maker_name),
        "options": known.options,
    }
    if progress is None or progress.epoch != known.epoch:
        return told | {"position": known.start, "lag": max(0, size - known.start)}
    told |= {
        "position": progress.at.index,
        "lag": max(0, size - progress.at.index),
        "delivered": progress.total,
        "delivered_at": _time(progress.delivered_ms),
        "problem": progress.problem,
        "attempts": progress.attempts,
        "failing_since": _time(progress.failing_since_ms),
        "next_attempt_at": _time(progress.retry_ms or None),
    }
    replay = known.replay
    if replay is not None and (progress.replay != replay.number or progress.replay_at):
        at = replay.start if progress.replay_at is None else progress.replay_at.index
        told["replay"] = {"from": replay.start, "to": replay.stop, "position": at}
    return told


def behind_pending(doc: bytes | None) -> int | None:
    """Return the position behind what a stream keeps trying to deliver; None if it does not."""
    progress = _progress(doc)
    if progress is None or progress.pending is None or not progress.attempts:
        return None
    return progress.pending.index + (1 if progress.pending.part else 0)


def delivery(doc: bytes) -> Json:
    """Return one attempt of the delivery log."""
    known = msgspec.json.decode(doc, type=Delivery)
    told: Json = msgspec.to_builtins(known)
    del told["at_ms"], told["start"], told["stop"]
    return {
        **told,
        "at": times.to_rfc3339(known.at_ms),
        "from": known.start,
        "to": known.stop,
        "delivered": known.problem is None,
    }


def letter(known: Letter) -> Json:
    """Return a dead letter."""
    return {
        "from": known.start,
        "to": known.stop + (1 if known.stop_part else 0),
        "attempts": known.attempts,
        "problem": known.problem,
    }


def _progress(doc: bytes | None) -> StreamProgress | None:
    return None if doc is None else msgspec.json.decode(doc, type=StreamProgress)


def _filter(known: Stream) -> Json:
    told: Json = msgspec.to_builtins(known.filter)
    for name in ("from", "to"):
        time_ms = told.pop(f"{name}_ms", None)
        if time_ms is not None:
            told[name] = times.to_rfc3339(time_ms)
    return told


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else times.to_rfc3339(time_ms)
