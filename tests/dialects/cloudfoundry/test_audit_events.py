"""Version 3 audit events over HTTP."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import httpx2
import pytest

from tallystick.dialects.cloudfoundry.wire import id_of
from tests.dialects.cloudfoundry.conftest import Deployment, guids
from tests.dialects.cloudfoundry.samples import Json, resource
from tests.support.live_server import LiveServer


@pytest.fixture(scope="module")
def many(server: LiveServer) -> Iterator[Deployment]:
    """Return a deployment with 90 events recorded out of order."""
    made = Deployment(server)
    chance = random.Random(11)  # noqa: S311  # test data, the same in every run
    made.record(
        *(
            resource(
                f"event-{number}",
                type=chance.choice(["app.crash", "audit.app.update", "audit.app.stop"]),
                actee=f"app-{chance.randrange(4)}",
                timestamp=f"2014-06-{chance.randrange(10, 30)}T10:00:0{chance.randrange(3)}Z",
                space_guid=chance.choice(["", "space-1", "space-2"]),
                organization_guid=chance.choice(["", "org-1"]),
            )
            for number in range(90)
        )
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def stored(many: Deployment) -> list[Json]:
    """Return these events as recorded, read one by one."""
    return [many.admin.get(f"/v3/audit_events/event-{number}").json() for number in range(90)]


def follow_links(client: httpx2.Client, url: str) -> list[Json]:
    """Return the events on a page and on all that follow it."""
    found: list[Json] = []
    while True:
        page = client.get(url).json()
        found += page["resources"]
        following = page["pagination"]["next"]
        if following is None:
            assert page["pagination"]["total_results"] == len(found)
            return found
        url = following["href"]


def created(event: Json) -> str:
    """Return when an event happened."""
    text: str = event["created_at"]
    return text


FILTERS: list[tuple[str, Callable[[Json], bool]]] = [
    ("", lambda e: True),
    ("types=app.crash,audit.app.stop", lambda e: e["type"] != "audit.app.update"),
    ("target_guids=app-1,app-2", lambda e: e["target"]["guid"] in ("app-1", "app-2")),
    ("target_guids[not]=app-1,app-2", lambda e: e["target"]["guid"] not in ("app-1", "app-2")),
    ("space_guids=space-1", lambda e: e["space"] == {"guid": "space-1"}),
    ("organization_guids=org-1", lambda e: e["organization"] is not None),
    ("guids=event-3,event-77,nope,ü", lambda e: e["guid"] in ("event-3", "event-77")),
    (f"guids=event-3,{id_of('event-3')},{id_of('event-4')}", lambda e: e["guid"] == "event-3"),
    ("created_ats[gt]=2014-06-20T10:00:01Z", lambda e: e["created_at"] > "2014-06-20T10:00:01Z"),
    (
        "created_ats[gte]=2014-06-15T00:00:00Z&updated_ats[lt]=2014-06-25T00:00:00Z",
        lambda e: "2014-06-15" <= e["created_at"] < "2014-06-25",
    ),
    (
        "types=app.crash&target_guids=app-1&space_guids=space-2,space-1",
        lambda e: (
            e["type"] == "app.crash" and e["target"]["guid"] == "app-1" and e["space"] is not None
        ),
    ),
]


@pytest.mark.row("C-73")
@pytest.mark.parametrize(("query", "wanted"), FILTERS, ids=[query for query, _ in FILTERS])
@pytest.mark.parametrize("order", ["", "created_at", "-created_at"])
def test_filter_is_exact_in_every_order(
    many: Deployment, stored: list[Json], query: str, wanted: Callable[[Json], bool], order: str
) -> None:
    expected = [event for event in stored if wanted(event)]
    if order:
        expected.sort(key=created)
    if order.startswith("-"):
        expected.reverse()
    found = follow_links(many.admin, f"/v3/audit_events?{query}&order_by={order}&per_page=17")
    assert guids(found) == guids(expected)


@pytest.mark.row("C-73", "C-14")
def test_page_holds_fifty_and_up_to_five_thousand(many: Deployment) -> None:
    page = many.admin.get("/v3/audit_events").json()
    assert len(page["resources"]) == 50
    assert page["pagination"]["total_pages"] == 2
    assert len(many.admin.get("/v3/audit_events?per_page=5000").json()["resources"]) == 90
    beyond = many.admin.get("/v3/audit_events?page=99").json()
    assert beyond["resources"] == []
    assert "page=98" in beyond["pagination"]["previous"]["href"]


@pytest.mark.row("C-74")
def test_single_event_and_unknown_ones(many: Deployment) -> None:
    answer = many.admin.get("/v3/audit_events/event-5")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json()["links"]["self"]["href"] == f"{many.server.url}/v3/audit_events/event-5"
    for guid in ("nope", "%00", "x" * 2000):
        answer = many.admin.get(f"/v3/audit_events/{guid}")
        assert answer.status_code == 404
        assert answer.json() == {
            "errors": [{"code": 10010, "title": "CF-ResourceNotFound", "detail": "Event not found"}]
        }


@pytest.mark.row("C-74")
@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("q=type:x", "Unknown query parameter(s): 'q'"),
        ("page=0", "Page must be a positive integer"),
        ("per_page=5001", "Per page must be between 1 and 5000"),
        ("order_by=type", "Order by can only be: 'created_at', 'updated_at'"),
        ("created_ats=today", "Created ats has an invalid timestamp format"),
    ],
)
def test_bad_question_is_400(many: Deployment, query: str, detail: str) -> None:
    answer = many.admin.get(f"/v3/audit_events?{query}")
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["code"], error["title"]) == (10005, "CF-BadQueryParameter")
    assert error["detail"].startswith(f"The query parameter is invalid: {detail}")


@pytest.mark.row("C-56", "C-74")
@pytest.mark.parametrize(
    ("authorization", "code", "title"),
    [
        (None, 10002, "CF-NotAuthenticated"),
        ("Basic Y2Y6", 10002, "CF-NotAuthenticated"),
        ("bearer a.b.c", 1000, "CF-InvalidAuthToken"),
    ],
)
def test_missing_and_bad_tokens_are_told_apart(
    many: Deployment, authorization: str | None, code: int, title: str
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = many.anonymous.get("/v3/audit_events", headers=headers)
    assert answer.status_code == 401
    assert [(e["code"], e["title"]) for e in answer.json()["errors"]] == [(code, title)]


@pytest.mark.row("C-61")
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v3/nope"), ("GET", "/v3//"), ("DELETE", "/v3/audit_events/event-1"),
     ("POST", "/v3/audit_events")],
)  # fmt: skip
def test_unknown_path_or_verb_is_not_found(many: Deployment, method: str, path: str) -> None:
    answer = many.admin.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == 10000
