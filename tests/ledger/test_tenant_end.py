"""A tenant's end: nothing of it is left in any file, its log still holds, others are untouched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tallystick.errors import Conflict, Malformed, UnderHold
from tallystick.events.event import Draft, Op, Resource
from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.records import User
from tallystick.ledger import holds
from tallystick.maintenance import fsck
from tallystick.node.node import Node, open_node
from tallystick.query.expr import Everything
from tallystick.query.question import Find
from tallystick.settings import Settings
from tests.ledger.canary import CANARY, PHONE, places_holding

BY = Resource("operator", "root")
SECRET = "K4n4ry99999999"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    """Yield a node with two tenants on each store, one of them full of canaries."""
    database = None
    if request.param == "postgres":
        database = request.getfixturevalue("postgres_database")
    opened = open_node(tmp_path / "data", Settings(database=database), followers=False)
    for tenant in ("acme", "other"):
        _, act = acts.create_tenant(tenant, server_name="x", now_ms=opened.clock.now_ms())
        opened.ledger.administer(tenant, act)
        opened.ledger.append(tenant, [Draft(kind="k", data={"n": n}) for n in range(3)])
    fill(opened)
    yield opened
    opened.close()


def fill(node: Node) -> None:
    """Put canaries wherever a tenant may have some."""
    who = Resource("user", "481", CANARY, {"phone": PHONE})
    ledger, now_ms = node.ledger, node.clock.now_ms()
    [event] = ledger.append("acme", [Draft(kind="call", actor=who, data={"to": PHONE})])
    ledger.revise("acme", event.id, {"to": SECRET}, visible=Everything(), dialect="native")
    item = Draft(kind="item.put", op=Op.DOCUMENT, target=who, data={"text": SECRET})
    ledger.append("acme", [item])
    user = User(id="481", tenant="acme", created_ms=now_ms, name=CANARY, email="zoe@canary.test")
    ledger.administer("acme", acts.create_user(user))
    _, _, act = acts.create_key("acme", (Scope.READ,), now_ms=now_ms, label=CANARY)
    ledger.administer("acme", act)
    upload = node.blobs.content.begin("acme")
    upload.write(SECRET.encode() * 50)
    node.blobs.keep(
        upload, "acme", ledger.administer, mime_type="text/plain", now_ms=1, dialect="datatrails"
    )
    upload.abort()
    assert ledger.find("acme", Find(total=True), Everything()).total == 4


def suspend(node: Node) -> None:
    node.tenant_end.suspend("acme", reason="contract over")


def test_nothing_of_a_deleted_tenant_is_left_in_any_file(node: Node) -> None:
    other = node.store.log_head("other")
    texts = [CANARY, PHONE, SECRET, "zoe@canary.test"]
    assert places_holding(node, texts) != []
    suspend(node)
    certificate = node.tenant_end.delete("acme", by=BY, reason="contract over")
    node.ledger.find("acme", Find(total=True), Everything())
    assert places_holding(node, texts) == []
    assert certificate["records"] == {"key": 1, "user": 1}
    assert (certificate["blobs"], certificate["by"]) == (1, "operator:root")
    assert certificate == node.tenant_end.certificate("acme")
    assert certificate["receipts"] != []
    assert "Canary" not in msgspec.json.encode(certificate).decode()
    report = fsck.check(node.store, lambda origin: node.key.signer(origin).verifier, replay=True)
    assert report.difference is None
    assert node.store.log_head("other") == other
    assert node.ledger.find("other", Find(total=True), Everything()).total == 3
    with pytest.raises(Conflict, match="deleted already"):
        node.tenant_end.delete("acme", by=BY, reason="again")
    with pytest.raises(Conflict, match="deleted"):
        node.tenant_end.resume("acme", reason="regret")


def test_holds_keep_a_tenant(node: Node) -> None:
    with pytest.raises(Conflict, match="not suspended"):
        node.tenant_end.delete("acme", by=BY, reason="r")
    suspend(node)
    _, act = holds.place("acme", "kind:none", reason="m", by=BY, now_ms=1, id="m-1")
    node.ledger.administer("acme", act)
    with pytest.raises(UnderHold, match="m-1"):
        node.tenant_end.delete("acme", by=BY, reason="r")
    assert node.ledger.find("acme", Find(total=True), Everything()).total == 4
    _, act = node.ledger.holds.lifted("acme", "m-1", reason="over", by=BY, now_ms=2)
    node.ledger.administer("acme", act)
    node.tenant_end.delete("acme", by=BY, reason="r")


def test_tenant_is_suspended_and_resumed_for_a_reason(node: Node) -> None:
    with pytest.raises(Malformed):
        node.tenant_end.suspend("acme", reason=" ")
    suspend(node)
    assert node.identity.is_suspended("acme")
    with pytest.raises(Conflict):
        suspend(node)
    node.tenant_end.resume("acme", reason="paid")
    assert not node.identity.is_suspended("acme")
    with pytest.raises(Conflict):
        node.tenant_end.resume("acme", reason="paid")
