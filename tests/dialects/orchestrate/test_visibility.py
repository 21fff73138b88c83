"""What a token shows here is what it shows anywhere; lists and searches are answered by indexes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tallystick.dialects.orchestrate.events import find_series
from tallystick.dialects.orchestrate.paging import parse_query
from tallystick.dialects.orchestrate.query import parse_order, parse_question
from tallystick.dialects.orchestrate.time_span import span_of
from tallystick.dialects.orchestrate.wire import DIALECT, Address
from tallystick.identity import access
from tallystick.identity.access import Scope
from tallystick.query.question import Find
from tests.dialects.orchestrate.client import Api
from tests.support.live_server import LiveServer

SERIES = "/v0/file/9/events/file.read"


def record(server: LiveServer, tenant: str, workspace: str, n: int) -> None:
    """Record an event in a workspace, natively."""
    event: dict[str, Any] = {
        "kind": "file.read",
        "target": {"type": "file", "id": "9"},
        "scopes": [{"type": "workspace", "id": workspace}],
        "data": {"n": n, "word": "trip"},
        "occurred_at": 1_000 + n,
    }
    with server.http(server.create_key(tenant, (Scope.WRITE,))) as native:
        assert native.post("/v1/events", json=event).status_code == 201


def viewer(server: LiveServer, api: Api, workspace: str) -> Api:
    """Return a client with the token of somebody who sees one workspace."""
    user = server.create_user(api.tenant, f"viewer-of-{workspace}")
    server.grant(api.tenant, user.id, f"workspace:{workspace}", "Viewer")
    user = server.node.identity.user_by_alias(api.tenant, user.id) or user
    scopes = access.token_scopes(user.grants)
    token = server.node.issuer.issue_for_user(user, client="cf", scopes=scopes).access_token
    client = Api(server.url, api.key, api.tenant)
    client.authorization = f"Bearer {token}"
    return client


def test_viewer_sees_one_workspace_and_no_more(server: LiveServer, api: Api) -> None:
    for n in range(6):
        record(server, api.tenant, "4137" if n % 2 else "4138", n)
    api.put("/v0/file/9", {"word": "trip"})
    sees = viewer(server, api, "4137")
    rows = sees.pages(f"{SERIES}?limit=1")
    assert [row["value"]["n"] for row in rows] == [5, 3, 1]
    assert len(api.page(SERIES)["results"]) == 6
    hidden = [row for row in api.page(SERIES)["results"] if row not in rows]
    for row in hidden:
        path = f"{SERIES}/{row['timestamp']}/{row['ordinal']}"
        nobody = sees.get(f"{SERIES}/{row['timestamp']}/999999")
        refused = sees.get(path)
        assert (refused.status, refused.body) == (404, nobody.body)
        assert sees.put(path, {}).status == sees.put(f"{SERIES}/5/999999", {}).status
    found = sees.page("/v0/file?query=@path.kind:*%20AND%20trip&aggregate=value.n:stats&limit=2")
    assert found["total_count"] == 3
    assert found["aggregates"][0]["statistics"]["sum"] == 9.0
    assert sees.page("/v0/file") == {"count": 0, "results": []}
    assert sees.get("/v0/file/9").status == 404
    assert sees.get("/v0/file/9/refs").status == 404
    assert sees.get("/v0/file/9/relations/knows").status == 404


@pytest.mark.row("O-40", "O-43")
@pytest.mark.parametrize(
    "query", ["", "startEvent=5", "beforeEvent=9/7", "startEvent=5/2&endEvent=9", "end=7"]
)
def test_event_lists_come_from_lists(
    server: LiveServer, new_api: Callable[..., Api], query: str
) -> None:
    api = new_api()
    api.post(SERIES, {})
    span = span_of(parse_query(query.encode()), lambda _, ordinal: ordinal - 1)
    question = find_series(Address("file", "9"), "file.read", span, 10)
    plan = server.node.index.reader.explain(api.tenant, question)
    assert plan.index == "views"


@pytest.mark.row("O-63")
@pytest.mark.parametrize(
    ("query", "sort", "index"),
    [
        ("@path.kind:event", "@path.timestamp:desc", "views"),
        ("@path.kind:event AND @path.key:`k`", "@path.timestamp", "views"),
        ("@path.kind:event AND trip", None, "search"),
        ("*", None, "search"),
        ("*", "@path.reftime:desc", "views"),
        ("n:[1 TO 5]", "value.n", "search"),
    ],
)
def test_searches_go_to_the_index_that_knows(
    server: LiveServer, api: Api, query: str, sort: str | None, index: str
) -> None:
    api.post("/v0/c/k/events/t", {"n": 1})
    question = parse_question(query, "c")
    find = Find(
        where=question.where,
        over=question.over,
        dialect=DIALECT,
        sort=parse_order(sort, None).sorts,
    )
    assert server.node.index.reader.explain(api.tenant, find).index == index
