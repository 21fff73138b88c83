"""Erasing persons: what is selected, what is destroyed and where, and what holds keep waiting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.errors import Malformed, NotFound
from tallystick.events.event import Draft, Event, Json, Op, Resource
from tallystick.identity import acts
from tallystick.identity.records import User
from tallystick.ledger import holds
from tallystick.ledger.erasures import ErasureRecord
from tallystick.ledger.person import PersonQuery
from tallystick.log.idempotency import claim_event
from tallystick.maintenance import fsck
from tallystick.node.node import Node, open_node
from tallystick.query.expr import Everything
from tallystick.query.question import Find
from tallystick.settings import Settings
from tests.ledger.canary import CANARY, PHONE, places_holding

DPO = Resource("user", "dpo", "Dora")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    """Yield a node with one tenant on each store."""
    database = None
    if request.param == "postgres":
        database = request.getfixturevalue("postgres_database")
    opened = open_node(tmp_path / "data", Settings(database=database), followers=False)
    _, act = acts.create_tenant("acme", server_name="x", now_ms=opened.clock.now_ms())
    opened.ledger.administer("acme", act)
    yield opened
    opened.close()


def person(**members: object) -> Resource:
    return Resource("user", "481", CANARY, {"phone": PHONE, **members})


def record(node: Node, **members: object) -> int:
    """Record an event and return where it stands."""
    draft = Draft(**{"kind": "order.paid", **members})  # type: ignore[arg-type]
    return node.ledger.append("acme", [draft])[0].index


def plan_json(node: Node, **query: object) -> Json:
    plan = node.erasures.plan("acme", PersonQuery(**{"subject": "user:481", **query}))  # type: ignore[arg-type]
    return {"events": len(plan.selected), "kinds": plan.kinds, "blocked": plan.blocked}


def erase(node: Node, **query: object) -> ErasureRecord:
    """Erase a person and return the record of it."""
    wanted = PersonQuery(**{"subject": "user:481", **query})  # type: ignore[arg-type]
    plan = node.erasures.plan("acme", wanted)
    made = node.erasures.request("acme", wanted, reason="letter 9", by=DPO, plan=plan)
    return node.erasures.run("acme", made.id)


def at(node: Node, index: int) -> Event:
    return node.ledger.view_at("acme", index).first


def is_clean(node: Node) -> None:
    report = fsck.check(node.store, lambda origin: node.key.signer(origin).verifier, replay=True)
    assert report.difference is None


def test_sections_that_name_the_person_are_destroyed(node: Node) -> None:
    order = Resource("order", "17")
    acted = record(node, actor=person(), target=order, data={"total": 5})
    named = record(node, actor=person(), target=order, data={"note": f"for {CANARY}, gift"})
    befell = record(node, actor=order, target=person(), data={"card": 1}, previous={"card": 0})
    inside = record(node, scopes=(order, person()), trails=("t",), data={"n": 1})
    other = record(node, actor=Resource("user", "4811", CANARY), data={"n": 481})
    by_path = record(node, data={"customer": [{"id": 481}, {"id": 5}]})
    assert plan_json(node) == {"events": 4, "kinds": {"order.paid": 4}, "blocked": {}}
    done = erase(node, paths=("data.customer.id",))
    assert (done.state, done.events, done.erased) == ("done", 5, 5)
    assert at(node, acted).erased == ("actor",)
    assert at(node, acted).data == {"total": 5}
    assert at(node, named).erased == ("actor", "data")
    assert at(node, befell).erased == ("target", "data", "previous")
    assert at(node, inside).erased == ("place",)
    assert at(node, other).erased == ()
    assert at(node, by_path).erased == ("data",)
    is_clean(node)
    with pytest.raises(NotFound):
        erase(node)


def test_named_sections_and_times_narrow_an_erasure(node: Node) -> None:
    early = record(node, actor=person(), data={"n": 1}, occurred_ms=1_000)
    late = record(node, actor=person(), data={"n": 2}, occurred_ms=2_000)
    done = erase(node, sections=("data",), from_ms=1_500)
    assert done.erased == 1
    assert (at(node, early).erased, at(node, late).erased) == ((), ("data",))
    assert erase(node, sections=("data", "target"), to_ms=1_500).erased == 1
    assert at(node, early).erased == ("data",)


@pytest.mark.parametrize(
    "query",
    [
        {"subject": "user"}, {"subject": ":1"}, {"sections": ("body",)}, {"paths": ("data..x",)},
        {"from_ms": 5, "to_ms": 5},
    ],
)  # fmt: skip
def test_query_that_means_nothing_is_refused(query: Json) -> None:
    with pytest.raises(Malformed):
        PersonQuery(**{"subject": "user:481", **query}).check()


def test_revisions_and_documents_are_erased_too(node: Node) -> None:
    index = record(node, target=person(), data={"v": "first"})
    id = at(node, index).id
    node.ledger.revise("acme", id, {"v": "second"}, visible=Everything(), dialect="native")
    node.ledger.revise("acme", id, {"v": "third"}, visible=Everything(), dialect="native")
    item = Resource("user", "481")
    for n in range(3):
        put = Draft(kind="item.put", op=Op.DOCUMENT, target=item, data={"phone": PHONE, "n": n})
        node.ledger.append("acme", [put])
    planned = plan_json(node)
    assert planned["kinds"] == {"item.put": 3, "order.paid": 1}
    done = erase(node, sections=("data",))
    assert done.erased == 6
    document = node.ledger.document("acme", "user", "481")
    assert document is not None
    assert document.data == {}
    assert node.ledger.get("acme", id, Everything()).event.data == {}
    is_clean(node)


def test_nothing_of_a_person_is_left_in_any_file(node: Node) -> None:
    secret = "K4n4ry" + "9" * 8
    draft = Draft(kind="call", actor=person(), data={"to": PHONE, "text": secret})
    claim_event(draft, "key-1", {})
    node.ledger.append("acme", [draft])
    record(node, target=person(), data={"text": secret})
    upload = node.blobs.content.begin("acme")
    upload.write(secret.encode() * 50)
    blob = node.blobs.keep(
        upload, "acme", node.ledger.administer,
        mime_type="text/plain", now_ms=1, dialect="datatrails",
    )  # fmt: skip
    record(node, target=person(), data={"file": f"blobs/{blob.id}"})
    node.ledger.administer(
        "acme", acts.create_user(User(id="481", tenant="acme", created_ms=1, name=CANARY))
    )
    question = Find(where=Everything(), total=True)
    assert node.ledger.find("acme", question, Everything()).total == 3
    texts = [CANARY, PHONE]
    assert places_holding(node, texts) != []
    done = erase(node, paths=("data.text=" + secret,))
    assert done.state == "done"
    assert node.ledger.find("acme", question, Everything()).total == 3
    assert node.store.identity("acme", "user", "481") is None
    assert node.blobs.list("acme") == []
    assert {c.digest for c in node.store.scan_claims("acme", b"k", 9)} <= {b""}
    found = node.erasures.request_of(done)
    assert (found["subject"], found["reason"]) == ("user:481", "letter 9")
    assert places_holding(node, texts) == []
    is_clean(node)


def test_person_stands_in_no_leaf_and_no_record(node: Node) -> None:
    record(node, actor=Resource("user", "Quixote-481"))
    done = erase(node, subject="user:Quixote-481")
    size = node.ledger.proofs.head("acme").size
    leaves = node.store.entries("acme", 0, size)
    row = node.store.identity("acme", "erasure", done.id)
    assert row is not None
    assert node.erasures.request_of(done)["subject"] == "user:Quixote-481"
    for content in (*leaves, row.doc):
        assert b"Quixote" not in content
        assert b"letter 9" not in content


def test_parts_under_a_hold_wait_and_go_once_it_is_lifted(node: Node) -> None:
    free = record(node, actor=person(), data={"n": 1})
    held = record(node, kind="order.disputed", actor=person(), data={"n": 2})
    _, act = holds.place("acme", "kind:order.disputed", reason="matter", by=DPO, now_ms=1, id="m-1")
    node.ledger.administer("acme", act)
    assert plan_json(node)["blocked"] == {"m-1": 1}
    waiting = erase(node)
    assert (waiting.state, waiting.erased, waiting.blocked) == ("pending", 1, {"m-1": 1})
    assert at(node, free).erased == ("actor",)
    assert at(node, held).erased == ()
    is_clean(node)
    assert node.erasures.resume() == []
    assert node.erasures.get("acme", waiting.id) == waiting
    _, act = node.ledger.holds.lifted("acme", "m-1", reason="over", by=DPO, now_ms=2)
    node.ledger.administer("acme", act)
    assert node.erasures.resume() == []
    done = node.erasures.get("acme", waiting.id)
    assert (done.state, done.erased, done.blocked, done.left) == ("done", 2, {}, ())
    assert at(node, held).erased == ("actor",)
    is_clean(node)


def test_what_was_erased_is_told_to_those_who_keep_copies(node: Node) -> None:
    told: list[tuple[str, list[int]]] = []
    node.commit_listeners.append(
        lambda heads, stats: told.extend(
            (t, [e.index for e in erased]) for t, erased in stats.erased.items()
        )
    )
    index = record(node, actor=person())
    erase(node)
    assert told == [("acme", [index])]
