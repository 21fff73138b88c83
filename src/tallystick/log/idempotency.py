"""Claims: what makes a retry safe. A tenant's log has at most one entry for each.

A draft comes with the digest of the request beside each claim: where the claim is taken, the same
digest is answered with the entry that has it, another one is refused. Dialects whose ids are
claims of their own make those themselves.

Digests are those of values, not of their spelling: the order of members does not count, nor do
`1.0` for `1`, zeros at the end of a time, its zone, or the case of a UUID. Earlier versions took
their digests of what was written; a claim that they stored is known by that digest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, partial
from hashlib import sha256

import msgspec

from tallystick import limits, times
from tallystick.errors import Malformed
from tallystick.events import entry
from tallystick.events.event import Draft, Event, Json

# What a whole number with a point or an exponent contains; texts may contain it too.
_may_have_whole_floats = re.compile(rb"\d(?:\.0|[eE]\+?\d)").search


def digest_of_value(value: object) -> bytes:
    """Return the digest of a JSON value, the same for every spelling of it.

    Raises: Malformed when it is nested too deep.
    """
    return sha256(_canonical(value)).digest()


def digest_of_event(draft: Draft) -> bytes:
    """Return the digest of what a draft tells, the same for every spelling of it.

    Raises: Malformed when it is nested too deep.
    """
    return digest_of_value([draft.id, *_values(draft, draft.occurred_ms)])


def is_same_event(draft: Draft, event: Event) -> bool:
    """Tell whether a draft tells what an entry recorded; never so once a section is erased."""
    occurred_ms = event.recorded_ms if draft.occurred_ms is None else draft.occurred_ms
    if event.erased or occurred_ms != event.occurred_ms:
        return False
    found, wanted = _values(event, occurred_ms), _values(draft, occurred_ms)
    return _canonical(found) == _canonical(wanted)


def _values(event: Draft | Event, occurred_ms: int | None) -> list[object]:
    original = event.original
    if original is not None and occurred_ms is not None:
        original = _without_spelling(original, occurred_ms)
    return [
        event.kind, event.op, occurred_ms, event.actor, event.target, event.scopes, event.trails,
        event.data, event.previous, original, event.dialect, event.subject,
    ]  # fmt: skip


def _without_spelling(original: Json, occurred_ms: int) -> Json:
    """Return `original` with only the digits of `occurred_at` that the event's time does not have.

    What it says of another moment stays as it is.
    """
    text = original.get("occurred_at")
    if not isinstance(text, str):
        return original
    try:
        is_the_same = times.from_rfc3339(text) == occurred_ms
    except Malformed:
        return original
    return {**original, "occurred_at": [times.finer_than_ms(text)]} if is_the_same else original


def _canonical(value: object) -> bytes:
    try:
        text = msgspec.json.encode(value, order="sorted")
        if _may_have_whole_floats(text):
            text = msgspec.json.encode(_with_whole_numbers(msgspec.json.decode(text)))
    except RecursionError:
        raise Malformed(f"JSON may be nested {limits.JSON_DEPTH} deep at most") from None
    return text


def _with_whole_numbers(value: object) -> object:
    """Return a decoded JSON value with `1.0` as `1`, as programs write it that know one number."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list):
        return [_with_whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_whole_numbers(member) for name, member in value.items()}
    return value


def claim_of_id(event_id: str) -> bytes:
    """Return the claim that makes a client-chosen event id unique."""
    return b"i" + bytes.fromhex(event_id.replace("-", ""))


def claim(draft: Draft, text: bytes, value: object) -> None:
    """Let a draft claim `text` with the digest of a JSON value.

    Raises: Malformed when the value is nested too deep.
    """
    draft.claims += ((text, digest_of_value(value)),)
    draft.earlier_digests += (partial(entry.digest_of, value),)


def claim_key(draft: Draft, idempotency_key: str | None, body: object, line: int = 1) -> None:
    """Let a draft claim an Idempotency-Key with the JSON value that came with it.

    Each line of a stream has a claim of its own. An event that comes alone is a first line, so that
    the same key in another form is noticed.
    Raises: Malformed when the key is empty or too long.
    """
    if idempotency_key is not None:
        claim(draft, _claim_of_key(check_key(idempotency_key), line), body)


def claim_event(draft: Draft, idempotency_key: str | None, written: object, line: int = 1) -> None:
    """Let an event that comes alone or as a line claim its key and its own id.

    `written` is the decoded body: earlier versions took their digest of it.
    Raises: Malformed when the key is empty or too long.
    """
    if idempotency_key is None and draft.id is None:
        return
    digest = digest_of_event(draft)
    if idempotency_key is not None:
        draft.claims += ((_claim_of_key(check_key(idempotency_key), line), digest),)
    if draft.id is not None:
        draft.claims += ((claim_of_id(draft.id), digest),)
    draft.earlier_digests += (partial(entry.digest_of, written),)


def claim_list(
    drafts: Sequence[Draft], idempotency_key: str | None, written: Sequence[object]
) -> None:
    """Let each event of a list claim its place under the key, with the whole list, and its id.

    `written` is the decoded body: earlier versions took their digest of it.
    Raises: Malformed when the key is empty or too long.
    """
    if idempotency_key is None:
        for draft, event in zip(drafts, written, strict=True):
            claim_event(draft, None, event)
        return
    text = check_key(idempotency_key)
    own = [digest_of_event(draft) for draft in drafts]
    # Not the digest of the only event that a list may have: that key came in another form.
    whole = sha256(b"[" + b"".join(own)).digest()
    earlier = cache(partial(entry.digest_of, written))
    for line, (draft, digest, event) in enumerate(zip(drafts, own, written, strict=True), 1):
        draft.claims += ((_claim_of_key(text, line), whole),)
        draft.earlier_digests += (earlier,)
        if draft.id is not None:
            draft.claims += ((claim_of_id(draft.id), digest),)
            draft.earlier_digests += (partial(entry.digest_of, event),)


def check_key(idempotency_key: str) -> bytes:
    """Let an Idempotency-Key pass that is neither empty nor too long; return its bytes.

    Raises: Malformed.
    """
    text = idempotency_key.encode("utf-8", "surrogatepass")
    if not 0 < len(text) <= limits.NAME_BYTES:
        raise Malformed(
            f"an Idempotency-Key has 1 to {limits.NAME_BYTES} bytes", path="Idempotency-Key"
        )
    return text


def _claim_of_key(text: bytes, line: int) -> bytes:
    suffix = b"" if line == 1 else b"\n%d" % line
    return b"k" + sha256(text + suffix).digest()
