"""The extension's write: authors, times, retries, and what an update changed."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tallystick.dialects.kvass import wire
from tallystick.events.event import Draft, Json, Resource
from tallystick.identity.access import Scope
from tests.dialects.kvass.conftest import Company, ids_of, total
from tests.dialects.kvass.samples import AUTHOR, CHANGED, CREATED_MS, ORDER_ID, order, updated

EVENTS = "/extensions/kvass/events"


@pytest.mark.row("K-18", "K-19")
@pytest.mark.resolution("kvass-K17")
def test_an_update_says_what_it_changed_as_the_seed_does(company: Company) -> None:
    company.record("order.created")
    event = company.record("order.updated", object=order(**CHANGED, modified={"$date": 5}))
    assert event["data"]["previous_data"] == updated()["data"]["previous_data"]
    assert list(event["data"]) == ["object_type", "kind", "object", "previous_data"]
    assert company.service.get("/events").json()[0] == event


@pytest.mark.row("K-19")
def test_nothing_but_an_update_says_what_changed(company: Company) -> None:
    company.record("order.created")
    cancelled = company.record("order.cancelled", object=order(order_status="CANCELLED"))
    assert "previous_data" not in cancelled["data"]
    same = company.record("order.updated", object=order(order_status="CANCELLED"))
    assert "previous_data" not in same["data"]
    first = company.record("order.updated", object=order(_id="another"))
    assert "previous_data" not in first["data"]


@pytest.mark.row("K-19")
def test_new_members_were_null_and_lost_ones_are_told(company: Company) -> None:
    company.record("product.created", object={"_id": "1", "price": 1.0, "tags": ["a"], "n": 1})
    event = company.record("product.updated", object={"_id": "1", "tags": ["a"], "x": {}, "n": 1.5})
    assert event["data"]["previous_data"] == {"price": 1.0, "n": 1, "x": None}


def test_a_key_that_may_not_read_is_not_told_what_was_there_before(company: Company) -> None:
    company.record("order.created")
    key = company.server.create_key(company.tenant, (Scope.WRITE,), service=True)
    writer = company.http({"X-Kvass-Api-Key": key})
    document = {"kind": "order.updated", "object": order(**CHANGED)}
    answer = writer.post(EVENTS, json=document)
    assert answer.status_code == 201
    assert "previous_data" not in answer.json()["data"]
    [stored] = company.service.get("/events?size=1").json()
    assert stored["_id"] == answer.json()["_id"]
    assert stored["data"]["previous_data"] == updated()["data"]["previous_data"]
    told = writer.post(EVENTS, json={**document, "previous_data": {"note": "given"}})
    assert told.json()["data"]["previous_data"] == {"note": "given"}


def test_what_the_writer_says_has_changed_is_kept(company: Company) -> None:
    company.record("order.created")
    given = {"note": "as the writer remembers it"}
    event = company.record("order.updated", previous_data=given)
    assert event["data"]["previous_data"] == given
    event = company.record("order.updated", previous_object=order(note="old"))
    assert event["data"]["previous_data"] == {"note": "old"}


def test_a_change_is_told_against_the_latest_event_of_this_api(company: Company) -> None:
    """Others speak of the same order: natively, as a whole order or as something else."""
    target = Resource("order", ORDER_ID)
    company.record("order.created")
    company.append(Draft(kind="order.viewed", target=target, data={"by": "x"}))
    event = company.record("order.updated", object=order(note="a"))
    assert event["data"]["previous_data"] == {"note": ""}
    native = {name: value for name, value in order(note="b").items() if name != "_id"}
    company.append(Draft(kind="order.updated", target=target, data=native))
    event = company.record("order.updated", object=order(note="c"))
    assert event["data"]["previous_data"] == {"note": "b"}


def test_an_object_that_only_others_spoke_of_has_no_state(company: Company) -> None:
    company.append(Draft(kind="order.viewed", target=Resource("order", ORDER_ID), data={"by": 1}))
    assert "previous_data" not in company.record("order.updated")["data"]


def test_an_erased_state_is_not_told(company: Company) -> None:
    company.record("order.created")
    ledger = company.server.node.ledger
    ledger.erase(company.tenant, [company.last().index], subject="test")
    assert "previous_data" not in company.record("order.updated")["data"]
    shown = company.service.get("/events?sort=created").json()
    assert shown[0]["data"]["object"] == {}
    assert len(shown) == 2


payloads = st.dictionaries(
    st.sampled_from(["a", "b", "c", "modified"]),
    st.none() | st.integers(0, 2) | st.sampled_from([1.0, True, "x", [], {}, [1], {"k": 1}]),
)


class ChangeTracking(RuleBasedStateMachine):
    """Objects are changed in any order; going back from the current state meets every old one."""

    company: Company

    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"object-{next(_runs)}"
        self.states: dict[int, list[Json]] = {}

    @rule(
        number=st.integers(0, 1),
        kind=st.sampled_from(["plan.created", "plan.updated", "plan.updated", "plan.deleted"]),
        payload=payloads,
    )
    def record(self, number: int, kind: str, payload: Json) -> None:
        state = {**payload, "_id": f"{self.prefix}-{number}"}
        event = self.company.record(kind, object=state)
        before = self.states.setdefault(number, [])
        previous = event["data"].get("previous_data")
        if kind == "plan.updated" and before:
            assert rolled_back(state, previous or {}) == bare(before[-1])
            assert previous != {}
            # A member that is new has null, be it new as null itself.
            told = {k: v for k, v in (previous or {}).items() if v is not None}
            assert all(not same(state.get(k), v) for k, v in told.items())
        else:
            assert previous is None
        before.append(state)


_runs = itertools.count()


def rolled_back(state: Json, previous: Json) -> Json:
    """Return the state before: old values in place of new ones, null for what was not there."""
    return bare({**state, **previous})


def bare(state: Json) -> Json:
    """Return a state without bookkeeping; a member that is null is as one that is not there."""
    return {k: v for k, v in state.items() if k != "modified" and v is not None}


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


@pytest.mark.row("K-19")
def test_going_back_by_the_changes_meets_every_state(company: Company) -> None:
    machine = type("Tracking", (ChangeTracking,), {"company": company})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=15, stateful_step_count=8, deadline=None)
    )


@pytest.mark.row("K-19")
def test_concurrent_updates_tell_one_story(company: Company) -> None:
    """Writers race for one object; each difference is to the event right before it in the log."""
    company.record("plan.created", object={"_id": "1"})
    start = threading.Barrier(8)

    def write(writer: int) -> list[int]:
        start.wait()
        return [
            company.service.post(
                EVENTS,
                json={
                    "kind": "plan.updated",
                    "object": {"_id": "1", f"member {writer % 3}": [writer, n], "last": writer},
                },
            ).status_code
            for n in range(5)
        ]

    with ThreadPoolExecutor(8) as pool:
        statuses = [status for found in pool.map(write, range(8)) for status in found]
    assert set(statuses) <= {201, 503}
    answer = company.service.get("/events?size=100&sort=created")
    assert total(answer) == statuses.count(201) + 1
    history = sorted(answer.json(), key=lambda event: event["_id"]["$oid"])
    state: Json = {}
    for event in history:
        data = event["data"]
        if event is not history[0]:
            assert rolled_back(data["object"], data.get("previous_data", {})) == bare(state)
        state = data["object"]
    assert statuses.count(201) > 8


@given(before=payloads, after=payloads)
def test_a_given_old_object_is_compared_alike(before: Json, after: Json) -> None:
    document = {
        "kind": "plan.updated",
        "object": {**after, "_id": "1"},
        "previous_object": {**before, "_id": "1"},
    }
    draft = wire.to_draft(document, company="0" * 24)
    assert draft.previous is not None
    assert rolled_back(draft.data, draft.previous) == bare({**before, "_id": "1"})


@pytest.mark.row("K-20")
def test_the_bearer_is_the_author_in_full(company: Company) -> None:
    company.trust()
    server, tenant = company.server, company.tenant
    user = server.create_user(
        tenant,
        "john",
        name="John Doe",
        email="john@email.com",
        aliases=(AUTHOR["_id"]["$oid"],),
        attributes={"mobile_phone_number": "+4712345678"},
    )
    client = company.with_token(company.token(sub="john"))
    answer = client.post(EVENTS, json={"kind": "order.created", "object": order()})
    assert answer.status_code == 201
    assert answer.json()["author"] == {
        **AUTHOR,
        "created": {"$date": user.created_ms},
        "modified": {"$date": user.created_ms},
        "company": {"$oid": company.hex},
        "roles": ["admin"],
        "deleted": False,
    }
    actor = company.last().actor
    assert actor is not None
    assert (actor.id, actor.name) == ("john", "John Doe")


@pytest.mark.resolution("kvass-K16")
def test_an_author_may_be_given_and_is_known_by_an_alias(company: Company) -> None:
    alias = AUTHOR["_id"]["$oid"]
    company.server.create_user(company.tenant, "john", aliases=(alias,))
    event = company.record(author=AUTHOR)
    assert event["author"] == AUTHOR
    actor = company.last().actor
    assert actor is not None
    assert actor.id == "john"
    assert "author" not in company.record(author=None)
    assert "author" not in company.record()


def test_a_record_says_that_it_is_an_extension(company: Company) -> None:
    answer = company.service.post(EVENTS, json={"kind": "order.created", "object": order()})
    assert answer.headers["x-tallystick-extension"] == "kvass"
    event = company.service.get(answer.headers["location"]).json()
    assert event == answer.json()
    assert event["company"] == {"$oid": company.hex}


def test_a_repeated_request_records_once(company: Company) -> None:
    body = {"kind": "order.updated", "object": order()}
    headers = {"Idempotency-Key": "one"}
    first = company.service.post(EVENTS, json=body, headers=headers)
    company.record("order.updated", object=order(note="x"))
    again = company.service.post(EVENTS, json=body, headers=headers)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    other = company.service.post(EVENTS, json={**body, "object": order(note="y")}, headers=headers)
    assert other.status_code == 422
    assert total(company.service.get("/events")) == 2


def test_events_may_be_recorded_late(company: Company) -> None:
    late = company.record(created={"$date": CREATED_MS})
    newer = company.record()
    assert ids_of(company.service.get("/events")) == [
        newer["_id"]["$oid"],
        late["_id"]["$oid"],
    ]


@pytest.mark.row("K-21", "K-25")
@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        (b'{"kind": "order.deleted", "object": {"_id": "1"}}', 400, "kind"),
        (b'{"kind": "shipment.created", "object": {"_id": "1"}}', 400, "kind"),
        (b'{"kind": "order.created"}', 400, "object"),
        (b'{"kind": "order.created", "object": {}}', 400, "object._id"),
        (b"[]", 400, None),
        (b"{", 400, None),
        (b"", 400, None),
        (b'{"kind": "order.created", "object": {"_id": "' + b"x" * 1025 + b'"}}', 413, None),
        (b'{"kind": "order.created", "object": {"_id": "\\ud800"}}', 400, None),
        (b'{"kind": "order.created", "object": {"_id": "1", "x": NaN}}', 400, None),
        (b'{"kind": "order.created", "object": ' + b"[" * 5000 + b"}", 400, None),
        (b" " * (2 * 1024 * 1024 + 1), 413, None),
    ],
    ids=[f"body {n}" for n in range(12)],
)
def test_bad_input_is_refused_and_stores_nothing(
    company: Company, body: bytes, status: int, path: str | None
) -> None:
    answer = company.service.post(EVENTS, content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == status
    if path is not None:
        assert list(answer.json()["error"]["params"]) == [path]
    assert total(company.service.get("/events")) == 0
