"""Searching over HTTP: every property, exact totals, stable pages, errors with their place."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from tallystick.events.event import Draft, Resource
from tests.dialects.datatrails.conftest import Account, Json
from tests.support.live_server import LiveServer

SEARCH = "/archivist/v1/events/search"

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "ge": operator.ge,
    "lt": operator.lt, "le": operator.le,
}  # fmt: skip

PROPERTIES: dict[str, Callable[[Json], Any]] = {
    "event_type": lambda event: event["event_type"],
    "origin_tenant": lambda event: event["origin_tenant"],
    "created_by": lambda event: event["created_by"],
    "created_at": lambda event: event["created_at"],
    "ledger_entry/index": lambda event: int(event["ledger_entry"]["index"]),
    "ledger_entry/idtimestamp": lambda event: event["ledger_entry"]["idtimestamp"],
    "ledger_entry/content_hash": lambda event: event["ledger_entry"]["content_hash"],
}


@pytest.fixture(scope="module")
def filled(public_server: LiveServer) -> Iterator[Account]:
    """Return a tenant with a dozen confirmed events, half of them not written here."""
    account = Account(public_server)
    for number in range(6):
        account.create(
            event_type=("", "Safety Conformance", "it's")[number % 3],
            trails=[["Clouseau"], ["Clouseau", "Dreyfus"], [], ["a/b"]][number % 4],
            attributes={"n": str(number)},
        )
    actors = [None, Resource("user", "7", "Al"), Resource("user", str(UUID(int=1)))]
    drafts = [
        Draft(
            kind=("order.created", "it's")[number % 2],
            actor=actors[number % 3],
            target=(Resource("a", "b"), None)[number % 2],
            trails=((), (), ("Clouseau",))[number % 3],
            data={"n": number},
        )
        for number in range(6)
    ]
    stored = account.server.node.ledger.append(account.tenant, drafts)
    account.confirmed(f"events/{stored[-1].id}")
    yield account
    account.close()


@pytest.fixture(scope="module")
def events(filled: Account) -> list[Json]:
    """Return all events of `filled` as they are shown."""
    shown: list[Json] = filled.search(top=50).json()["events"]
    assert len(shown) == 12
    return shown


def assert_found(account: Account, filter: str, expected: list[Json]) -> None:
    """Check a filter's events, their order and the total."""
    answer = account.search(filter, top=50)
    assert answer.status_code == 200, answer.text
    found = [event["identity"] for event in answer.json()["events"]]
    assert found == [event["identity"] for event in expected], filter
    assert answer.headers["x-total-count"] == str(len(expected))


@pytest.mark.row(
    "D-36", "D-41", "D-42", "D-43", "D-44", "D-45", "D-46", "D-47", "D-48", "D-50", "D-54"
)  # fmt: skip
@pytest.mark.parametrize("name", PROPERTIES)
def test_every_property_is_compared_in_every_way(
    filled: Account, events: list[Json], name: str
) -> None:
    value_of = PROPERTIES[name]
    for pick in (0, 5, 8, 11):
        value = value_of(events[pick])
        text = "'" + str(value).replace("'", "''") + "'"
        spelled = [text, str(value)] if isinstance(value, int) else [text]
        for word, holds in COMPARE.items():
            expected = [event for event in events if holds(value_of(event), value)]
            for literal in spelled:
                assert_found(filled, f"{name} {word} {literal}", expected)


TRAILS: dict[str, Callable[[list[str]], bool]] = {
    "trails/any(t: t eq 'Clouseau')": lambda trails: "Clouseau" in trails,
    "trails/any(x:x eq 'Dreyfus')": lambda trails: "Dreyfus" in trails,
    "trails/any( trail : trail eq 'a/b' )": lambda trails: "a/b" in trails,
    "trails/any(t: t ne 'Clouseau')": lambda trails: any(t != "Clouseau" for t in trails),
    "trails/any(t: t eq 'Clouseau' or t eq 'a/b')": lambda trails: bool(
        {"Clouseau", "a/b"} & set(trails)
    ),
    "trails/any(t: t gt 'Clouseau')": lambda trails: any(t > "Clouseau" for t in trails),
    "not trails/any(t: t eq 'Clouseau')": lambda trails: "Clouseau" not in trails,
    "not (trails/any(t: t ge ''))": lambda trails: not trails,
}


@pytest.mark.row("D-39", "D-40")
@pytest.mark.parametrize("filter", TRAILS)
def test_trails_are_found_by_a_lambda(filled: Account, events: list[Json], filter: str) -> None:
    assert_found(filled, filter, [event for event in events if TRAILS[filter](event["trails"])])


@pytest.mark.row("D-49", "D-39")
def test_filter_of_the_seed_and_precedence(filled: Account, events: list[Json]) -> None:
    def safety(event: Json) -> bool:
        return bool(event["event_type"] == "Safety Conformance")

    def clouseau(event: Json) -> bool:
        return "Clouseau" in event["trails"]

    def its(event: Json) -> bool:
        return bool(event["event_type"] == "it's")

    a, b = "trails/any(t: t eq 'Clouseau')", "event_type eq 'Safety Conformance'"
    c = "event_type eq 'it''s'"
    expected: dict[str, Callable[[Json], bool]] = {
        f"{a} and {b}": lambda e: clouseau(e) and safety(e),
        f"{a} and {b} or {c}": lambda e: (clouseau(e) and safety(e)) or its(e),
        f"{c} or {a} and {b}": lambda e: its(e) or (clouseau(e) and safety(e)),
        f"{a} and ({b} or {c})": lambda e: clouseau(e) and (safety(e) or its(e)),
        f"not {b} and {a}": lambda e: not safety(e) and clouseau(e),
        f"not ({b} or {a})": lambda e: not (safety(e) or clouseau(e)),
        f"{b} and {c}": lambda e: False,
        "": lambda e: True,
    }
    for filter, holds in expected.items():
        assert_found(filled, filter, [event for event in events if holds(event)])


@pytest.mark.row("D-52", "D-53", "D-54", "D-55")
def test_pages_lead_to_the_end_without_gaps_or_repeats(filled: Account, events: list[Json]) -> None:
    for top in (1, 5, 12, 50):
        found: list[str] = []
        while True:
            answer = filled.search(top=top, skip=len(found))
            page = [event["identity"] for event in answer.json()["events"]]
            assert answer.headers["x-total-count"] == "12"
            found += page
            if len(found) == 12:
                break
            assert len(page) == top
        assert found == [event["identity"] for event in events]
    assert filled.search(skip=12).json() == {"events": []}
    assert filled.search(top=0).json() == {"events": []}
    assert len(filled.search().json()["events"]) == 12
    times = [event["created_at"] for event in events]
    assert times == sorted(times)


@pytest.mark.row("D-56", "D-57")
def test_search_that_finds_nothing_has_no_other_members(filled: Account) -> None:
    answer = filled.search("event_type eq 'never'")
    assert answer.json() == {"events": []}
    assert answer.headers["x-total-count"] == "0"
    assert set(filled.search().json()) == {"events"}


@pytest.mark.row("D-37", "D-38")
@pytest.mark.parametrize("path", [SEARCH, f"{SEARCH}/"])
@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "text/plain"])
def test_search_is_json_whatever_its_content_type(
    filled: Account, events: list[Json], path: str, kind: str | None
) -> None:
    body = json.dumps({"filter": "created_at gt '0'", "top": 2, "skip": 1}).encode()
    headers = {} if kind is None else {"Content-Type": kind}
    answer = filled.app.post(path, content=body, headers=headers)
    assert answer.json() == {"events": events[1:3]}


@pytest.mark.row("D-51", "D-58")
@pytest.mark.parametrize(
    ("filter", "named"),
    [
        ("attributes/foo eq 'bar'", "position 0: 'attributes/foo'"),
        ("identity eq 'x'", "position 0: 'identity'"),
        ("event_type like 'x'", "position 11: 'like'"),
        ("contains(event_type, 'x')", "position 0: 'contains'"),
        ("event_type eq 'x' xor event_type eq 'y'", "position 18: 'xor'"),
        ("trails/all(t: t eq 'x')", "position 7: 'all'"),
        ("trails eq 'x'", "position 0: trails"),
        ("event_type eq", "position 13"),
        ("event_type eq 'x", "position 14"),
        ("event_type eq \"x\"", "position 14"),
        ("((event_type eq 'x')", "position 20"),
        ("created_at gt 'soon'", "position 14"),
        ("event_type eq 7", "position 14"),
    ],
)  # fmt: skip
def test_bad_filter_is_refused_with_its_position(filled: Account, filter: str, named: str) -> None:
    answer = filled.search(filter)
    assert answer.status_code == 400
    body = answer.json()
    assert body["code"] == 3
    assert named in body["message"]


@pytest.mark.row("D-19", "D-52", "D-53")
@pytest.mark.parametrize(
    "body",
    [
        {"top": 51}, {"top": -1}, {"skip": -1}, {"top": "20"}, {"top": 1.5}, {"top": True},
        {"skip": 1 << 64}, {"filter": 7}, {"filters": ""}, {"order": "asc"}, [], "x", 7,
        {"filter": "(" * 100 + "created_at gt 0" + ")" * 100},
        {"filter": "created_at gt 0 or " * 2000 + "created_at gt 0"},
    ],
)  # fmt: skip
def test_bad_search_is_refused(filled: Account, body: object) -> None:
    answer = filled.app.post(SEARCH, json=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == 3


def test_event_that_is_not_committed_matches_no_ledger_entry(still: Account) -> None:
    event = still.create(event_type="a")
    assert still.found("event_type eq 'a'") == [event["identity"]]
    for filter in (
        "ledger_entry/index ge 0",
        "ledger_entry/idtimestamp ne 'x'",
        "ledger_entry/content_hash ne 'x'",
    ):
        assert still.found(filter) == []
    assert still.found("not (ledger_entry/index ge 0)") == [event["identity"]]
