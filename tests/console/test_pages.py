"""The pages of an event, a resource, a trail and the log."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tallystick.console.proof_path import proof_steps
from tallystick.errors import StoreCorrupt
from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.records import ConfiguredWitness
from tallystick.tlog.hashing import leaf_hash
from tallystick.tlog.proof import inclusion_proof
from tallystick.tlog.receipt import verify_receipt
from tallystick.witness.cosigned_folder import LastCosignature
from tests.console.people import csrf_in, show, signed_in
from tests.support.live_server import TENANT, LiveServer, open_server

Json = dict[str, Any]

ORDER: Json = {
    "kind": "order.updated",
    "occurred_at": "2026-03-01T10:00:00Z",
    "actor": {"type": "user", "id": "u-1", "name": "Kim"},
    "target": {"type": "order", "id": "7", "name": "Order 7"},
    "scopes": [{"type": "workspace", "id": "1", "name": "North"}],
    "trails": ["orders/7"],
    "data": {"total": 12, "state": "open", "note": "</script><!--"},
    "previous": {"total": 10},
}


@pytest.fixture(scope="module")
def ids(server: LiveServer) -> dict[str, str]:
    """Record a few events; return their ids by name."""
    later = {**ORDER, "occurred_at": "2026-03-03T10:00:00Z", "data": {"total": 15, "paid": True}}
    file = {
        **ORDER,
        "kind": "file.upload",
        "actor": {"type": "user", "id": "17", "name": "Lee"},
        "target": {"type": "file", "id": "5", "name": "plan.txt"},
        "scopes": [{"type": "workspace", "id": "4137", "name": "South"}],
    }
    gone = {**ORDER, "trails": ["orders/gone"]}
    with server.http() as http:
        made = http.post("/v1/events", json=[ORDER, later, file, {"kind": "bare"}, gone]).json()
    return dict(
        zip(("first", "later", "file", "bare", "gone"), (e["id"] for e in made), strict=True)
    )


@pytest.fixture(scope="module")
def person(server: LiveServer, ids: dict[str, str]) -> Iterator[httpx2.Client]:
    """Return an administrator."""
    with signed_in(server) as person:
        yield person


def embedded(page: str) -> Json:
    found = re.search(r'<script type="application/json" id="receipt">(.*?)</script>', page, re.S)
    assert found is not None
    receipt: Json = json.loads(found[1])
    return receipt


def test_an_event_shows_what_it_tells_and_proves(
    person: httpx2.Client, ids: dict[str, str]
) -> None:
    page = person.get(f"/console/events/{ids['first']}").text
    for text in ("Kim", "Order 7", "North", "orders/7", "2026-03-01T10:00:00.000Z", ids["first"]):
        assert text in page
    before, after = re.findall(r"<(?:del|ins)><bdi>(.*?)</bdi>", page)
    assert (before, after) == ("10", "12")
    receipt = embedded(page)
    assert verify_receipt(receipt).index == receipt["index"]
    assert "</script><!--" not in page
    download = person.get(f"/console/events/{ids['first']}/receipt")
    assert "attachment" in download.headers["content-disposition"]
    assert verify_receipt(download.content).index == receipt["index"]
    raw = person.get(f"/console/events/{ids['first']}/json").json()
    assert raw["data"] == ORDER["data"]


def test_the_proof_is_drawn_up_to_the_root(person: httpx2.Client, ids: dict[str, str]) -> None:
    page = person.get(f"/console/events/{ids['first']}").text
    root = re.search(r'data-step="root".*?title="([0-9a-f]{64})"', page)
    results = re.findall(r'class="node" title="([0-9a-f]{64})"', page)
    assert root is not None
    assert results[0] == root[1]


def test_every_proof_ends_at_its_root() -> None:
    for size in range(1, 40):
        leaves = [leaf_hash(bytes([n])) for n in range(size)]

        class Hashes:
            def hashes(self, level: int, start: int, count: int) -> list[bytes]:
                assert level == 0
                return leaves[start : start + count]  # noqa: B023  # used at once

        roots = set()
        for index in range(size):
            path = inclusion_proof(index, size, Hashes())
            steps = proof_steps(leaves[index], index, size, path)
            roots.add(steps[-1].result if steps else leaves[0].hex())
        assert len(roots) == 1


def test_each_api_shows_the_event_if_it_has_a_place_for_it(
    server: LiveServer, person: httpx2.Client, ids: dict[str, str]
) -> None:
    shown = {
        name: dict(
            re.findall(
                r'class="api"><summary>([^<]+?)(?: <span.*?</span>)?</summary>\s*(<pre|<p)',
                person.get(f"/console/events/{ids[name]}").text,
            )
        )
        for name in ("first", "file", "bare")
    }
    titles = ["Native", "Orchestrate.io", "Kvass", "DataTrails", "Cloud Foundry", "Onehub"]
    assert all(list(apis) == titles for apis in shown.values())
    assert [shown["file"][title] for title in titles] == ["<pre"] * 2 + [
        "<p",
        "<pre",
        "<pre",
        "<pre",
    ]
    assert [shown["bare"][title] for title in titles] == ["<pre", "<p", "<p", "<pre", "<p", "<p"]
    with server.plain_http() as http:
        address = "/v0/order/7/events/order.updated"
        theirs = http.get(address, auth=(server.admin_key, "")).json()["results"]
    page = html.unescape(person.get(f"/console/events/{ids['first']}").text)
    assert len(theirs) >= 2
    assert any(json.dumps(row["path"]["ref"]) in page for row in theirs)


def test_revised_retracted_held_and_erased_events_say_so(
    server: LiveServer, person: httpx2.Client, ids: dict[str, str]
) -> None:
    with server.http() as http:
        http.post(f"/v1/events/{ids['gone']}/revise", json={"data": {"total": "never again"}})
        page = person.get(f"/console/events/{ids['gone']}").text
        assert ">revised<" in page
        assert "Revised" in page
        base = f"/v1/admin/tenants/{TENANT}/holds"
        hold = http.post(base, json={"query": f"id:{ids['gone']}", "reason": "Case 9"}).json()
        assert "Case 9" in person.get(f"/console/events/{ids['gone']}").text
        with signed_in(server, server.create_key(TENANT, [Scope.READ])) as reader:
            theirs = reader.get(f"/console/events/{ids['gone']}").text
            assert "legal hold" in theirs
            assert "Case 9" not in theirs
            assert "Erase this event" not in theirs
            assert reader.get(f"/console/events/{ids['gone']}/erase").status_code == 403
        form = person.get(f"/console/events/{ids['gone']}/erase").text
        assert "Order 7" in form
        address = f"/console/events/{ids['gone']}/erase"
        sent = {"csrf": csrf_in(form), "confirm": "order.updated"}
        assert person.post(address, data=sent).status_code == 409
        http.post(f"{base}/{hold['id']}/lift", json={"reason": "done"})
    assert person.post(address, data={**sent, "confirm": "order"}).status_code == 400
    assert person.post(address, data=sent).status_code == 303
    page = person.get(f"/console/events/{ids['gone']}").text
    assert "was destroyed" in page
    assert "Erased" in page
    assert "never again" not in page
    assert verify_receipt(embedded(page)).erased


def test_an_event_that_may_not_be_seen_is_not_there(
    server: LiveServer, ids: dict[str, str]
) -> None:
    server.create_user(TENANT, "viewer", login="viewer", password="correct horse")
    server.grant(TENANT, "viewer", "workspace:1", "Viewer")
    with server.plain_http() as viewer:
        show(viewer, login="viewer", password="correct horse")
        assert viewer.get(f"/console/events/{ids['first']}").status_code == 200
        for part in ("", "/receipt", "/json"):
            assert viewer.get(f"/console/events/{ids['file']}{part}").status_code == 404
            assert viewer.get(f"/console/events/{ids['file'][:-1]}0{part}").status_code == 404
        assert viewer.get("/console/resource?type=file&id=5").status_code == 404
        assert viewer.get("/console/resource?type=order&id=7").status_code == 200
        assert viewer.get("/console/admin").status_code == 403
        assert "Followers" not in viewer.get("/console/log").text
    stranger = server.create_tenant("stranger")
    with signed_in(server, stranger) as other:
        assert other.get(f"/console/events/{ids['first']}").status_code == 404


def test_a_resource_has_a_timeline_and_a_state(person: httpx2.Client) -> None:
    address = "/console/resource?type=order&id=7"
    page = html.unescape(person.get(address).text)
    assert "Order 7" in page
    assert '"total": 15' in page
    assert '"state": "open"' in page
    then = html.unescape(person.get(f"{address}&at=2026-03-02T00:00").text)
    assert '"total": 12' in then
    assert "paid" not in then
    before = person.get(f"{address}&at=2026-02-01T00:00").text
    assert "Nothing was known of it" in before
    changed = person.get(f"{address}&then=2026-03-02T00:00&at=2026-03-04T00:00").text
    rows = re.findall(r'<th scope="row"><bdi>(\w+)</bdi>', changed)
    assert rows == ["total", "paid"] or set(rows) == {"total", "paid"}
    same = person.get(f"{address}&then=2026-03-02T00:00&at=2026-03-02T00:01").text
    assert "Nothing differs" in same
    assert "What it did" in page
    assert "Nothing of this kind" in person.get(f"{address}&role=actor").text
    for wrong, status in (("&role=x", 400), ("&at=soon", 400)):
        assert person.get(address + wrong).status_code == status
    assert person.get("/console/resource?type=order").status_code == 400


def test_an_item_has_the_document_of_its_time(server: LiveServer, person: httpx2.Client) -> None:
    with server.plain_http() as http:
        for colour in ("red", "blue"):
            put = http.put("/v0/cars/1", json={"colour": colour}, auth=(server.admin_key, ""))
            assert put.status_code == 201
    page = html.unescape(person.get("/console/resource?type=cars&id=1&role=target").text)
    assert '"colour": "blue"' in page
    assert "stored last" in page


def test_a_trail_lists_its_events(person: httpx2.Client) -> None:
    page = person.get("/console/trail?name=orders/7").text
    assert "events" in page
    assert page.count('class="told"') == 3
    assert person.get("/console/trail?name=nowhere").status_code == 404
    assert person.get("/console/trail").status_code == 400


def test_the_log_shows_its_checkpoint(server: LiveServer, person: httpx2.Client) -> None:
    page = html.unescape(person.get("/console/log").text)
    head = server.node.ledger.proofs.head(TENANT)
    assert head.checkpoint in page
    assert head.root.hex() in page
    assert "Followers" in page
    assert person.get("/console/log/checkpoint").text == head.checkpoint


def test_the_log_names_its_witnesses_and_why_it_takes_nothing(tmp_path: Path) -> None:
    with open_server(tmp_path / "data", checked=False) as server, signed_in(server) as person:
        node = server.node
        assert "Nobody cosigns this log yet." in html.unescape(person.get("/console/log").text)
        for name in ("slow <b>", "quick"):
            key = f"{name}+1+AAAA"
            witness = ConfiguredWitness(
                id=name, tenant=TENANT, created_ms=1, key=key, url="https://w.example"
            )
            node.ledger.administer(TENANT, acts.add_witness(witness))
        head = node.ledger.proofs.head(TENANT)
        last = {key: LastCosignature(head.size, head.root, 1_790_000_000, "")}
        node.cosigned.add(TENANT, head.checkpoint, last)
        page = person.get("/console/log").text
        assert "slow &lt;b&gt;" in page
        assert "not asked yet" in page
        assert "up to date" in page
        node.sequencer.refuse(StoreCorrupt("the log was set back"), TENANT)
        page = person.get("/console/log").text
        assert "Nothing is written to this log." in page
        assert "The log was set back." in page
