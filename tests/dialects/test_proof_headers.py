"""Every answer that shows events says how to prove them, in every API."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tallystick.errors import MalformedReceipt
from tallystick.identity import access
from tallystick.identity.access import Scope
from tallystick.log.cose_receipts import verify_cose_receipt
from tallystick.tlog.checkpoint import open_checkpoint
from tallystick.tlog.note import Verifier
from tallystick.tlog.receipt import verify_receipt
from tests.dialects.test_matrix import LOGO, MATTHEW, ORDER, TESTING, Tenant
from tests.support.live_server import LiveServer

Json = dict[str, Any]

FILE = {"kind": "file.upload", "actor": MATTHEW, "target": LOGO, "scopes": [TESTING]}
SALE = {"kind": "order.created", "actor": MATTHEW, "target": ORDER, "data": {"total": 12.5}}


@pytest.fixture
def tenant(server: LiveServer) -> Iterator[Tenant]:
    """Return a tenant with three events, the last one revised."""
    tenant = Tenant(server)
    for event in (FILE, SALE, SALE):
        last = tenant.http.post("/v1/events", json=event).json()
    tenant.http.post(f"/v1/events/{last['id']}/revise", json={"data": {"total": 13}})
    yield tenant
    for client in (tenant.http, tenant.kvass, tenant.orchestrate):
        client.close()


def verifier_of(tenant: Tenant) -> Verifier:
    return Verifier.parse(tenant.http.get("/v1/checkpoint").json()["verifier_key"])


def proven(tenant: Tenant, answer: httpx2.Response) -> list[int]:
    """Return the entries that the headers of an answer lead to, each proven."""
    assert answer.status_code in (200, 201), answer.text
    note = answer.headers["Tally-Checkpoint"]
    assert len(note) <= 1024
    verifier = verifier_of(tenant)
    size = open_checkpoint(base64.b64decode(note, validate=True), [verifier]).size
    [link] = re.findall(r'<([^>]*)>; rel="receipt"', answer.headers["Link"])
    lines = tenant.http.get(link)
    assert lines.status_code == 200, lines.text
    receipts = [lines.text] if link.endswith("/receipt") else lines.text.splitlines()
    found = [verify_receipt(receipt, verifier=verifier) for receipt in receipts]
    assert all(one.index < size <= one.size for one in found)
    return [one.index for one in found]


def test_lists_and_single_reads_of_every_api_carry_checkpoint_and_receipt(tenant: Tenant) -> None:
    file, first, second = 3, 4, 5
    ask = tenant.http.get
    events = ask("/v1/events?order=asc").json()["events"]
    guid = events[1]["id"]
    kvass = tenant.kvass.get("/events")
    answers = {
        "native list": (ask("/v1/events"), [file, first, second]),
        "native event": (ask(f"/v1/events/{guid}"), [first]),
        "orchestrate": (
            tenant.orchestrate.get("/v0/order/51Q4LN/events/order.created"), [first, second]
        ),
        "kvass": (kvass, [first, second]),
        "datatrails": (ask("/archivist/v2/assets/-/events"), None),
        "datatrails event": (ask(f"/archivist/v1/events/{guid}"), [first]),
        "cloudfoundry v2": (ask("/v2/events"), [file, first, second]),
        "cloudfoundry v2 event": (ask(f"/v2/events/{guid}"), [first]),
        "cloudfoundry v3": (ask("/v3/audit_events"), [file, first, second]),
        "cloudfoundry v3 event": (ask(f"/v3/audit_events/{guid}"), [first]),
        "onehub": (ask("/activity"), [file]),
    }  # fmt: skip
    for name, (answer, expected) in answers.items():
        if expected is not None:
            assert proven(tenant, answer) == expected, name
    search = tenant.http.post("/archivist/v1/events/search", json={"top": 10})
    assert proven(tenant, search) == [3, 4, 5]


def test_what_an_api_stores_is_answered_with_its_proof(tenant: Tenant) -> None:
    size = tenant.http.get("/v1/checkpoint").json()["size"]
    one = tenant.http.post("/v1/events", json=SALE)
    many = tenant.http.post("/v1/events", json=[SALE, SALE])
    put = tenant.orchestrate.post("/v0/order/51Q4LN/events/order.created", json={"n": 1})
    assert proven(tenant, one) == [size]
    assert proven(tenant, many) == [size + 1, size + 2]
    assert proven(tenant, put) == [size + 3]


def test_answers_without_events_and_errors_carry_no_proof(tenant: Tenant) -> None:
    for path in ("/v1/events/nothing", "/v1/events?limit=0", "/v1/checkpoint", "/v1/events?kind=z"):
        headers = tenant.http.get(path).headers
        assert 'rel="receipt"' not in headers.get("Link", ""), path
    for path in ("/v1/events/nothing", "/v1/checkpoint"):
        assert "Tally-Checkpoint" not in tenant.http.get(path).headers


def test_who_sees_a_part_is_led_to_that_part(server: LiveServer, tenant: Tenant) -> None:
    """Receipts of other entries are not named, and asking for them finds nothing."""
    user = server.create_user(tenant.id, "view")
    server.grant(tenant.id, "view", "workspace:4137", "Viewer")
    user = server.user(tenant.id, user.id)
    scopes = access.token_scopes(user.grants)
    issued = server.node.issuer.issue_for_user(user, client="cf", scopes=scopes)
    with server.http(issued.access_token) as viewer:
        answer = viewer.get("/v1/events")
        assert [event["index"] for event in answer.json()["events"]] == [3]
        [link] = re.findall(r'<([^>]*)>; rel="receipt"', answer.headers["Link"])
        assert json.loads(viewer.get(link).text)["index"] == 3
        everything = viewer.get("/v1/receipts?indexes=0-5").text.splitlines()
        assert [json.loads(line)["index"] for line in everything] == [3]


def test_proof_inline_gives_each_event_its_receipt_and_changes_nothing_else(
    tenant: Tenant,
) -> None:
    verifier = verifier_of(tenant)
    plain = tenant.http.get("/v1/events").json()
    inline = tenant.http.get("/v1/events?proof=inline").json()
    receipts = [event.pop("proof") for event in inline["events"]]
    assert inline == plain
    for event, receipt in zip(plain["events"], receipts, strict=True):
        found = verify_receipt(receipt, verifier=verifier)
        assert (found.index, found.entry["id"]) == (event["index"], event["id"])
    path = f"/v1/events/{plain['events'][0]['id']}"
    event = tenant.http.get(f"{path}?proof=inline").json()
    assert verify_receipt(event.pop("proof"), verifier=verifier).index == event["index"]
    assert event == tenant.http.get(path).json()
    assert tenant.http.get("/v1/events?proof=maybe").status_code == 400


def test_receipts_are_asked_for_by_rising_indexes(tenant: Tenant) -> None:
    assert len(tenant.http.get("/v1/receipts?indexes=0-1,3").text.splitlines()) == 3
    for bad in ("", "3,1", "5-4", "x", "1,,2", "01", "-1", "0-99999999999"):
        assert tenant.http.get(f"/v1/receipts?indexes={bad}").status_code in (400, 413), bad


def test_a_receipt_as_cose_proves_the_entry(tenant: Tenant) -> None:
    verifier = verifier_of(tenant)
    event = tenant.http.get("/v1/events").json()["events"][0]
    answer = tenant.http.get(f"{event['receipt']}?format=cose")
    assert answer.headers["Content-Type"] == "application/cose"
    entry = tenant.http.get(event["receipt"]).json()["entry"].encode()
    found = verify_cose_receipt(answer.content, entry, verifier)
    assert (found.index, found.origin) == (event["index"], verifier.name)
    with pytest.raises(Exception, match="signature"):
        verify_cose_receipt(answer.content, entry + b" ", verifier)
    for at in range(0, len(answer.content), 7):
        damaged = bytearray(answer.content)
        damaged[at] ^= 1
        with pytest.raises(Exception) as caught:  # noqa: PT011
            verify_cose_receipt(bytes(damaged), entry, verifier)
        assert type(caught.value).__module__ == MalformedReceipt.__module__, at
    assert tenant.http.get(f"{event['receipt']}?format=xml").status_code == 400


def test_a_key_that_may_only_write_reads_no_receipts(server: LiveServer, tenant: Tenant) -> None:
    key = server.create_key(tenant.id, (Scope.WRITE,))
    with server.http(key) as writer:
        assert writer.get("/v1/receipts?indexes=2").status_code == 403
