"""GitHub webhook payloads as events.

Source: the payload's own members; the event type comes from outside, as GitHub sends it in a
header and archives keep it as a folder name. Records of GitHub's audit log, which have another
shape, are known by their members.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

import msgspec

from tallystick.errors import Malformed
from tallystick.events import ids
from tallystick.imports import github_times

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
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+\Z")


def to_event(event_type: str, payload: object) -> Json:
    """Return the event of one webhook payload of the given type.

    The kind is type and action (`issues.opened`), the sender acts, the object the webhook is about
    is the target, repository and organization are scopes; `changes` become previous data. Where
    the payload tells no time of its own, `original.time` is null.
    Raises: Malformed.
    """
    if not isinstance(payload, dict):
        raise Malformed("a webhook payload is a JSON object")
    if not _PLAIN_NAME.match(event_type):
        raise Malformed(f"{event_type!r} is not a webhook type")
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
    occurred_at = github_times.occurred_at(event_type, payload)
    if occurred_at is None:
        # Stored with the time of the import: a reader must be able to tell.
        event["original"]["time"] = None
    optional = {
        "actor": _actor(payload.get("sender")),
        "target": about,
        "occurred_at": occurred_at,
        "previous": _previous(payload.get("changes")),
    }
    event.update({name: value for name, value in optional.items() if value is not None})
    return event


def is_audit_record(value: object) -> bool:
    """Tell whether a value is a record of the audit log, as GitHub exports or streams it."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("action"), str)
        and ("@timestamp" in value or "_document_id" in value)
    )


def audit_event(record: Json) -> Json:
    """Return the event of one record of the audit log.

    The kind is the action (`git.clone`), the actor acts, the target is the user that was acted on,
    else the repository, else the organization; enterprise, organization and repository are scopes.
    Raises: Malformed when the record has no time.
    """
    document_id = record.get("_document_id")
    named = isinstance(document_id, str) and document_id
    text = msgspec.json.encode(["audit log", document_id if named else record], order="sorted")
    user, repository, organization, enterprise = (
        _named(record, kind, *members) for kind, *members in _AUDIT_RESOURCES
    )
    event: Json = {
        "id": str(ids.derived_uuid(_NAMESPACE, text.decode())),
        "kind": record["action"],
        "occurred_at": github_times.audit_time(record),
        "scopes": [scope for scope in (enterprise, organization, repository) if scope],
        "data": record,
        "original": {"system": "github-audit-log", "id": document_id},
    }
    actor = _named(record, "user", "actor", "actor_id")
    if actor is not None:
        event["actor"] = {**actor, "type": "bot"} if record.get("actor_is_bot") is True else actor
    target = user or repository or organization or enterprise
    if target is not None:
        event["target"] = target
    return event


# A kind of resource, and the members of an audit record that hold its name and its id.
_AUDIT_RESOURCES = (
    ("user", "user", "user_id"),
    ("repository", "repo", "repo_id"),
    ("organization", "org", "org_id"),
    ("enterprise", "business", "business_id"),
)


def _named(record: Json, kind: str, name_member: str, id_member: str) -> Json | None:
    name, id = (_plain(record.get(member)) for member in (name_member, id_member))
    if not (name or id):
        return None
    resource: Json = {"type": kind, "id": id or name}
    return {**resource, "name": name} if name else resource


def _plain(value: object) -> str | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None


def delivery_of(value: object) -> tuple[str, object] | None:
    """Return type and payload of a delivery as GitHub's API lists them; None for anything else."""
    request = value.get("request") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(request, dict):
        return None
    event_type, payload = value.get("event"), request.get("payload")
    return (event_type, payload) if isinstance(event_type, str) and payload else None


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


def _previous(changes: object) -> Json | None:
    if not isinstance(changes, dict):
        return None
    previous = {
        name: change["from"]
        for name, change in changes.items()
        if isinstance(change, dict) and "from" in change
    }
    return previous or None
