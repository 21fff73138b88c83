"""The lines of a bundle: entries, sections, events as NDJSON and CSV.

Stored bytes stand in them as they are, so that a verifier rebuilds each line from what it proved.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from tallystick import times
from tallystick.events.entry import SALT_BYTES, SECTIONS
from tallystick.store.base import LogRow
from tallystick.tlog.encoding import to_base64

CSV_HEAD: Final = (
    b"index,revision,id,kind,occurred_at,recorded_at,dialect,"
    b"actor,target,scopes,trails,data,previous,original,erased\r\n"
)
_FORMULA: Final = b"=+-@\t\r"


class _Place(msgspec.Struct):
    scopes: msgspec.Raw = msgspec.Raw(b"[]")
    trails: msgspec.Raw = msgspec.Raw(b"[]")
    original: msgspec.Raw = msgspec.Raw(b"null")


class EntryFields(msgspec.Struct):
    """An entry as its bytes tell it; texts are kept as they are written."""

    id: str
    op: str
    kind: msgspec.Raw
    occurred_ms: int
    recorded_ms: int
    dialect: msgspec.Raw
    sections: dict[str, str]
    subject: str | None = None


class EventLines(NamedTuple):
    """An event as a line of NDJSON and as one of CSV."""

    ndjson: bytes
    csv: bytes


_fields = msgspec.json.Decoder(EntryFields)
_place = msgspec.json.Decoder(_Place)


def fields_of(row: LogRow) -> EntryFields:
    """Return what an entry's bytes tell."""
    return _fields.decode(row.entry)


def entry_line(row: LogRow) -> bytes:
    """Return the line of an entry."""
    return b'{"index":%d,"entry":%b}\n' % (row.index, row.entry)


def sections_line(row: LogRow, fields: EntryFields) -> bytes:
    """Return the line of an entry's sections, each after its salt and length; null if erased."""
    parts = [b'{"index":%d' % row.index]
    for name, value in zip(SECTIONS, row.sections, strict=True):
        if name not in fields.sections:
            continue
        if value is None:
            parts.append(b',"%b":null' % name.encode())
            continue
        salt, content = value[:SALT_BYTES], value[SALT_BYTES:]
        parts.append(
            b',"%b":{"salt":"%b","length":%d,"json":%b}'
            % (name.encode(), to_base64(salt).encode(), len(content), content)
        )
    return b"".join(parts) + b"}\n"


def event_lines(row: LogRow, shown: LogRow) -> EventLines:
    """Return an event with the content of `shown`: the entry itself, or its latest revision."""
    fields, content = fields_of(row), fields_of(shown)
    actor, target, place_bytes, *_ = map(_content, row.sections)
    *_, data, previous = map(_content, shown.sections)
    place = _Place() if place_bytes is None else _place.decode(place_bytes)
    gone = [name for name in _missing(row, fields) if name in ("actor", "target", "place")]
    gone += [name for name in _missing(shown, content) if name in ("data", "previous")]
    values = {
        "id": _quoted(fields.id),
        "index": b"%d" % row.index,
        "revision": b"%d" % shown.index,
        "kind": bytes(fields.kind),
        "op": b'"record"',
        "occurred_at": _quoted(times.to_rfc3339(fields.occurred_ms)),
        "recorded_at": _quoted(times.to_rfc3339(fields.recorded_ms)),
        "actor": actor or b"null",
        "target": target or b"null",
        "scopes": bytes(place.scopes),
        "trails": bytes(place.trails),
        "data": data or b"{}",
        "previous": previous or b"null",
        "original": bytes(place.original),
        "dialect": bytes(fields.dialect),
        "erased": b"[%b]" % b",".join(map(_quoted, gone)),
        "leaf": _quoted(row.leaf.hex()),
        "receipt": _quoted(f"/v1/events/{fields.id}/receipt"),
    }
    members = b",".join(_quoted(name) + b":" + value for name, value in values.items())
    names = CSV_HEAD.rstrip().decode().split(",")
    cells = [_cell(_plain(values[name])) for name in names]
    return EventLines(b"{" + members + b"}\n", b",".join(cells) + b"\r\n")


def _content(section: bytes | None) -> bytes | None:
    return None if section is None else section[SALT_BYTES:]


def _missing(row: LogRow, fields: EntryFields) -> list[str]:
    pairs = zip(SECTIONS, row.sections, strict=True)
    return [name for name, value in pairs if value is None and name in fields.sections]


def _quoted(text: str) -> bytes:
    return b'"%b"' % text.encode()


def _plain(value: bytes) -> bytes:
    """Return a JSON string without its quotation marks, if nothing in it is escaped."""
    return value[1:-1] if value[:1] == b'"' and b"\\" not in value else value


def _cell(value: bytes) -> bytes:
    """Return a value as a CSV cell that no spreadsheet takes for a formula."""
    if value and value[:1] in _FORMULA:
        value = b"'" + value
    if any(special in value for special in (b'"', b",", b"\r", b"\n")):
        return b'"%b"' % value.replace(b'"', b'""')
    return value
