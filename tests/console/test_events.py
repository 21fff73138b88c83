"""The page of events: what the address asks for, the list, chart, facets, completion, searches."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import httpx2
import pytest

from tallystick.client.event_stream import lines_of
from tallystick.console.questions import clause, refined
from tallystick.identity.access import Scope
from tests.console.people import csrf_in, show, signed_in
from tests.support.live_server import TENANT, LiveServer

FRAGMENT = {"X-Tallystick-Fragment": "1"}
START_MS = 1_767_225_600_000  # 2026-01-01
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def person(server: LiveServer) -> Iterator[httpx2.Client]:
    """Return somebody who sees everything of a log with 120 events."""
    events = [
        {
            "kind": f"order.{'created' if n % 3 else 'deleted'}",
            "occurred_at": START_MS + n * HOUR_MS,
            "actor": {"type": "user", "id": f"u-{n % 4}", "name": f"Person {n % 4}"},
            "target": {"type": "order", "id": str(n)},
            "scopes": [{"type": "workspace", "id": str(n % 2)}],
            "data": {"total": n, "note": f'say "{n}" `x` \\'},
        }
        for n in range(120)
    ]
    with server.http() as http:
        assert http.post("/v1/events", json=events).status_code == 201
    with signed_in(server) as person:
        yield person


def indexes(page: str) -> list[int]:
    """Return the positions of the events that a page lists."""
    return [int(found) for found in re.findall(r'data-index="(\d+)"', page)]


def more(page: str) -> str | None:
    """Return where the next page is."""
    found = re.search(r'data-more href="([^"]+)"', page)
    return None if found is None else html.unescape(found[1])


def test_the_list_is_read_to_its_end_by_links(person: httpx2.Client) -> None:
    seen: list[int] = []
    link: str | None = "/console?q=kind%3Aorder.created"
    while link is not None:
        page = person.get(link)
        assert page.status_code == 200
        seen += indexes(page.text)
        link = more(page.text)
    assert len(seen) == 80
    assert seen == sorted(set(seen), reverse=True)
    part = person.get("/console?q=kind%3Aorder.created", headers=FRAGMENT).text
    assert indexes(part) == seen[:50]
    assert "<html" not in part


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("q=data.total%3A%3E%3D118", 2),
        ("from=2026-01-01T00:00&to=2026-01-01T05:00", 5),
        ("from=2026-01-01T00:00&to=2026-01-01T05:00&tz=Europe/Oslo", 4),
        (f"from={START_MS}&to={START_MS + HOUR_MS}", 1),
        ("q=actor%3A%22user%3Au-1%22&from=2026-01-05", 6),
        ("range=1h", 0),
    ],
)
def test_the_address_says_what_is_shown(person: httpx2.Client, query: str, count: int) -> None:
    page = person.get(f"/console?{query}")
    assert page.status_code == 200
    assert len(indexes(page.text)) == count
    assert ("No event is found" in page.text) is (count == 0)


@pytest.mark.parametrize(
    ("query", "told", "place"),
    [
        ("kindd:x", "No event has a field", "kindd"),
        ("kind:(a", "", ""),
        ("data.total:[1 TO", "", ""),
        ("nope.x:1 AND kind:a", "", "nope.x"),
    ],
)
def test_a_wrong_search_is_told_at_its_place(
    person: httpx2.Client, query: str, told: str, place: str
) -> None:
    page = person.get("/console", params={"q": query})
    assert page.status_code == 400
    assert 'aria-invalid="true"' in page.text
    assert told in html.unescape(page.text)
    marked = re.search(r"<mark>(.*?)</mark>", page.text)
    assert marked is not None
    assert not place or marked[1] == place


@pytest.mark.parametrize(
    "query", ["range=2y", "from=soon", "from=2026-02-01&to=2026-01-01", "cursor=x"]
)
def test_what_means_nothing_is_refused(person: httpx2.Client, query: str) -> None:
    page = person.get(f"/console?{query}")
    assert page.status_code == 400
    assert 'role="alert"' in page.text


def test_a_cursor_of_another_search_is_refused(person: httpx2.Client) -> None:
    link = more(person.get("/console").text)
    assert link is not None
    assert person.get(link + "&q=kind%3Aorder.created").status_code == 400


def test_the_chart_counts_every_event(person: httpx2.Client) -> None:
    for query, unit in (("", "2 hours"), ("q=data.total%3A%3C3", "2 min"), ("from=2020-01-01", "")):
        part = person.get(f"/console/events/chart?{query}", headers=FRAGMENT)
        assert part.status_code == 200
        total = re.search(r"<strong>([\d,]+)</strong>", part.text)
        assert total is not None
        rows = re.findall(r'<td class="count">([\d,]+)</td>', part.text)
        assert sum(map(int, rows)) == int(total[1])
        assert unit in part.text
    grouped = person.get("/console/events/chart?group=kind", headers=FRAGMENT).text
    assert "order.deleted" in grouped
    heights: dict[str, float] = {}
    for group, height in re.findall(r'class="part(\d| other)".*?height="([\d.]+)"', grouped):
        heights[group] = heights.get(group, 0) + float(height)
    assert heights["0"] == pytest.approx(2 * heights["1"], rel=0.05)
    five = person.get("/console/events/chart?group=target.id", headers=FRAGMENT).text
    assert "other" in five


def test_facets_lead_to_the_searches_they_count(person: httpx2.Client) -> None:
    part = person.get("/console/events/facets", headers=FRAGMENT).text
    found = re.findall(
        r'class="only" href="([^"]+)".*?<bdi>([^<]*)</bdi><span class="count">([\d,]+)</span>', part
    )
    assert {(name, count) for _, name, count in found} >= {
        ("order.created", "80"),
        ("Person 1", "30"),
    }
    for link, name, count in found:
        if name in ("order.created", "Person 1", "order"):
            again = person.get(
                html.unescape(link).replace("/console?", "/console/events/chart?"), headers=FRAGMENT
            )
            assert f"<strong>{count}</strong>" in again.text, name


@pytest.mark.parametrize(
    ("q", "at", "expected"),
    [
        ("ki", 2, "kind:"),
        ("kind:ord", 8, "kind:order.created"),
        ("data.to", 7, "data.total:"),
        ("a AND act", 9, "actor:"),
        ("kind:order.created AND (data.n", 30, "data.note:"),
    ],
)
def test_the_search_is_completed(person: httpx2.Client, q: str, at: int, expected: str) -> None:
    found = person.get("/console/events/complete", params={"q": q, "at": at}, headers=FRAGMENT)
    texts = [text for text, *_ in found.json()]
    assert expected in texts


def test_every_value_can_be_asked_for(person: httpx2.Client) -> None:
    page = person.get("/console?q=data.total%3A7&columns=data.note,data.total,actor,scope").text
    links = [
        html.unescape(link) for link in re.findall(r'<span class="value"><a href="([^"]+)"', page)
    ]
    assert len(links) == 4
    for link in links:
        assert 120 - 113 - 1 in indexes(person.get(link).text) or indexes(person.get(link).text), (
            link
        )
    without = re.search(r'class="not" href="([^"]+)" aria-label="Leave out 7"', page)
    assert without is not None
    assert indexes(person.get(html.unescape(without[1])).text) == []


@pytest.mark.parametrize(
    ("field", "value", "piece"),
    [
        ("kind", "order.created", "kind:order.created"),
        ("kind", "a b", 'kind:"a b"'),
        ("kind", "AND", 'kind:"AND"'),
        ("target.id", "17", 'target.id:"17"'),
        ("actor", "user:1", 'actor:"user:1"'),
        ("data.note", 'a"`\\', 'data.note:`a"\\`\\\\`'),
        ("data.n", True, "data.n:true"),
        ("data.n", None, "data.n:null"),
        ("data.n", 1, "data.n:1"),
        ("data.n", -1.5, "data.n:-1.5"),
    ],
)
def test_clauses(field: str, value: str | float | None, piece: str) -> None:
    assert clause(field, value) == piece


def test_refining_a_search_and_taking_it_back() -> None:
    assert refined("", "a:1") == "a:1"
    assert refined("a:1", "a:1") == ""
    assert refined("x", "a:1") == "x AND a:1"
    assert refined("x AND a:1", "a:1") == "x"
    assert refined("x OR y", "a:1") == "(x OR y) AND a:1"
    assert refined("x", "a:1", exclude=True) == "x AND NOT a:1"


def test_searches_are_kept_and_belong_to_whoever_kept_them(
    server: LiveServer, person: httpx2.Client
) -> None:
    csrf = csrf_in(person.get("/console").text)
    form = {"csrf": csrf, "name": "Deleted <b>", "query": "q=kind%3Aorder.deleted"}
    assert person.post("/console/searches", data=form).status_code == 303
    page = person.get("/console").text
    assert "Deleted &lt;b&gt;" in page
    assert 'href="/console?q=kind%3Aorder.deleted"' in page
    found = re.search(r"/console/searches/([0-9a-f]+)/delete", page)
    assert found is not None
    with signed_in(server, server.create_key(TENANT, [Scope.READ])) as other:
        theirs = other.get("/console").text
        assert "Deleted" not in theirs
        stolen = other.post(found[0], data={"csrf": csrf_in(theirs)})
        assert stolen.status_code == 404
    assert person.post("/console/searches", data={**form, "name": " "}).status_code == 400
    assert person.post(found[0], data={"csrf": csrf}).status_code == 303
    assert "Deleted" not in person.get("/console").text


def test_a_viewer_sees_their_part(server: LiveServer, person: httpx2.Client) -> None:
    server.create_user(TENANT, "viewer", login="viewer", password="correct horse")
    server.grant(TENANT, "viewer", "workspace:1", "Viewer")
    with server.plain_http() as viewer:
        show(viewer, login="viewer", password="correct horse")
        first = viewer.get("/console").text
        assert all(index % 2 for index in (i - indexes(first)[0] + 1 for i in indexes(first)))
        chart = viewer.get("/console/events/chart", headers=FRAGMENT).text
        assert "<strong>60</strong>" in chart
        facets = viewer.get("/console/events/facets", headers=FRAGMENT).text
        assert "user:u-0" not in facets
        assert "user:u-1" in facets
        assert "Person 1" not in facets.replace("user:u-1", "")
        log = viewer.get("/console?view=log").text
        assert len(indexes(log)) == 50
        assert "key.created" not in log
        values = viewer.get(
            "/console/events/complete", params={"q": "actor:", "at": 6}, headers=FRAGMENT
        ).json()
        assert {text for text, *_ in values} == {'actor:"user:u-1"', 'actor:"user:u-3"'}
        assert "Admin" not in first


def test_a_key_that_may_only_write_is_told_so(server: LiveServer) -> None:
    with signed_in(server, server.create_key(TENANT, [Scope.WRITE])) as writer:
        page = writer.get("/console")
        assert page.status_code == 403
        assert "You may not do this" in page.text
        assert "scope read" in page.text


def test_events_around_one(person: httpx2.Client) -> None:
    some = indexes(person.get("/console").text)[10]
    page = person.get(f"/console/events/around?index={some}").text
    assert some in indexes(page)
    assert indexes(page) == sorted(indexes(page), reverse=True)
    assert 'class="here" aria-current="true"' in page
    for wrong, status in (("999999", 404), ("x", 400), ("", 400)):
        assert person.get(f"/console/events/around?index={wrong}").status_code == status


def test_an_empty_log_says_how_to_begin(server: LiveServer) -> None:
    key = server.create_tenant("empty")
    with signed_in(server, key) as person:
        page = person.get("/console").text
        assert "No events yet" in page
        assert "curl" in page


def test_the_live_tail_takes_a_session_and_no_key(server: LiveServer) -> None:
    with server.http() as http:
        assert http.get("/console/stream").status_code == 303
    with signed_in(server) as person, person.stream("GET", "/console/stream?q=a") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert next(lines_of(answer.iter_bytes())).startswith(b"retry:")
    with signed_in(server) as person:
        assert person.get("/console/stream?q=kind:(").status_code == 400
        assert person.get("/console/events/news?after=x").status_code == 400
