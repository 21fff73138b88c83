"""Lists, searches and single reads over a socket."""

from __future__ import annotations

from typing import Any

import pytest
from bson import json_util

from tallystick.dialects.kvass.kinds import KINDS
from tallystick.events.event import Draft, Json, Resource, class_of
from tests.dialects.kvass.conftest import Company, ids_of, oids, total
from tests.dialects.kvass.samples import AUTHOR, COMPANY, created, order, updated

SECOND_MS = 1_499_767_018_000


def at(ms: int) -> Json:
    return {"$date": ms}


def some_events(company: Company, count: int) -> list[Json]:
    """Record events a second apart, with ties, and return them newest first."""
    events = [
        company.record(
            "product.created",
            object={"_id": str(n)},
            created=at(SECOND_MS + n // 2 * 1000),
        )
        for n in range(count)
    ]
    return events[::-1]


@pytest.mark.row("K-1", "K-2", "K-3", "K-22")
@pytest.mark.resolution("kvass-K10")
def test_lists_are_arrays_and_one_event_is_an_object(company: Company) -> None:
    event = company.record()
    for path in ("/events", "/events/search?query=order", f"/events/search?query={id_of(event)}"):
        answer = company.service.get(path)
        assert answer.json() == [event]
        assert total(answer) == 1
        assert answer.headers["content-type"] == "application/json"
    answer = company.service.get(f"/events/{id_of(event)}")
    assert answer.json() == event
    assert "x-pagination-total" not in answer.headers


def id_of(event: Json) -> str:
    return str(event["_id"]["$oid"])


@pytest.mark.row("K-22")
def test_an_empty_list_has_a_total_too(company: Company) -> None:
    for path in ("/events", "/events/search?query=order"):
        answer = company.service.get(path)
        assert (answer.json(), total(answer)) == ([], 0)


@pytest.mark.row("K-4", "K-26")
@pytest.mark.resolution("kvass-K1", "kvass-K2")
def test_pages_are_counted_from_zero_and_never_overlap(company: Company) -> None:
    events = oids(some_events(company, 23))
    get = company.service.get
    assert ids_of(get("/events")) == events[:10]
    assert ids_of(get("/events?page=0")) == events[:10]
    assert ids_of(get("/events?page=1")) == events[10:20]
    assert ids_of(get("/events?page=2")) == events[20:]
    assert ids_of(get("/events?size=7&page=1")) == events[7:14]
    assert ids_of(get("/events?size=100000")) == events
    beyond = get("/events?page=3")
    assert (beyond.json(), total(beyond)) == ([], 23)
    assert total(get(f"/events?page={'9' * 100}")) == 23
    assert ids_of(get("/events/search?query=product&size=3&page=2")) == events[6:9]


@pytest.mark.row("K-5", "K-26")
def test_sorting_goes_both_ways(company: Company) -> None:
    events = oids(some_events(company, 7))
    get = company.service.get
    assert ids_of(get("/events?sort=-created")) == events
    assert ids_of(get("/events?sort=created")) == events[::-1]
    assert ids_of(get("/events?sort=modified&size=3&page=1")) == events[::-1][3:6]
    assert ids_of(get("/events?sort=company")) == events[::-1]
    assert ids_of(get("/events/search?query=product&sort=created")) == events[::-1]


@pytest.mark.row("K-5")
@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("kind", lambda event: (event["kind"], event["_id"]["$oid"])),
        ("_id", lambda event: event["_id"]["$oid"]),
        ("id", lambda event: event["_id"]["$oid"]),
        ("data.object_type,created", lambda event: (object_type(event), event["_id"]["$oid"])),
    ],
)
def test_sorting_by_other_members(company: Company, sort: str, key: Any) -> None:
    kinds = ["user.created", "order.created", "user.updated", "plan.deleted", "order.cancelled"]
    events = [
        company.record(kind, object={"_id": "1"}, created=at(SECOND_MS + n * 1000))
        for n, kind in enumerate(kinds)
    ]
    imported = {"_id": "2"}
    given = {"$oid": "5964a0ead57ba2036750a3b4"}
    events.append(company.record("user.created", object=imported, _id=given, created=at(SECOND_MS)))
    assert ids_of(company.service.get(f"/events?sort={sort}")) == oids(sorted(events, key=key))
    descending = ",".join(f"-{part}" for part in sort.split(","))
    found = ids_of(company.service.get(f"/events?sort={descending}&size=4"))
    assert found == oids(sorted(events, key=key, reverse=True))[:4]


def object_type(event: Json) -> str:
    return str(event["data"]["object_type"])


@pytest.mark.row("K-6", "K-7")
@pytest.mark.resolution("kvass-K3", "kvass-K4")
def test_a_query_means_a_kind_or_a_class_exactly(company: Company) -> None:
    made = company.record("order.created")
    changed = company.record("order.updated", object=order(note="x"))
    user = company.record("user.created", object={"_id": "1"})
    get = company.service.get

    def found(query: str) -> list[str]:
        answer = get("/events/search", params={"query": query})
        assert total(answer) == len(answer.json())
        return ids_of(answer)

    assert found("order.created") == [id_of(made)]
    assert found("order") == [id_of(changed), id_of(made)]
    assert found("user") == [id_of(user)]
    for nothing in ("ord", "order.", "ORDER", "created", ".created", "order.deleted", "plan", " "):
        assert found(nothing) == []


@pytest.mark.row("K-8")
@pytest.mark.resolution("kvass-K4", "kvass-K10")
def test_a_query_may_be_an_id(company: Company) -> None:
    event = company.record()
    company.record()
    get = company.service.get
    assert ids_of(get(f"/events/search?query={id_of(event)}")) == [id_of(event)]
    assert ids_of(get(f"/events/search?query={id_of(event).upper()}")) == [id_of(event)]
    assert ids_of(get(f"/events/search?query={'0' * 24}")) == []
    beyond = get(f"/events/search?query={id_of(event)}&page=1")
    assert (beyond.json(), total(beyond)) == ([], 1)


@pytest.mark.row("K-9", "K-25")
@pytest.mark.parametrize("path", ["/events/search", "/events/search?query=", "/events/search/"])
def test_a_search_needs_a_query(company: Company, path: str) -> None:
    answer = company.service.get(path)
    assert answer.status_code == 400
    assert "query" in answer.json()["error"]["params"]


@pytest.mark.row("K-10", "K-11", "K-12")
@pytest.mark.resolution("kvass-K11", "kvass-K14")
@pytest.mark.parametrize(
    ("path", "query"), [("/events", {}), ("/events/search", {"query": "product"})]
)
def test_dates_bound_lists_and_searches(company: Company, path: str, query: dict[str, str]) -> None:
    events = [
        company.record("product.created", object={"_id": str(ms)}, created=at(ms))
        for ms in (-5000, 0, 700, SECOND_MS + 360, SECOND_MS + 999, SECOND_MS + 1000)
    ]
    before, zero, early, first, second, third = oids(events)
    get = company.service.get
    now = SECOND_MS // 1000

    def found(**dates: int | str) -> list[str]:
        answer = get(path, params={"sort": "created", **query, **dates})
        assert total(answer) == len(answer.json())
        return ids_of(answer)

    assert found(from_date=now, to_date=now) == [first, second]
    assert found(from_date=now + 1) == [third]
    assert found(to_date=now) == [before, zero, early, first, second]
    assert found(from_date=SECOND_MS + 361) == [second, third]
    assert found(to_date=SECOND_MS + 360, from_date=SECOND_MS) == [first]
    assert found(from_date=0) == [zero, early, first, second, third]
    assert found(to_date=0) == [before, zero, early]
    assert found(from_date=-5, to_date=-5) == [before]
    assert found(from_date=2**71) == []
    assert found(to_date=2**71) == [before, zero, early, first, second, third]
    assert found(from_date=now + 1, to_date=now) == []
    assert found(from_date=now, date_filter="modified") == [first, second, third]


@pytest.mark.row("K-16", "K-17", "K-18", "K-20")
@pytest.mark.resolution("kvass-K7", "kvass-K9", "kvass-K16")
def test_the_seeds_events_are_answered_to_the_letter(company: Company) -> None:
    for document in (created(), updated()):
        document["company"] = {"$oid": company.hex}
        answer = company.service.post("/extensions/kvass/events", json=document)
        assert answer.status_code == 201
        assert answer.json() == document
        again = company.service.get(f"/events/{id_of(document)}")
        assert again.json() == document
        assert '"total_amount":1200.0' in again.text
        assert '"override_company_take":-1.0' in again.text
        assert '"$date":1499767018360' in again.text
    assert COMPANY not in again.json()["company"]["$oid"]
    assert again.json()["author"] == AUTHOR


@pytest.mark.resolution("kvass-K8")
def test_ids_are_unique(company: Company) -> None:
    """The seed shows two events with one id; here an id comes once."""
    assert len(set(oids(some_events(company, 6)))) == 6
    ours = {"company": {"$oid": company.hex}}
    first = company.service.post("/extensions/kvass/events", json={**created(), **ours})
    again = company.service.post("/extensions/kvass/events", json={**created(), **ours})
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    other = {**updated(), **ours, "_id": created()["_id"]}
    refused = company.service.post("/extensions/kvass/events", json=other)
    assert refused.status_code == 422
    assert total(company.service.get("/events")) == 7


@pytest.mark.row("K-16")
def test_pymongo_reads_what_is_answered(company: Company) -> None:
    event = company.record(author=AUTHOR, created=at(SECOND_MS + 360))
    answer = company.service.get("/events")
    (read,) = json_util.loads(answer.text, json_options=json_util.LEGACY_JSON_OPTIONS)
    assert str(read["_id"]) == id_of(event)
    assert read["created"].microsecond == 360_000
    assert read["_id"].generation_time.timestamp() * 1000 == SECOND_MS
    assert str(read["author"]["_id"]) == AUTHOR["_id"]["$oid"]
    assert isinstance(read["data"]["object"]["total_amount"], float)


@pytest.mark.row("K-24")
def test_an_id_is_made_of_the_time_of_the_event(company: Company) -> None:
    event = company.record(created=at(SECOND_MS + 999))
    assert int(id_of(event)[:8], 16) == SECOND_MS // 1000


@pytest.mark.row("K-23")
@pytest.mark.parametrize(
    "path", ["/events", "/events/5", "/events/search", "/events/a/b", "/extensions/kvass/kinds"]
)
def test_browsers_of_other_sites_may_read_every_answer(company: Company, path: str) -> None:
    for client in (company.service, company.anonymous):
        headers = client.get(path).headers
        assert headers["access-control-allow-origin"] == "*"
        exposed = headers["access-control-expose-headers"]
        assert exposed == "X-Pagination-Total, Tally-Checkpoint, Link"
    if path in ("/events", "/events/search", "/events/5"):
        preflight = company.anonymous.options(path)
        assert preflight.status_code == 204
        allowed = preflight.headers["access-control-allow-headers"].split(", ")
        assert {"X-Kvass-Api-Key", "X-Builton-Api-Key", "X-Share-Api-Key"} <= set(allowed)


@pytest.mark.row("K-25")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/events/5964a0ead57ba2036750a3b4", 404),
        ("/events/5964a0ea0000000000000001", 404),
        ("/events/5964a0eaffffffffffffffff", 404),
        ("/events/" + "0" * 24, 404),
        ("/events/nonsense", 404),
        ("/events/" + "g" * 24, 404),
        ("/events/a/b", 404),
        ("/events?size=0", 400),
        ("/events?page=-1", 400),
        ("/events?sort=total", 400),
        ("/events?from_date=yesterday", 400),
        ("/events?date_filter=delivery_time", 400),
        ("/extensions/kvass/nothing", 404),
    ],
)
def test_errors_are_objects_with_code_and_message(company: Company, path: str, status: int) -> None:
    answer = company.service.get(path)
    assert answer.status_code == status
    body = answer.json()
    assert set(body) == {"code", "message", "description", "error"}
    assert (body["code"], body["message"]) == (status, body["description"])
    assert set(body["error"]) == {"type", "exception_description", "params"}


@pytest.mark.resolution("kvass-K13")
def test_the_query_is_no_part_of_the_path(company: Company) -> None:
    company.record()
    assert company.service.get("/events/search/query=order").status_code == 404


@pytest.mark.row("K-27")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/events", "/events/search", "/events/5964a0ead57ba2036750a3b4"])
def test_documented_paths_only_read(company: Company, method: str, path: str) -> None:
    answer = company.service.request(method, path, json={})
    assert answer.status_code == 405
    assert answer.json()["code"] == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.row("K-28")
def test_a_slash_at_the_end_and_expand_change_nothing(company: Company) -> None:
    event = company.record()
    for path in (
        "/events/",
        "/events/search/?query=order",
        "/events?expand=author,data.object,company,nothing",
        "/events/search?query=order&expand=author&unknown=1",
    ):
        assert company.service.get(path).json() == [event]
    for path in (f"/events/{id_of(event)}/", f"/events/{id_of(event)}?expand=author"):
        assert company.service.get(path).json() == event


def test_a_head_request_has_the_headers_of_a_get(company: Company) -> None:
    company.record()
    answer = company.service.head("/events")
    assert (answer.status_code, total(answer), answer.content) == (200, 1, b"")


def test_events_of_other_apis_are_shown_where_the_kind_is_known(company: Company) -> None:
    target = Resource("order", "591ee163b70e2a10acb653a7", "51Q4LN")
    company.append(
        Draft(kind="order.created", target=target, data={"total": 1.0}, occurred_ms=SECOND_MS),
        Draft(kind="order.shipped", target=target),
        Draft(kind="order.created", target=Resource("basket", "1")),
        Draft(kind="order.created"),
    )
    answer = company.service.get("/events")
    assert total(answer) == 1
    (event,) = answer.json()
    assert event["data"]["object"] == {"total": 1.0, "_id": {"$oid": target.id}}
    assert event["created"] == at(SECOND_MS)
    assert event["company"] == {"$oid": company.hex}
    assert company.service.get(f"/events/{id_of(event)}").json() == event
    assert ids_of(company.service.get(f"/events/search?query={id_of(event)}")) == [id_of(event)]


@pytest.mark.row("K-21")
@pytest.mark.resolution("kvass-K3")
def test_the_kinds_are_listed_with_their_meaning(company: Company) -> None:
    answer = company.anonymous.get("/extensions/kvass/kinds")
    listed = {entry["kind"]: entry["description"] for entry in answer.json()}
    assert listed == KINDS
    assert listed["subscription.non_renewing"] == "Subscription stopping the next cycle"
    assert answer.headers["x-tallystick-extension"] == "kvass"
    for kind in KINDS:
        event = company.record(kind, object={"_id": "1"})
        assert event["data"]["object_type"] == class_of(kind)
    assert total(company.service.get("/events")) == 31


@pytest.mark.parametrize(
    "text",
    ["\x00", "\r\nX-Evil: 1", "<script>", "\u202e", "é" * 512, "\U0001f600", '"\\', "$oid"],
)
def test_hostile_values_come_back_equal(company: Company, text: str) -> None:
    shown = {"_id": text, "name": text, text + "x": [text]}
    if text.startswith("$"):
        shown = {"_id": text, "name": text}
    author = {"_id": text, "first_name": text}
    event = company.record("product.created", object=shown, author=author)
    assert event["data"]["object"] == shown
    assert event["author"] == author
    assert company.service.get("/events").json() == [event]
    assert company.service.get("/events/search", params={"query": text}).status_code == 200
