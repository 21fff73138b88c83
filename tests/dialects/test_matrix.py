"""One event, six APIs: what one wrote the others show over HTTP, with one receipt for all.

Which of them do is said twice: in the table here, and by the rules that test_translation has
written down independently of the dialects.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from tallystick.identity.access import Scope
from tallystick.tlog.receipt import verify_receipt
from tests.dialects.test_translation import ADMITS
from tests.support.live_server import LiveServer

Json = dict[str, Any]

MATTHEW = {"type": "user", "id": "481", "name": "Matthew Anderson"}
TESTING = {"type": "workspace", "id": "4137", "name": "Testing the API"}
ORDER = {"type": "order", "id": "51Q4LN", "name": "an order"}
LOGO = {"type": "file", "id": "849607", "name": "logo.png"}


class Write(NamedTuple):
    """One event as an API takes it, and the dialects that show it."""

    dialect: str
    method: str
    path: str
    body: Json
    shown: frozenset[str]


def shown_by(*names: str) -> frozenset[str]:
    """Return the dialects that show an event; DataTrails always does."""
    return frozenset(("datatrails", *names))


WRITES = {
    "native order": Write(
        "native", "POST", "/v1/events",
        {"kind": "order.created", "actor": MATTHEW, "target": ORDER, "data": {"total": 12.5}},
        shown_by("orchestrate", "kvass", "cloudfoundry"),
    ),
    "native file": Write(
        "native", "POST", "/v1/events",
        {"kind": "file.upload", "actor": MATTHEW, "target": LOGO, "scopes": [TESTING]},
        shown_by("orchestrate", "cloudfoundry", "onehub"),
    ),
    "native bare": Write("native", "POST", "/v1/events", {"kind": "beat"}, shown_by()),
    "orchestrate": Write(
        "orchestrate", "PUT", "/v0/order/51Q4LN/events/order.created", {"total": 12.5},
        shown_by("orchestrate", "kvass"),
    ),
    "kvass": Write(
        "kvass", "POST", "/extensions/kvass/events",
        {"kind": "order.created", "object": {"_id": "51Q4LN", "total": 12.5}, "author": None},
        shown_by("orchestrate", "kvass"),
    ),
    "datatrails": Write(
        "datatrails", "POST", "/archivist/v1/events",
        {"event_type": "order.created", "attributes": {"n": "1"}, "trails": ["t"]},
        shown_by(),
    ),
    "cloudfoundry": Write(
        "cloudfoundry", "POST", "/extensions/cloudfoundry/events",
        {"entity": {
            "type": "audit.app.update", "actor": "user-1", "actor_type": "user",
            "actor_name": "dev@example.com", "actee": "app-1", "actee_type": "app",
            "actee_name": "shop", "timestamp": "2014-06-20T00:18:46Z", "metadata": {},
            "space_guid": "space-1", "organization_guid": "org-1",
        }},
        shown_by("orchestrate", "cloudfoundry"),
    ),
    "onehub": Write(
        "onehub", "POST", "/extensions/onehub/events",
        {
            "verb": "upload", "user": {"id": 481, "name": "Matthew Anderson"},
            "workspace": {"id": 4137, "name": "Testing the API"},
            "file": {"id": 849607, "filename": "logo.png", "size": 6736},
        },
        shown_by("orchestrate", "cloudfoundry", "onehub"),
    ),
}  # fmt: skip


class Tenant:
    """A tenant as a program with every right reaches it through all APIs."""

    def __init__(self, server: LiveServer) -> None:
        self.ledger = server.node.ledger
        self.folder = server.node.folder
        self.id = f"matrix-{uuid4().hex[:12]}"
        server.create_tenant(self.id)
        self.key = server.create_key(self.id, (Scope.ADMIN,), service=True)
        self.http = server.http(self.key)
        self.kvass = server.plain_http(**{"X-Kvass-Api-Key": self.key})
        self.orchestrate = server.plain_http()
        self.orchestrate.auth = (self.key, "")

    def ask(self, method: str, path: str, body: Json | None = None) -> Any:
        """Return what an API answers."""
        http = self.http
        if path.startswith(("/events", "/extensions/kvass")):
            http = self.kvass
        elif path.startswith("/v0"):
            http = self.orchestrate
        answer = http.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def index_of(self, id: str) -> int:
        """Return where the event with an id stands."""
        index = self.ledger.index_of(self.id, id)
        assert index is not None, id
        return index


@pytest.fixture
def tenant(server: LiveServer) -> Iterator[Tenant]:
    """Return a tenant of its own."""
    made = Tenant(server)
    yield made
    made.http.close()
    made.kvass.close()
    made.orchestrate.close()


def orchestrate_shows(tenant: Tenant) -> list[int]:
    found = tenant.ask("GET", "/v0?query=@path.kind:event&limit=100")
    return [row["path"]["ordinal"] - 1 for row in found["results"]]


def kvass_shows(tenant: Tenant) -> list[int]:
    return [int(event["_id"]["$oid"][8:], 16) - 1 for event in tenant.ask("GET", "/events")]


def datatrails_shows(tenant: Tenant) -> list[int]:
    found = tenant.ask("POST", "/archivist/v1/events/search", {"top": 50})
    ids = [event["identity"].removeprefix("events/") for event in found["events"]]
    return [tenant.index_of(id) for id in ids]


def cloudfoundry_shows(tenant: Tenant) -> list[int]:
    found = tenant.ask("GET", "/v3/audit_events")
    return [tenant.index_of(event["guid"]) for event in found["resources"]]


def onehub_shows(tenant: Tenant) -> list[int]:
    return [item["event"]["id"] - 1 for item in tenant.ask("GET", "/activity")["items"]]


READERS: dict[str, Callable[[Tenant], list[int]]] = {
    "orchestrate": orchestrate_shows,
    "kvass": kvass_shows,
    "datatrails": datatrails_shows,
    "cloudfoundry": cloudfoundry_shows,
    "onehub": onehub_shows,
}


@pytest.mark.parametrize("name", WRITES)
def test_what_one_api_wrote_the_others_show(tenant: Tenant, name: str) -> None:
    write = WRITES[name]
    tenant.ask(write.method, write.path, write.body)
    index = tenant.ledger.proofs.head(tenant.id).size - 1
    event = tenant.ledger.view_at(tenant.id, index).first
    assert event.dialect == write.dialect
    assert {reader for reader in READERS if ADMITS[reader](event)} == write.shown
    for reader, shows in READERS.items():
        assert shows(tenant) == ([index] if reader in write.shown else []), reader
    native = tenant.ask("GET", f"/v1/events/{event.id}")
    assert (native["index"], native["dialect"]) == (index, write.dialect)
    receipt = tenant.http.get(f"/v1/events/{event.id}/receipt").content
    assert verify_receipt(receipt).index == index


@pytest.mark.parametrize("name", WRITES)
def test_both_logs_have_a_receipt_of_the_same_index(tenant: Tenant, name: str) -> None:
    """In the DataTrails log leaf i stands at node 2i - popcount(i), whoever wrote the event."""
    tenant.ask("POST", "/archivist/iam/v1/applications", {"display_name": "an app"})
    write = WRITES[name]
    tenant.ask(write.method, write.path, write.body)
    index = tenant.ledger.proofs.head(tenant.id).size - 1
    id = tenant.ledger.view_at(tenant.id, index).first.id
    shown = confirmed(tenant, id)
    assert int(shown["ledger_entry"]["index"]) == 2 * index - index.bit_count()
    answer = tenant.http.get(f"/extensions/datatrails/receipts/events/{id}")
    assert answer.headers["content-type"] == "application/cose"
    own = tenant.http.get(f"/v1/events/{id}/receipt").content
    assert verify_receipt(own).index == index


def confirmed(tenant: Tenant, id: str) -> Json:
    """Return an event as DataTrails shows it once it is confirmed."""
    until_s = time.monotonic() + 60
    while True:
        shown: Json = tenant.ask("GET", f"/archivist/v1/events/{id}")
        if shown["confirmation_status"] == "CONFIRMED":
            return shown
        assert time.monotonic() < until_s, shown


def test_every_dialect_writes_and_reads_here() -> None:
    assert {write.dialect for write in WRITES.values()} == {"native", *READERS}
    assert READERS.keys() == ADMITS.keys()
    assert {reader for write in WRITES.values() for reader in write.shown} == READERS.keys()
