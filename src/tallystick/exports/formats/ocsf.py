"""OCSF events, one a line: classes by a table, what has no place in `unmapped`.

    verb of the kind and shape of the event                        class
    logged_in, login, signin ... by somebody                       3002 Authentication, Logon
    logged_out, logout ...                                         3002 Authentication, Logoff
    created, read, updated, deleted ... of a target                3004 Entity Management
    any other                                                      0 Base Event

A class is only chosen where the event has what the class requires. Source: OCSF schema 1.3.0.
"""

from __future__ import annotations

import re
from typing import Any

from tallystick import times
from tallystick.events.event import Json
from tallystick.exports.formats.base import ExportFormat, Row, Source, json_line

VERSION = "1.3.0"

_BASE, _AUTHENTICATION, _ENTITY = 0, 3002, 3004
_CATEGORIES = {_BASE: 0, _AUTHENTICATION: 3, _ENTITY: 3}
_OTHER = 99
_INFORMATIONAL = 1
_WORDS = re.compile(r"[^a-z]+")
_LOGON = frozenset({"login", "logon", "signin", "loggedin", "signedin", "authenticated"})
_LOGOFF = frozenset({"logout", "logoff", "signout", "loggedout", "signedout"})
_ENTITY_ACTIVITIES = {
    word: activity
    for activity, words in {
        1: ("create", "created", "add", "added", "upload", "uploaded", "register", "registered"),
        2: ("read", "view", "viewed", "get", "download", "downloaded", "show", "list"),
        3: ("update", "updated", "edit", "edited", "change", "changed", "rename", "renamed",
            "move", "moved", "revise", "revised", "patch"),
        4: ("delete", "deleted", "remove", "removed", "destroy", "destroyed", "purge", "purged"),
    }.items()
    for word in words
}  # fmt: skip


def ocsf_line(row: Row, source: Source) -> bytes:
    """Return an event as `/v1/events` shows it as a line of OCSF."""
    class_uid, activity = _class_of(row)
    event: dict[str, Any] = {
        "activity_id": activity,
        "category_uid": _CATEGORIES[class_uid],
        "class_uid": class_uid,
        "type_uid": class_uid * 100 + activity,
        "severity_id": _INFORMATIONAL,
        "time": times.from_rfc3339(row["occurred_at"], "occurred_at"),
        "message": row["kind"],
        "metadata": {
            "version": VERSION,
            "uid": row["id"],
            "sequence": row["index"],
            "event_code": row["kind"],
            "log_name": source.origin,
            "log_provider": row["dialect"],
            "logged_time": times.from_rfc3339(row["recorded_at"], "recorded_at"),
            "product": {"name": "Tallystick", "vendor_name": "Tallystick"},
        },
    }
    user = _user(row.get("actor"))
    if class_uid == _AUTHENTICATION:
        target = row.get("target")
        name = "unknown" if target is None else f"{target['type']}:{target['id']}"
        event |= {"user": user, "service": {"name": name}}
    else:
        if user is not None:
            event["actor"] = {"user": user}
        if class_uid == _ENTITY:
            event["entity"] = _entity(row["target"])
    event["unmapped"] = row
    return json_line(event)


def notice_line(notice: Json, source: Source) -> bytes:
    """Return what is no event, such as that one was retracted, as a Base Event."""
    name = notice.get("op") or notice.get("notice")
    moment = notice.get("recorded_at") or notice.get("at")
    return json_line(
        {
            "activity_id": _OTHER,
            "activity_name": name,
            "category_uid": _CATEGORIES[_BASE],
            "class_uid": _BASE,
            "type_uid": _BASE * 100 + _OTHER,
            "severity_id": _INFORMATIONAL,
            "time": 0 if moment is None else times.from_rfc3339(moment, "recorded_at"),
            "message": name,
            "metadata": {
                "version": VERSION,
                "log_name": source.origin,
                "product": {"name": "Tallystick", "vendor_name": "Tallystick"},
            },
            "unmapped": notice,
        }
    )


def _row(row: Row, line: bytes, source: Source) -> bytes:
    return ocsf_line(row, source)


def _class_of(row: Row) -> tuple[int, int]:
    verb = _WORDS.sub("", row["kind"].rpartition(".")[2].lower())
    if row.get("actor") is not None and verb in _LOGON | _LOGOFF:
        return _AUTHENTICATION, 1 if verb in _LOGON else 2
    if row.get("target") is not None and verb in _ENTITY_ACTIVITIES:
        return _ENTITY, _ENTITY_ACTIVITIES[verb]
    return _BASE, _OTHER


def _user(actor: Any) -> dict[str, Any] | None:
    if actor is None:
        return None
    named = {"name": actor["name"]} if actor.get("name") else {}
    return {"uid": actor["id"], "type": actor["type"], "type_id": _OTHER, **named}


def _entity(target: Any) -> dict[str, Any]:
    named = {"name": target["name"]} if target.get("name") else {}
    return {"uid": target["id"], "type": target["type"], **named}


OCSF = ExportFormat("ocsf", ".ocsf.ndjson", "application/x-ndjson", b"", _row)
