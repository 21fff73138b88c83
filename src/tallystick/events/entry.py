"""The bytes that are hashed: sections, commitments and the entry itself.

`prepare` checks a draft and encodes its sections once, before the draft queues; `seal` gives it
its place in the log; `decode` turns stored bytes back into an event. From `prepare` on, bytes are
only hashed, never encoded again. Source: `docs/design/entry.md`.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from tallystick import limits
from tallystick.errors import Malformed, StoreCorrupt, TooLarge
from tallystick.events import ids
from tallystick.events.event import Draft, Event, Json, Op, Resource
from tallystick.json_text import NOT_JSON

VERSION = 1
SECTIONS = ("actor", "target", "place", "data", "previous")
SALT_BYTES = 16

_encode = msgspec.json.encode
_json = msgspec.json.Decoder()

Sections = tuple[bytes | None, bytes | None, bytes | None, bytes | None, bytes | None]
"""One value a section, in the order of `SECTIONS`; salt first once sealed; None when absent."""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `place` section: what the event happened inside, and where it was known before."""

    scopes: tuple[Resource, ...] = ()
    trails: tuple[str, ...] = ()
    original: Json | None = None


class Prepared(NamedTuple):
    """A checked draft, encoded and ready to be given its place."""

    draft: Draft
    sections: Sections
    head: bytes
    """The entry's members that do not depend on its place, as JSON text."""
    tail: bytes
    size_bytes: int


class Sealed(NamedTuple):
    """A draft with its place in the log: exactly what the store keeps."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    id: str
    recorded_ms: int
    occurred_ms: int
    entry: bytes
    leaf: bytes
    sections: Sections
    """Each present section is its salt followed by its bytes."""


class _Entry(msgspec.Struct):
    v: int
    id: str
    op: Op
    kind: str
    occurred_ms: int
    recorded_ms: int
    dialect: str
    sections: dict[str, str]
    subject: str | None = None


_entry_decoder = msgspec.json.Decoder(_Entry)
_resource_decoder = msgspec.json.Decoder(Resource)
_place_decoder = msgspec.json.Decoder(Place)


def prepare(draft: Draft) -> Prepared:
    """Check `draft` against the limits and encode its sections.

    Raises: Malformed, TooLarge; the path names the member.
    Cost: about 4 us for an event of 640 bytes.
    """
    _check_names(draft)
    place = None
    if draft.scopes or draft.trails or draft.original is not None:
        place = _encoded(Place(draft.scopes, draft.trails, draft.original), "scopes")
    sections = (
        None if draft.actor is None else _encoded(draft.actor, "actor"),
        None if draft.target is None else _encoded(draft.target, "target"),
        place,
        _encoded(draft.data, "data"),
        None if draft.previous is None else _encoded(draft.previous, "previous"),
    )
    size = sum(len(section) for section in sections if section is not None)
    if size > limits.EVENT_BYTES:
        raise TooLarge(
            f"an event may have {limits.EVENT_BYTES:,} bytes; this one has {size:,}",
            limit=limits.EVENT_BYTES,
            actual=size,
        )
    head = b'","op":"%b","kind":%b' % (draft.op.value.encode(), _encoded(draft.kind, "kind"))
    tail = b',"dialect":%b' % _encode(draft.dialect)
    if draft.subject is not None:
        tail += b',"subject":' + _encoded(draft.subject, "subject")
    return Prepared(draft, sections, head, tail, size)


def seal(prepared: Prepared, index: int, recorded_ms: int, noise: bytes) -> Sealed:
    """Return `prepared` as the entry at `index`.

    Shape: `noise` holds 5 random bytes for the id and 16 for the salt of each section.
    """
    draft, sections, head, tail, _ = prepared
    event_id = draft.id or ids.event_id(recorded_ms, index, int.from_bytes(noise[:5], "big"))
    occurred_ms = recorded_ms if draft.occurred_ms is None else draft.occurred_ms
    commitments: list[bytes] = []
    salted: list[bytes | None] = []
    at = 5
    for name, section in zip(_SECTION_PREFIXES, sections, strict=True):
        if section is None:
            salted.append(None)
            continue
        value = noise[at : at + SALT_BYTES] + section
        at += SALT_BYTES
        salted.append(value)
        commitments.append(name + b2a_base64(sha256(value).digest(), newline=False) + b'"')
    entry = b'{"v":1,"id":"%b%b,"occurred_ms":%d,"recorded_ms":%d%b,"sections":{%b}}' % (
        event_id.encode(),
        head,
        occurred_ms,
        recorded_ms,
        tail,
        b",".join(commitments),
    )
    leaf = sha256(b"\x00" + entry).digest()
    return Sealed(
        index,
        event_id,
        recorded_ms,
        occurred_ms,
        entry,
        leaf,
        tuple(salted),  # type: ignore[arg-type]  # one value for each of the five sections
    )


OP_BYTES = 90
"""The op of an entry stands in its first bytes, behind the version and the id."""

NOISE_BYTES = 5 + SALT_BYTES * len(SECTIONS)
"""Random bytes that `seal` may use for one entry."""

_SECTION_PREFIXES = tuple(f'"{name}":"'.encode() for name in SECTIONS)


def decode(tenant: str, index: int, entry: bytes, sections: Sections) -> Event:
    """Return the event that stored bytes describe.

    Raises: StoreCorrupt when they are not what `seal` wrote.
    """
    try:
        head = _entry_decoder.decode(entry)
        actor, target, place_bytes, data, previous = sections
        place = _PLACELESS if place_bytes is None else _place_decoder.decode(_text(place_bytes))
        return Event(
            tenant=tenant,
            index=index,
            id=head.id,
            kind=head.kind,
            op=head.op,
            occurred_ms=head.occurred_ms,
            recorded_ms=head.recorded_ms,
            dialect=head.dialect,
            actor=None if actor is None else _resource_decoder.decode(_text(actor)),
            target=None if target is None else _resource_decoder.decode(_text(target)),
            scopes=place.scopes,
            trails=place.trails,
            data={} if data is None else _json.decode(_text(data)),
            previous=None if previous is None else _json.decode(_text(previous)),
            subject=head.subject,
            original=place.original,
            erased=_erased(head.sections, sections),
        )
    except (*NOT_JSON, ValueError) as error:
        raise StoreCorrupt(f"entry {index} of tenant {tenant!r} does not decode") from error


def _erased(committed: dict[str, str], sections: Sections) -> tuple[str, ...]:
    if len(committed) + sections.count(None) == len(SECTIONS):
        return ()
    return tuple(
        name
        for name, value in zip(SECTIONS, sections, strict=True)
        if value is None and name in committed
    )


def id_of(entry: bytes) -> str:
    """Return the event id that an entry names."""
    return _entry_decoder.decode(entry).id


def recorded_ms_of(entry: bytes) -> int:
    """Return when an entry was recorded.

    Raises: StoreCorrupt.
    """
    try:
        return _entry_decoder.decode(entry).recorded_ms
    except NOT_JSON as error:
        raise StoreCorrupt("an entry does not decode") from error


def committed_sections(entry: bytes) -> tuple[str, ...]:
    """Return the names of the sections that an entry commits to, in section order."""
    named = _entry_decoder.decode(entry).sections
    return tuple(name for name in SECTIONS if name in named)


def section_bits(names: Iterable[str]) -> int:
    """Return the names of sections as bits."""
    return sum(1 << SECTIONS.index(name) for name in names)


def sections_of_bits(bits: int, present: Iterable[str]) -> tuple[str, ...]:
    """Return those of some sections whose bits are set."""
    return tuple(name for name in present if bits >> SECTIONS.index(name) & 1)


def salt_hash(sections: Sections, erased: tuple[str, ...]) -> bytes | None:
    """Return the SHA-256 of the salts in section order; None once a section is erased."""
    if erased:
        return None
    return sha256(b"".join([s[:SALT_BYTES] for s in sections if s is not None])).digest()


def digest_of(value: Any) -> bytes:
    """Return the digest by which a retried request is told from a different one."""
    return sha256(_encode(value)).digest()


_PLACELESS = Place()


def _text(section: bytes) -> memoryview:
    return memoryview(section)[SALT_BYTES:]


def _encoded(value: object, path: str) -> bytes:
    try:
        text = _encode(value)
    except RecursionError:
        raise _too_deep(path) from None
    except (UnicodeEncodeError, UnicodeDecodeError):
        raise Malformed("strings must be Unicode without lone surrogates", path=path) from None
    except (msgspec.EncodeError, TypeError, OverflowError) as error:
        raise Malformed(f"{path} cannot be written as JSON", path=path) from error
    # Counting brackets is far cheaper than walking, and most events have only a few.
    if text.count(b"{") + text.count(b"[") > limits.JSON_DEPTH and _depth(text) > limits.JSON_DEPTH:
        raise _too_deep(path)
    return text


def _too_deep(path: str) -> Malformed:
    return Malformed(f"JSON may be nested {limits.JSON_DEPTH} deep at most", path=path)


def _depth(text: bytes) -> int:
    depth = deepest = 0
    in_string = escaped = False
    for byte in text:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _check_names(draft: Draft) -> None:
    _check_name(draft.kind, "kind")
    if draft.id is not None and not ids.is_uuid(draft.id):
        raise Malformed("an event id is a UUID", path="id")
    occurred_ms = draft.occurred_ms
    if occurred_ms is not None and not (
        limits.OCCURRED_MS_MIN <= occurred_ms <= limits.OCCURRED_MS_MAX
    ):
        raise Malformed("an event happens in the years 0002 to 9998", path="occurred_at")
    if draft.actor is not None:
        _check_resource(draft.actor, "actor")
    if draft.target is not None:
        _check_resource(draft.target, "target")
    if draft.scopes:
        _check_count(len(draft.scopes), limits.SCOPES, "scopes")
        for n, scope in enumerate(draft.scopes):
            _check_resource(scope, "scopes", n)
    if draft.trails:
        _check_count(len(draft.trails), limits.TRAILS, "trails")
        for n, trail in enumerate(draft.trails):
            _check_name(trail, "trails", n)


def _check_resource(resource: Resource, *path: str | int) -> None:
    _check_name(resource.type, *path, "type")
    _check_name(resource.id, *path, "id")
    if resource.name is not None:
        _check_name(resource.name, *path, "name")


def _check_count(count: int, limit: int, path: str) -> None:
    if count > limit:
        raise TooLarge(
            f"an event may have {limit} {path}; this one has {count}",
            limit=limit,
            actual=count,
            path=path,
        )


def _check_name(text: str, *path: str | int) -> None:
    # A code point is at most four bytes, so short strings need no encoding to be counted.
    if len(text) <= _SHORT_CHARS:
        return
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limits.NAME_BYTES:
        where = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in path)[1:]
        raise TooLarge(
            f"{where} may have {limits.NAME_BYTES:,} bytes; this one has {size:,}",
            limit=limits.NAME_BYTES,
            actual=size,
            path=where,
        )


_SHORT_CHARS = limits.NAME_BYTES // 4
