"""Reading through the native API: lists, single events, changes, resources, isolation."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tallystick.identity.access import Scope
from tests.support.live_server import TENANT, LiveServer

Json = dict[str, Any]


def post(http: httpx2.Client, **event: Any) -> Json:
    answer = http.post("/v1/events", json={"kind": "k", **event})
    assert answer.status_code == 201, answer.text
    stored: Json = answer.json()
    return stored


def ids_of(http: httpx2.Client, **params: Any) -> list[str]:
    answer = http.get("/v1/events", params=params)
    assert answer.status_code == 200, answer.text
    return [event["id"] for event in answer.json()["events"]]


@pytest.fixture
def events(http: httpx2.Client) -> list[Json]:
    """Six events, oldest first."""
    return [
        post(
            http,
            kind="order.created" if n % 2 else "invoice.created",
            occurred_at=1_600_000_000_000 + n * 1000,
            actor={"type": "user", "id": str(n % 3)},
            target={"type": "order", "id": f"o:{n}"},
            scopes=[{"type": "space", "id": "a" if n < 3 else "b"}],
            trails=[f"t{n % 2}"],
            data={"n": n},
        )
        for n in range(6)
    ]


def test_lists_are_newest_first_and_filter_by_every_field(
    http: httpx2.Client, events: list[Json]
) -> None:
    all_ids = [event["id"] for event in events]
    assert ids_of(http) == all_ids[::-1]
    assert ids_of(http, order="asc") == all_ids
    assert ids_of(http, kind="order.created", order="asc") == all_ids[1::2]
    assert ids_of(http, kind=["order.*", "invoice.created"], order="asc") == all_ids
    assert ids_of(http, actor="user:1", order="asc") == [all_ids[1], all_ids[4]]
    assert ids_of(http, target="order:o:4") == [all_ids[4]]
    assert ids_of(http, scope="space:a", order="asc") == all_ids[:3]
    assert ids_of(http, trail="t1", actor="user:1") == [all_ids[1]]
    bounds = {"from": "2020-09-13T12:26:41Z", "to": 1_600_000_004_000}
    assert ids_of(http, **bounds, order="asc") == all_ids[1:4]
    assert ids_of(http, kind="nothing") == []


def test_pages_follow_each_other_without_gap_or_repeat_while_events_arrive(
    http: httpx2.Client, events: list[Json]
) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        page = http.get("/v1/events", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        body = page.json()
        seen += [event["id"] for event in body["events"]]
        cursor = body["next"]
        if cursor is None:
            assert 'rel="next"' not in page.headers.get("link", "")
            break
        assert 'rel="next"' in page.headers["link"]
        post(http, occurred_at=1_700_000_000_000)
    assert seen == [event["id"] for event in reversed(events)]


def test_the_link_header_leads_to_the_next_page(http: httpx2.Client, events: list[Json]) -> None:
    first = http.get("/v1/events", params={"limit": 4, "kind": ["order.*", "invoice.*"]})
    link = first.headers["link"].split(";")[0].strip("<>")
    assert [event["id"] for event in http.get(link).json()["events"]] == [
        events[1]["id"], events[0]["id"],
    ]  # fmt: skip


def test_totals_are_exact(http: httpx2.Client, events: list[Json]) -> None:
    for params, total in (({}, 6), ({"kind": "order.*"}, 3), ({"to": 1_600_000_002_000}, 2)):
        answer = http.get("/v1/events", params={**params, "limit": 1, "total": "true"}).json()
        assert answer["total"] == total


def test_the_log_view_shows_every_entry_in_order(http: httpx2.Client, events: list[Json]) -> None:
    shown = http.get("/v1/events", params={"view": "log", "order": "asc"}).json()["events"]
    assert [entry["index"] for entry in shown] == list(range(len(shown)))
    assert [entry["kind"] for entry in shown[:2]] == ["tenant.created", "key.created"]
    assert {entry["op"] for entry in shown[:2]} == {"system"}


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"limit": "0"}, "limit"), ({"limit": "1001"}, "limit"), ({"limit": "ten"}, "limit"),
        ({"offset": "-1"}, "offset"), ({"order": "up"}, "order"), ({"view": "raw"}, "view"),
        ({"actor": "481"}, "actor"), ({"from": "yesterday"}, "from"), ({"knd": "a"}, "knd"),
        ({"cursor": "???"}, None), ({"total": "yes"}, "total"), ({"sort": ","}, "sort"),
    ],
)  # fmt: skip
def test_bad_parameters_are_named(
    http: httpx2.Client, params: dict[str, str], pointer: str | None
) -> None:
    answer = http.get("/v1/events", params=params)
    assert answer.status_code == 400
    if pointer is not None:
        assert answer.json()["pointer"] == pointer


def test_a_day_is_a_time_and_a_plus_in_a_url_is_explained(http: httpx2.Client) -> None:
    days = ("2026-11-29T23:59:59.999Z", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z")
    http.post("/v1/events", json=[{"kind": "a", "occurred_at": day} for day in days])
    params = {"from": "2026-11-30", "to": "2026-12-01", "total": "true"}
    assert http.get("/v1/events", params=params).json()["total"] == 1
    assert http.get("/v1/events?from=2026-11-30T00:00:00%2B02:00").status_code == 200
    refused = http.get("/v1/events?from=2026-11-30T00:00:00+02:00")
    assert (refused.status_code, refused.json()["pointer"]) == (400, "from")
    assert "%2B" in refused.json()["hint"]
    assert http.get("/v1/events?from=2026-11-31").status_code == 400


def test_words_of_scripts_without_blanks_are_found(http: httpx2.Client) -> None:
    texts = ("用户删除了合同", "ลบผู้ใช้แล้ว", "사용자가 삭제했습니다", "ユーザーを削除しました")
    http.post("/v1/events", json=[{"kind": "cjk.e", "data": {"m": text}} for text in texts])
    for word, text in zip(("删除", "ผู้ใช้", "삭제", "削除"), texts, strict=True):
        for q in (f"data.m:{word}", f'kind:cjk.e AND "{word}"', f"data.m:{word}*"):
            page = http.get("/v1/events", params={"q": q, "total": "true"}).json()
            assert [event["data"]["m"] for event in page["events"]] == [text], q
    assert http.get("/v1/events", params={"q": "data.m:除删"}).json()["events"] == []


def test_a_walk_may_begin_at_an_offset(http: httpx2.Client, events: list[Json]) -> None:
    asked = {"limit": 2, "offset": 1}
    page = http.get("/v1/events", params=asked)
    cursor = page.json()["next"]
    expected = [event["id"] for event in events[2:0:-1]]
    linked = http.get(page.links["next"]["url"])
    assert [event["id"] for event in linked.json()["events"]] == expected
    assert ids_of(http, **asked, cursor=cursor) == expected


def test_a_cursor_belongs_to_its_query(http: httpx2.Client, events: list[Json]) -> None:
    cursor = http.get("/v1/events", params={"limit": 1}).json()["next"]
    answer = http.get("/v1/events", params={"limit": 1, "kind": "order.*", "cursor": cursor})
    assert answer.status_code == 400


def test_a_revision_shows_new_content_under_the_old_identity(http: httpx2.Client) -> None:
    first = post(http, data={"a": 1}, occurred_at=1_600_000_000_000)
    path = f"/v1/events/{first['id']}"
    answer = http.post(f"{path}/revise", json={"data": {"a": 2}, "previous": {"a": 1}})
    revised = answer.json()
    assert answer.status_code == 200
    assert (revised["data"], revised["previous"]) == ({"a": 2}, {"a": 1})
    for member in ("id", "index", "occurred_at", "recorded_at", "kind"):
        assert revised[member] == first[member]
    assert revised["revision"] > first["revision"]
    assert http.get(path).json() == revised == http.get("/v1/events").json()["events"][0]
    log = http.get("/v1/events", params={"view": "log"}).json()["events"]
    assert (log[0]["op"], log[0]["subject"]) == ("revise", first["id"])
    assert log[1]["data"] == {"a": 1}


def test_if_match_keeps_two_writers_apart(http: httpx2.Client) -> None:
    first = post(http)
    path = f"/v1/events/{first['id']}/revise"
    etag = f'"{first["revision"]}"'
    assert http.post(path, json={"data": {}}, headers={"If-Match": etag}).status_code == 200
    late = http.post(path, json={"data": {}}, headers={"If-Match": etag})
    assert late.status_code == 412
    assert http.post(path, json={"data": {}}, headers={"If-Match": "x"}).status_code == 400
    shown = http.get(f"/v1/events/{first['id']}")
    same = http.get(f"/v1/events/{first['id']}", headers={"If-None-Match": shown.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


def test_row_30_conditions_are_lists_and_may_come_in_several_headers(http: httpx2.Client) -> None:
    first = post(http)
    path, etag = f"/v1/events/{first['id']}", f'"{first["revision"]}"'
    for known in (f'"999", W/{etag}', "*", f'"998",{etag},"997"'):
        assert http.get(path, headers={"If-None-Match": known}).status_code == 304
    several = [("If-None-Match", '"999"'), ("If-None-Match", etag)]
    assert http.get(path, headers=several).status_code == 304
    assert http.get(path, headers={"If-None-Match": '"999"'}).status_code == 200

    def revise(*headers: tuple[str, str]) -> int:
        return http.post(f"{path}/revise", json={"data": {}}, headers=list(headers)).status_code

    assert revise(("If-None-Match", "*")) == 412
    assert revise(("If-None-Match", etag)) == 412
    assert revise(("If-Match", '"998", "999"')) == 412
    assert revise(("If-Match", '"998", x')) == 400
    assert revise(("If-Match", f'"998", {etag}')) == 200
    assert revise(("If-Match", etag), ("If-Match", '"999"')) == 412
    now = http.get(path).headers["etag"]
    assert revise(("If-Match", '"999"'), ("If-Match", now)) == 200
    assert revise(("If-Match", "*")) == 200
    unknown = "/v1/events/22222222-3333-4444-8555-666666666699/revise"
    answer = http.post(unknown, json={"data": {}}, headers={"If-None-Match": "*"})
    assert answer.status_code == 404


def test_a_retracted_event_is_no_longer_shown_but_stays_in_the_log(http: httpx2.Client) -> None:
    event = post(http, data={"secret": "x"})
    answer = http.post(f"/v1/events/{event['id']}/retract", json={})
    assert answer.status_code == 200
    assert answer.json()["subject"] == event["id"]
    assert http.get(f"/v1/events/{event['id']}").status_code == 404
    assert ids_of(http) == []
    assert http.get("/v1/events", params={"total": "true"}).json()["total"] == 0
    log = http.get("/v1/events", params={"view": "log"}).json()["events"]
    assert [entry["op"] for entry in log[:2]] == ["retract", "record"]
    assert log[1]["data"] == {"secret": "x"}
    again = http.post(f"/v1/events/{event['id']}/retract", json={})
    assert again.status_code == 404


def test_erasure_destroys_content_and_leaves_the_proof(
    server: LiveServer, http: httpx2.Client
) -> None:
    event = post(http, data={"secret": "correct horse battery"}, actor={"type": "u", "id": "1"})
    http.post(f"/v1/events/{event['id']}/revise", json={"data": {"secret": "staple"}})
    answer = http.post(f"/v1/events/{event['id']}/retract", json={"erase": True})
    assert answer.status_code == 200
    log = http.get("/v1/events", params={"view": "log"}).json()["events"]
    assert [entry["op"] for entry in log[:4]] == ["erase", "retract", "revise", "record"]
    assert log[3]["data"] == {}
    assert log[3]["erased"] == ["actor", "data"]
    receipt = http.get(f"/v1/events/{log[3]['id']}/receipt")
    assert receipt.status_code == 200
    assert receipt.json()["sections"]["data"] is None
    stored = server.node.store
    for path in server.node.ledger.store.path.parent.glob("ledger.db*"):  # type: ignore[attr-defined]
        content = path.read_bytes()
        assert b"correct horse" not in content
        assert b"staple" not in content
    assert stored.name == "sqlite"


def test_an_event_written_through_one_api_is_changed_only_there(
    server: LiveServer, http: httpx2.Client
) -> None:
    from tallystick.events.event import Draft

    accepted = server.node.ledger.append(TENANT, [Draft(kind="k", dialect="orchestrate")])[0]
    answer = http.post(f"/v1/events/{accepted.id}/revise", json={"data": {}})
    assert answer.status_code == 409


def test_a_resource_tells_what_is_known_of_it(http: httpx2.Client) -> None:
    for n, name in enumerate(("old.txt", "new.txt")):
        post(
            http,
            occurred_at=1_600_000_000_000 + n,
            target={"type": "file", "id": "a/b", "name": name},
            scopes=[{"type": "folder", "id": "f"}],
        )
    found = http.get("/v1/resources/file/a/b").json()
    assert (found["name"], found["count"]) == ("new.txt", 2)
    assert found["parents"] == [{"type": "folder", "id": "f"}]
    assert http.get("/v1/resources/file/none").status_code == 404


def test_a_resource_of_retracted_events_alone_is_not_there(http: httpx2.Client) -> None:
    event = post(http, target={"type": "file", "id": "7", "name": "plan.txt"})
    assert http.get("/v1/resources/file/7").json()["count"] == 1
    assert http.post(f"/v1/events/{event['id']}/retract").status_code == 200
    assert http.get("/v1/resources/file/7").status_code == 404


@pytest.mark.parametrize("tag", ['"{}"', 'W/"{}"', '"1", W/"{}"', "*"])
def test_an_event_that_is_known_is_not_sent_again(http: httpx2.Client, tag: str) -> None:
    event = post(http)
    path = f"/v1/events/{event['id']}"
    known = {"If-None-Match": tag.format(event["revision"])}
    assert http.get(path, headers=known).status_code == 304
    http.post(f"{path}/revise", json={"data": {"a": 1}})
    assert http.get(path, headers=known).status_code == (304 if tag == "*" else 200)


@pytest.mark.parametrize("path", ["/v1/events?sort=-{}", "/v1/events/facets?fields={}"])
def test_sorting_and_counting_by_what_no_event_can_have_is_refused(
    http: httpx2.Client, path: str
) -> None:
    post(http, data={"total": 1})
    for name in ("occurred_at", "op", "target.type", "data.total", "data.not_yet"):
        assert http.get(path.format(name)).status_code == 200, name
    problem = http.get(path.format("occured_at")).json()
    assert problem["type"] == "urn:tallystick:error:unsupported_field"
    assert problem["hint"] == "did you mean occurred_at?"
    assert "position" not in problem


def test_a_revision_that_is_too_deep_is_pointed_at(http: httpx2.Client) -> None:
    event = post(http)
    deep = json.loads("[" * 64 + "]" * 64)
    answer = http.post(f"/v1/events/{event['id']}/revise", json={"data": {"a": deep}})
    assert (answer.status_code, answer.json()["pointer"]) == (400, "/data")


def test_another_tenant_sees_nothing(server: LiveServer, http: httpx2.Client) -> None:
    event = post(http, target={"type": "file", "id": "1"})
    with server.http(server.create_tenant("other")) as other:
        assert ids_of(other) == []
        assert other.get("/v1/events", params={"total": "true"}).json()["total"] == 0
        for path in (
            f"/v1/events/{event['id']}", f"/v1/events/{event['id']}/receipt",
            "/v1/resources/file/1", "/v1/admin/tenants/default/keys",
        ):  # fmt: skip
            answer = other.get(path)
            assert answer.status_code == 404, path
        change = other.post(f"/v1/events/{event['id']}/revise", json={"data": {}})
        assert change.status_code == 404


def test_reads_need_a_credential_with_the_read_scope(server: LiveServer) -> None:
    with server.plain_http() as nobody:
        answer = nobody.get("/v1/events")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert nobody.get("/v1/events", headers={"X-Api-Key": "tlk_wrong"}).status_code == 401
        assert nobody.get("/v1/events", headers={"Authorization": "Digest x"}).status_code == 401
    with server.http(server.create_key(TENANT, (Scope.WRITE,))) as writer:
        assert writer.get("/v1/events").status_code == 403


def test_a_key_comes_as_bearer_as_basic_or_in_its_own_header(server: LiveServer) -> None:
    key = server.create_key(TENANT, (Scope.READ,), secret="legacy-secret-0001")
    with server.plain_http() as http:
        assert http.get("/v1/events", auth=(key, "")).status_code == 200
        assert http.get("/v1/events", headers={"X-Api-Key": key}).status_code == 200
        bearer = {"Authorization": f"bearer {key}"}
        assert http.get("/v1/events", headers=bearer).status_code == 200


def test_a_key_and_a_bearer_of_different_tenants_are_refused(server: LiveServer) -> None:
    other = server.create_tenant("other")
    with server.http() as http:
        assert http.get("/v1/events", headers={"X-Api-Key": other}).status_code == 401


@pytest.mark.parametrize("path", ["/nowhere", "/v1/nothing", "/v1/events/x/y"])
def test_unknown_paths_are_problems(http: httpx2.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_wrong_method_names_the_right_ones(http: httpx2.Client) -> None:
    answer = http.request("DELETE", "/v1/events")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"


def test_a_request_id_is_echoed_if_it_is_plain(http: httpx2.Client) -> None:
    assert http.get("/healthz", headers={"X-Request-Id": "a-1"}).headers["x-request-id"] == "a-1"
    odd = http.get("/healthz", headers={"X-Request-Id": "<script>"}).headers["x-request-id"]
    assert "<" not in odd
