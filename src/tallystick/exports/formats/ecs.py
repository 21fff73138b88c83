"""Elastic Common Schema documents, one a line; the whole event stands below `tallystick`.

Source: Elastic Common Schema 8.17.
"""

from __future__ import annotations

from typing import Any

from tallystick.exports.formats.base import ExportFormat, Row, Source, json_line

VERSION = "8.17.0"
_PEOPLE = frozenset({"user", "person", "account"})


def _row(row: Row, line: bytes, source: Source) -> bytes:
    document: dict[str, Any] = {
        "@timestamp": row["occurred_at"],
        "ecs": {"version": VERSION},
        "message": row["kind"],
        "event": {
            "id": row["id"],
            "kind": "event",
            "action": row["kind"],
            "created": row["recorded_at"],
            "dataset": "tallystick.events",
            "module": "tallystick",
            "provider": row["dialect"],
            "sequence": row["index"],
            "reference": row["receipt"],
        },
        "tallystick": {"origin": source.origin, **row},
    }
    actor = row.get("actor")
    if actor is not None and actor["type"] in _PEOPLE:
        name = actor.get("name")
        document["user"] = {"id": actor["id"], **({"name": name} if name else {})}
        document["related"] = {"user": [actor["id"], *([name] if name else [])]}
    return json_line(document)


ECS = ExportFormat("ecs", ".ecs.ndjson", "application/x-ndjson", b"", _row)
