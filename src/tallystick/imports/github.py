"""GitHub webhook payloads as events.

Source: the payload's own members; the event type comes from outside, as GitHub sends it in a
header and archives keep it as a folder name.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

import msgspec

from tallystick import times
from tallystick.errors import Malformed
from tallystick.events import ids

Json = dict[str, Any]

_NAMESPACE = uuid.UUID("b3b1d5a0-4c1e-5d1c-8f60-3f1f0a6f2d11")
# Payload members that hold the object an event is about, where it is not called like the event.
_OBJECTS = {
    "issues": "issue", "issue_comment": "comment", "commit_comment": "comment",
    "discussion_comment": "comment", "pull_request_review": "review",
    "pull_request_review_comment": "comment", "pull_request_review_thread": "thread",
    "deploy_key": "key", "status": "repository", "code_scanning_alert": "alert",
    "dependabot_alert": "alert", "secret_scanning_alert": "alert", "push": "repository",
    "create": "repository", "delete": "repository", "fork": "forkee",
    "branch_protection_rule": "rule",
}  # fmt: skip
_TIMES = ("updated_at", "submitted_at", "created_at", "timestamp")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+\Z")


def to_event(event_type: str, payload: object) -> Json:
    """Return the event of one webhook payload of the given type.

    The kind is type and action (`issues.opened`), the sender acts, the object the webhook is about
    is the target, repository and organization are scopes; `changes` become previous data.
    Raises: Malformed.
    """
    if not isinstance(payload, dict):
        raise Malformed("a webhook payload is a JSON object")
    if not _PLAIN_NAME.match(event_type):
        raise Malformed(f"{event_type!r} is no webhook type")
    action = payload.get("action")
    text = msgspec.json.encode([event_type, payload], order="sorted").decode()
    event: Json = {
        "id": str(ids.derived_uuid(_NAMESPACE, text)),
        "kind": f"{event_type}.{action}" if isinstance(action, str) else event_type,
        "scopes": _scopes(payload),
        "data": payload,
        "original": {"system": "github", "type": event_type},
    }
    about = _about(event_type, payload)
    optional = {
        "actor": _actor(payload.get("sender")),
        "target": about,
        "occurred_at": _occurred_ms(payload.get(_OBJECTS.get(event_type, event_type)), payload),
        "previous": _previous(payload.get("changes")),
    }
    event.update({name: value for name, value in optional.items() if value is not None})
    return event


def _actor(sender: object) -> Json | None:
    if not isinstance(sender, dict) or "id" not in sender:
        return None
    kind = sender.get("type")
    actor: Json = {
        "type": kind.lower() if isinstance(kind, str) and kind else "user",
        "id": str(sender["id"]),
    }
    if isinstance(sender.get("login"), str):
        actor["name"] = sender["login"]
    return actor


def _about(event_type: str, payload: Json) -> Json | None:
    member = _OBJECTS.get(event_type, event_type)
    for kind in (member, "repository", "organization"):
        found = payload.get(kind)
        if isinstance(found, dict) and ("id" in found or "node_id" in found):
            return _resource(kind, found)
    return None


def _resource(kind: str, value: Json) -> Json:
    resource: Json = {"type": kind, "id": str(value.get("id", value.get("node_id")))}
    names = ("full_name", "title", "name", "login", "tag_name")
    name = next((value[n] for n in names if isinstance(value.get(n), str) and value[n]), None)
    if name is not None:
        # A name has 1,024 bytes at most; titles may be longer and stand in the data whole.
        resource["name"] = name.encode()[:1024].decode(errors="ignore")
    return resource


def _scopes(payload: Json) -> list[Json]:
    return [
        _resource(kind, payload[kind])
        for kind in ("repository", "organization", "installation")
        if isinstance(payload.get(kind), dict) and "id" in payload[kind]
    ]


def _occurred_ms(about: object, payload: Json) -> int | None:
    for holder in (about, payload.get("head_commit"), payload.get("repository")):
        if not isinstance(holder, dict):
            continue
        for member in _TIMES:
            value = holder.get(member)
            if isinstance(value, str):
                try:
                    return times.from_rfc3339(value)
                except Malformed:
                    continue
    return None


def _previous(changes: object) -> Json | None:
    if not isinstance(changes, dict):
        return None
    previous = {
        name: change["from"]
        for name, change in changes.items()
        if isinstance(change, dict) and "from" in change
    }
    return previous or None
