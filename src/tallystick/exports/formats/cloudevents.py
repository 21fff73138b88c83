"""CloudEvents in structured mode, one a line. Source: CloudEvents 1.0.2, JSON format."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from tallystick.exports.formats.base import ExportFormat, Row, Source, json_line, resource_text


def _row(row: Row, line: bytes, source: Source) -> bytes:
    event = {
        "specversion": "1.0",
        "id": row["id"],
        "source": f"//{quote(source.origin, safe='/.:[]')}",
        "type": _plain(row["kind"]) or "tallystick.event",
        "time": row["occurred_at"],
        "datacontenttype": "application/json",
        # Integers of CloudEvents have 32 bits.
        "tallystickindex": str(row["index"]),
        "tallystickleafhash": row["leaf_hash"],
        "data": msgspec.Raw(line.rstrip()),
    }
    subject = resource_text(row.get("target"))
    if subject is not None:
        event["subject"] = _plain(subject)
    return json_line(event)


def _plain(text: str) -> str:
    """Return a text without the control characters that an attribute may not have."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


CLOUDEVENTS = ExportFormat("cloudevents", ".cloudevents.ndjson", "application/x-ndjson", b"", _row)
