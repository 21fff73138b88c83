"""The seed's order and its author, with invented objects where the seed has placeholders."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from tallystick.events.event import (
    Draft,
    Event,
    Json,
    Op,
    Resource,
    View,
    as_recorded,
    stored_event,
)
from tallystick.log.sequencer import Accepted

COMPANY = "57ee9c71d76d431f8511142f"
ORDER_ID = "591ee163b70e2a10acb653a7"
CREATED_MS = 1_499_767_018_360

PROVIDER: Json = {"name": "Post & Sons", "active": True}
ADDRESS: Json = {"street": "Storgata 1", "zip_code": "0155", "city": "Oslo", "country": "NO"}
PRODUCT: Json = {"_id": {"$oid": "591ee15db70e2a10acb65370"}, "name": "Kvass 0.5 l", "price": 10.0}
CUSTOMER: Json = {"_id": {"$oid": "591ee15db70e2a10acb65380"}, "_cls": "User", "first_name": "Kari"}

AUTHOR: Json = {
    "_id": {"$oid": "57ee9c72d76d431f85111432"},
    "_cls": "User",
    "created": {"$date": 1475428903950},
    "modified": {"$date": 1475428903951},
    "first_name": "John",
    "last_name": "Doe",
    "email": "john@email.com",
    "mobile_phone_number": "+4712345678",
    "addresses": [],
    "billing_address": {},
    "bio": "",
    "note": "",
    "avatar": "",
    "company": {"$oid": COMPANY},
    "tags": [],
    "stripe_customer_id": "",
    "roles": ["user"],
    "deleted": True,
}


def order(**members: Any) -> Json:
    """Return the seed's order, with some members changed."""
    return {
        "units": 2,
        "delivery_status": "ACCEPTED",
        "currency": "NOK",
        "human_id": "51Q4LN",
        "payments": [],
        "modified": {"$date": 1495196003948},
        "provider": PROVIDER,
        "top_up_amount": 0.0,
        "stripe_charge_id": "",
        "order_status": "CREATED",
        "company": {"$oid": "591ee15db70e2a10acb65362"},
        "billing_address": ADDRESS,
        "deliveries": [],
        "items": [{"quantity": 60, "discount": 0.9, "product": PRODUCT}],
        "note": "",
        "created": {"$date": 1495264401233},
        "delivery_address": ADDRESS,
        "total_quantity": 120,
        "_id": {"$oid": ORDER_ID},
        "total_amount": 1200.0,
        "stripe_refund_id": "",
        "override_company_take": -1.0,
        "user": CUSTOMER,
        "delivery_time": {"$date": 1497009600000},
        **members,
    }


CHANGED: Json = {
    "items": [{"quantity": 10, "discount": 0.9, "product": PRODUCT}],
    "total_quantity": 10,
    "total_amount": 500.0,
}
"""What the seed's update changed."""


def created() -> Json:
    """Return the seed's first event."""
    return {
        "_id": {"$oid": "5964a0ead57ba2036750a3b4"},
        "kind": "order.created",
        "created": {"$date": CREATED_MS},
        "company": {"$oid": COMPANY},
        "data": {"object_type": "order", "kind": "order.created", "object": order()},
        "author": AUTHOR,
    }


def updated() -> Json:
    """Return the seed's second event; its id is another, since ids are unique."""
    data = {
        "object_type": "order",
        "kind": "order.updated",
        "object": order(**CHANGED),
        "previous_data": {name: order()[name] for name in CHANGED},
    }
    return {
        **created(),
        "_id": {"$oid": "5964a0ead57ba2036750a3b5"},
        "kind": "order.updated",
        "data": data,
    }


def event_of(kind: str = "order.created", **members: Any) -> Event:
    """Return an event that Kvass shows, with some members changed."""
    event = Event(
        tenant="t",
        index=7,
        id="",
        kind=kind,
        op=Op.RECORD,
        occurred_ms=CREATED_MS,
        recorded_ms=CREATED_MS,
        dialect="native",
        actor=Resource("user", "alice", "Alice Ann Smith"),
        target=Resource("order", "17", "The order"),
        data={"total": 1.0},
    )
    return structs.replace(event, **members)


def view_of(event: Event) -> View:
    """Return an event that nothing happened to."""
    return as_recorded(event)


def stored(draft: Draft, index: int = 7) -> View:
    """Return the view of a draft once it is stored."""
    occurred_ms = CREATED_MS if draft.occurred_ms is None else draft.occurred_ms
    return as_recorded(stored_event("t", draft, Accepted(index, "", CREATED_MS, occurred_ms)))
