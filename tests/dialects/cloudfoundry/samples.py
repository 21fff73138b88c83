"""The seed's sample answer, and events to put beside it, for the tests of this dialect."""

from __future__ import annotations

from typing import Any

import msgspec

from tallystick.dialects.cloudfoundry import wire
from tallystick.events import entry
from tallystick.events.event import Draft, Event, View, as_recorded

Json = dict[str, Any]

SEED_TOKEN = (
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoidWFhLWlkLTE0IiwiZW1haWwiOiJlbWFpbC04QHN"
    "vbWVkb21haW4uY29tIiwic2NvcGUiOlsiY2xvdWRfY29udHJvbGxlci5hZG1pbiJdLCJhdWQiOlsiY2xvdWRfY29udHJv"
    "bGxlciJdLCJleHAiOjE0MDM4MjgzMjd9.D9bap-8s1r4esJdZbHHad-_uo4L1sAcRzERKGf5aIIo"
)
SEED_CONTENT_LENGTH = 2415
SEED_ZONE = "America/Los_Angeles"
SEED_TYPES = (
    "app.crash",
    "audit.app.update",
    "audit.app.create",
    "audit.app.delete-request",
    "audit.space.create",
    "audit.space.update",
    "audit.space.delete-request",
)

# guid, created_at, first number of its names, actor, actee, space, organization
_SEED_ROWS = (
    (
        "d9df3e10-a8c9-4484-bf67-10f0d9914dfb", "2014-06-19T17:18:46-07:00", 198,
        "guid-9dc396ab-a543-4397-8d9b-9e60486f5685", "guid-87bbd540-a81d-47c8-98c2-46b88aeaf4ba",
        "bc110b6c-26f8-495b-b0e1-c678582ae9ef", "048b147e-7be9-45b3-883c-0026fa7b4234",
    ),
    (
        "37d80fde-5ff6-4d86-b35c-519aa8879095", "2014-06-19T17:18:46-07:00", 206,
        "guid-4f433a20-23de-442d-9978-7db3be0f62b9", "guid-440c4bde-4b5a-48df-8e55-326fd341c2c9",
        "810e8e3e-520d-438b-97d0-f1213f3ee5a6", "f73fe462-7d10-4b27-a22f-07140a602029",
    ),
    (
        "4a5b8ec4-a0c3-492b-b3b2-5c47c059268b", "2014-06-19T17:18:47-07:00", 214,
        "guid-08f219bb-9b3c-4677-bf58-b0314297b886", "guid-2604a9e3-a40e-4c17-a677-7812a67ee6bb",
        "bebbeec1-88bc-414b-9079-8508d9f83172", "39830f21-a862-4928-a844-e05409011ee9",
    ),
)  # fmt: skip


def seed_resources() -> list[Json]:
    """Return the three events of the seed's sample, as printed there."""
    return [_seed_resource(*row) for row in _SEED_ROWS]


def _seed_resource(
    guid: str, created_at: str, number: int, actor: str, actee: str, space: str, organization: str
) -> Json:
    return {
        "metadata": {
            "guid": guid,
            "url": f"/v2/events/{guid}",
            "created_at": created_at,
            "updated_at": None,
        },
        "entity": {
            "type": f"name-{number}",
            "actor": actor,
            "actor_type": f"name-{number + 1}",
            "actor_name": f"name-{number + 2}",
            "actee": actee,
            "actee_type": f"name-{number + 3}",
            "actee_name": f"name-{number + 4}",
            "timestamp": "2014-06-19T17:18:46-07:00",
            "metadata": {},
            "space_guid": space,
            "organization_guid": organization,
        },
    }


def resource(guid: str | None = None, **entity: Any) -> Json:
    """Return an event as it is sent in: an update of an app by a user unless `entity` differs."""
    return {
        "metadata": {} if guid is None else {"guid": guid},
        "entity": {
            "type": "audit.app.update",
            "actor": "user-1",
            "actor_type": "user",
            "actor_name": "dev@example.com",
            "actee": "app-1",
            "actee_type": "app",
            "actee_name": "shop",
            "timestamp": "2014-06-20T00:18:46Z",
            "metadata": {"request": {"memory": 256}},
            "space_guid": "space-1",
            "organization_guid": "org-1",
            **entity,
        },
    }


def draft_of(resource: Json) -> Draft:
    """Return the draft that a resource becomes."""
    [decoded], _ = wire.decode(msgspec.json.encode(resource))
    return wire.to_draft(decoded)


def view_of(draft: Draft, *, index: int = 0, recorded_ms: int = 1_700_000_000_123) -> View:
    """Return a draft as it reads back once it has its place in a log."""
    sealed = entry.seal(entry.prepare(draft), index, recorded_ms, bytes(entry.NOISE_BYTES))
    return seen(entry.decode("default", index, sealed.entry, sealed.sections))


def seen(event: Event) -> View:
    """Return an event as a reader sees it before anything was changed."""
    return as_recorded(event)
