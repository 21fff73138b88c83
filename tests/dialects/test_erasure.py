"""What any dialect wrote is erased through `/v1`, and each dialect then shows what it documents."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.identity.access import Scope
from tallystick.tlog.receipt import verify_receipt
from tests.dialects.test_matrix import READERS, WRITES, Tenant
from tests.support.live_server import LiveServer

Json = dict[str, Any]

KEPT_BY = {"kvass": {"kvass"}, "cloudfoundry": {"cloudfoundry"}, "datatrails": set(WRITES)}
"""By dialect, the writes whose event it goes on to show once that is erased."""


class Owner(Tenant):
    """A tenant with a secret that stands nowhere else."""

    def __init__(self, server: LiveServer) -> None:
        super().__init__(server)
        self.secret = f"Xylo{secrets.token_hex(8)}"


@pytest.fixture
def tenant(server: LiveServer) -> Iterator[Owner]:
    """Return a tenant of its own."""
    made = Owner(server)
    yield made
    for client in (made.http, made.kvass, made.orchestrate):
        client.close()


def record(tenant: Owner, name: str) -> str:
    """Store one of the writes with the secret in its content and return the event's id."""
    write = WRITES[name]
    text = json.dumps(write.body)
    for value in ('"Matthew Anderson"', '"dev@example.com"', "12.5", '"1"'):
        text = text.replace(value, json.dumps(tenant.secret))
    body = json.loads(text)
    if name == "native bare":
        body["data"] = {"note": tenant.secret}
    assert tenant.secret in json.dumps(body)
    tenant.ask(write.method, write.path, body)
    index = tenant.ledger.proofs.head(tenant.id).size - 1
    return tenant.ledger.view_at(tenant.id, index).first.id


def erase(tenant: Owner, id: str) -> Any:
    return tenant.http.post(f"/v1/events/{id}/retract", json={"erase": True})


def single_reads(tenant: Owner, id: str, index: int) -> list[tuple[str, Any]]:
    """Return what each dialect answers when asked for the event itself."""
    object_id = f"{tenant.ledger.view_at(tenant.id, index).first.recorded_ms // 1000:08x}"
    object_id += f"{index + 1:016x}"
    return [
        ("datatrails", tenant.http.get(f"/archivist/v1/events/{id}")),
        ("cloudfoundry", tenant.http.get(f"/v2/events/{id}")),
        ("cloudfoundry", tenant.http.get(f"/v3/audit_events/{id}")),
        ("kvass", tenant.kvass.get(f"/events/{object_id}")),
    ]


@pytest.mark.parametrize("name", WRITES)
def test_each_dialect_shows_an_erased_event_as_it_documents(tenant: Owner, name: str) -> None:
    id = record(tenant, name)
    index = tenant.index_of(id)
    before = tenant.http.get(f"/v1/events/{id}/receipt").content
    assert tenant.ask("GET", f"/v1/events?q={tenant.secret}&total=true")["total"] == 1
    answer = erase(tenant, id)
    assert (answer.status_code, answer.json()["op"]) == (200, "retract"), answer.text

    for reader, shows in READERS.items():
        kept = name in KEPT_BY.get(reader, ())
        assert shows(tenant) == ([index] if kept else []), reader
    for reader, read in single_reads(tenant, id, index):
        kept = name in KEPT_BY.get(reader, ())
        assert read.status_code == (200 if kept else 404), (reader, read.text)
        assert tenant.secret not in read.text
    found = tenant.ask("POST", "/archivist/v1/events/search", {"top": 50})
    assert tenant.secret not in json.dumps(found)

    assert tenant.http.get(f"/v1/events/{id}").status_code == 404
    assert tenant.ask("GET", f"/v1/events?q={tenant.secret}&total=true")["total"] == 0
    assert tenant.ask("GET", "/v1/events?total=true")["total"] == 0
    log = tenant.ask("GET", "/v1/events?view=log&limit=3")["events"]
    assert [entry["op"] for entry in log] == ["erase", "retract", "record"]
    assert log[0]["actor"]["type"] == log[1]["actor"]["type"] == "key"
    assert log[0]["subject"] == log[1]["subject"] == id
    assert tenant.secret not in json.dumps(log)

    after = tenant.http.get(f"/v1/events/{id}/receipt").content
    assert tenant.secret not in after.decode()
    assert verify_receipt(before).index == verify_receipt(after).index == index


@pytest.mark.parametrize("name", WRITES)
def test_no_file_of_the_data_folder_keeps_what_was_erased(tenant: Owner, name: str) -> None:
    id = record(tenant, name)
    assert tenant.ask("GET", f"/v1/events?q={tenant.secret}&total=true")["total"] == 1
    assert erase(tenant, id).status_code == 200
    folder: Path = tenant.folder
    until_s = time.monotonic() + 60
    while left := keeping(folder, tenant.secret):
        # Searching lets the follower come by, which removes what is left over.
        tenant.ask("GET", f"/v1/events?q={tenant.secret}")
        assert time.monotonic() < until_s, left
        time.sleep(0.05)
    rows = tenant.ledger.store.rows(tenant.id, 0, tenant.ledger.proofs.head(tenant.id).size)
    assert not any(
        tenant.secret.encode() in part
        for row in rows
        for part in (row.entry, *row.sections)
        if part
    )


def keeping(folder: Path, secret: str) -> list[Path]:
    """Return the files below a folder in which the secret stands, as it was or in small letters."""
    words = (secret.encode(), secret.lower().encode())
    found: list[Path] = []
    for path in folder.rglob("*"):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:
            continue
        if any(word in content for word in words):
            found.append(path)
    return found


@pytest.mark.parametrize("name", ["orchestrate", "kvass"])
def test_other_changes_stay_with_the_dialect_that_wrote(tenant: Owner, name: str) -> None:
    id = record(tenant, name)
    assert tenant.http.post(f"/v1/events/{id}/retract", json={}).status_code == 409
    assert tenant.http.post(f"/v1/events/{id}/revise", json={"data": {}}).status_code == 409
    assert tenant.http.get(f"/v1/events/{id}").status_code == 200


@pytest.mark.parametrize("name", ["onehub", "cloudfoundry"])
def test_erasing_needs_the_scope_for_it(server: LiveServer, tenant: Owner, name: str) -> None:
    id = record(tenant, name)
    key = server.create_key(tenant.id, (Scope.READ, Scope.WRITE))
    with server.http(key) as http:
        answer = http.post(f"/v1/events/{id}/retract", json={"erase": True})
    assert answer.status_code == 403
    assert "purge" in answer.text
    assert tenant.http.get(f"/v1/events/{id}").status_code == 200


@pytest.mark.parametrize("name", ["datatrails", "cloudfoundry"])
def test_a_hold_wins_over_erasing(tenant: Owner, name: str) -> None:
    id = record(tenant, name)
    hold = {"id": "matter", "query": f"dialect:{name}", "reason": "a lawsuit"}
    assert tenant.http.post(f"/v1/admin/tenants/{tenant.id}/holds", json=hold).status_code < 300
    assert erase(tenant, id).status_code == 409
    assert tenant.ask("GET", f"/v1/events?q={tenant.secret}&total=true")["total"] == 1


def test_what_was_retracted_before_can_still_be_erased(tenant: Owner) -> None:
    id = record(tenant, "native order")
    assert tenant.http.post(f"/v1/events/{id}/retract", json={}).status_code == 200
    answer = erase(tenant, id)
    assert (answer.status_code, answer.json()["op"]) == (200, "erase"), answer.text
    assert tenant.secret not in tenant.http.get("/v1/events?view=log").text
    assert erase(tenant, id).status_code == 404


def test_only_events_are_erased(tenant: Owner) -> None:
    tenant.ask("PUT", "/v0/order/1", {"note": tenant.secret})
    index = tenant.ledger.proofs.head(tenant.id).size - 1
    entry = tenant.ledger.view_at(tenant.id, index).first
    assert erase(tenant, entry.id).status_code == 409
    assert tenant.ask("GET", "/v0/order/1") == {"note": tenant.secret}
