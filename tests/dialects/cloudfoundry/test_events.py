"""Version 2 events over HTTP: lists, pages, single events, headers, refusals."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import msgspec
import pytest

from tallystick.dialects.cloudfoundry import timestamps
from tallystick.identity.access import Scope
from tests.dialects.cloudfoundry.conftest import Deployment, follow, guids
from tests.dialects.cloudfoundry.samples import (
    SEED_CONTENT_LENGTH,
    SEED_TOKEN,
    SEED_TYPES,
    SEED_ZONE,
    Json,
    resource,
    seed_resources,
)
from tests.support.live_server import LiveServer, open_server

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def many(server: LiveServer) -> Iterator[Deployment]:
    """Return a deployment with 120 events recorded out of order, several in the same second."""
    made = Deployment(server)
    chance = random.Random(7)  # noqa: S311  # test data, the same in every run
    types = [*SEED_TYPES, "audit.app.process.crash", "blob.remove_orphan"]
    made.record(
        *(
            resource(
                f"event-{number}",
                type=chance.choice(types),
                actee=f"app-{chance.randrange(5)}",
                timestamp=f"2014-06-{chance.randrange(10, 30)}T10:00:0{chance.randrange(3)}Z",
                space_guid=chance.choice(["", "space-1", "space-2"]),
                organization_guid=chance.choice(["", "org-1"]),
            )
            for number in range(120)
        )
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def stored(many: Deployment) -> list[Json]:
    """Return these events as recorded, read by another way than lists."""
    return [many.admin.get(f"/v2/events/event-{number}").json() for number in range(120)]


def at(event: Json) -> int:
    """Return when an event happened."""
    return timestamps.from_text(event["entity"]["timestamp"])


@pytest.mark.row("C-1", "C-2", "C-42", "C-50", "C-53", "C-54")
def test_seed_answer_is_given_byte_for_byte(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("seed") / "data"
    with (
        open_server(folder, cloudfoundry={"time_zone": SEED_ZONE}) as server,
        server.http() as http,
    ):
        http.post("/extensions/cloudfoundry/events", json=seed_resources())
        answer = http.get("/v2/events")
        assert len(answer.content) == SEED_CONTENT_LENGTH
        assert answer.headers["content-length"] == str(SEED_CONTENT_LENGTH)
        assert answer.headers["content-type"] == "application/json;charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        printed = {
            "total_results": 3, "total_pages": 1, "prev_url": None, "next_url": None,
            "resources": seed_resources(),
        }  # fmt: skip
        compact = http.get("/v2/events?pretty=false")
        assert compact.content == msgspec.json.encode(printed)
        assert answer.text.split() == _pretty_words(compact.content)


def _pretty_words(compact: bytes) -> list[str]:
    text = msgspec.json.format(compact, indent=2).decode()
    return text.replace("{}", "{ }").split()


@pytest.mark.row("C-42")
@pytest.mark.parametrize("path", ["/v2/events", "/v2/events/event-1", "/v2/nope", "/v2/info"])
def test_answers_are_indented_unless_told_otherwise(many: Deployment, path: str) -> None:
    indented, asked, compact = (
        many.admin.get(path + query) for query in ("", "?pretty=true", "?pretty=false")
    )
    assert indented.text.startswith('{\n  "')
    assert indented.text == asked.text
    assert "\n" not in compact.text.rstrip("\n")
    assert indented.json() == compact.json()
    for answer in (indented, compact):
        assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.row("C-13", "C-14")
def test_any_type_is_stored_and_listed(deployment: Deployment) -> None:
    types = [*SEED_TYPES, "audit.service_binding.start_create", "no.such.type", "Ünïcode"]
    deployment.record(*(resource(type=type) for type in types))
    shown = deployment.admin.get("/v2/events").json()["resources"]
    assert [event["entity"]["type"] for event in shown] == types


FILTERS: list[tuple[str, Callable[[Json], bool]]] = [
    ("type:app.crash", lambda e: e["type"] == "app.crash"),
    (
        "type IN app.crash,audit.app.create",
        lambda e: e["type"] in ("app.crash", "audit.app.create"),
    ),
    ("type>audit.app.update", lambda e: e["type"] > "audit.app.update"),
    ("type<=audit.app.create", lambda e: e["type"] <= "audit.app.create"),
    ("actee:app-3", lambda e: e["actee"] == "app-3"),
    ("actee>=app-3", lambda e: e["actee"] >= "app-3"),
    ("space_guid:space-1", lambda e: e["space_guid"] == "space-1"),
    ("space_guid:", lambda e: e["space_guid"] == ""),
    ("organization_guid:org-1", lambda e: e["organization_guid"] == "org-1"),
    (
        "timestamp>2014-06-20T10:00:01Z",
        lambda e: e["timestamp"] > "2014-06-20T10:00:01Z",
    ),
    (
        "timestamp<=2014-06-20 03:00:01 -0700",
        lambda e: e["timestamp"] <= "2014-06-20T10:00:01Z",
    ),
    (
        "timestamp>=2014-06-15;timestamp<2014-06-25;actee:app-1",
        lambda e: "2014-06-15" <= e["timestamp"] < "2014-06-25" and e["actee"] == "app-1",
    ),
    ("timestamp:2014-06-20T10:00:01Z", lambda e: e["timestamp"] == "2014-06-20T10:00:01Z"),
    ("type:nothing", lambda e: False),
]


@pytest.mark.row("C-15", "C-16", "C-17", "C-18", "C-19", "C-20", "C-21", "C-22", "C-23", "C-41")
@pytest.mark.parametrize(("q", "wanted"), FILTERS, ids=[q for q, _ in FILTERS])
@pytest.mark.parametrize("descending", [False, True])
def test_filter_with_exact_total_in_order(
    many: Deployment,
    stored: list[Json],
    q: str,
    wanted: Callable[[Json], bool],
    descending: bool,
) -> None:
    expected = sorted((event for event in stored if wanted(event["entity"])), key=at)
    if descending:
        # Events of one second stand in the opposite order too.
        expected.reverse()
    params = {"q": q, "order-direction": "desc" if descending else "asc"}
    first = many.admin.get("/v2/events", params=params).json()
    assert first["total_results"] == len(expected)
    rest = follow(many.admin, first["next_url"])
    assert guids(first["resources"] + rest) == guids(expected)


@pytest.mark.row("C-30", "C-31", "C-32", "C-35", "C-41")
@pytest.mark.parametrize("size", [1, 7, 50, 100])
def test_pages_lead_to_the_end_and_back(many: Deployment, stored: list[Json], size: int) -> None:
    path: str | None = f"/v2/events?results-per-page={size}"
    seen: list[Json] = []
    pages: list[Json] = []
    while path is not None:
        page = many.admin.get(path).json()
        assert page["total_results"] == 120
        assert page["total_pages"] == -(-120 // size) == len(range(0, 120, size))
        seen += page["resources"]
        pages.append(page)
        path = page["next_url"]
    assert guids(seen) == guids(sorted(stored, key=at))
    assert pages[0]["prev_url"] is None
    back = [many.admin.get(page["prev_url"]).json() for page in pages[1:]]
    assert [page["resources"] for page in back] == [page["resources"] for page in pages[:-1]]


@pytest.mark.row("C-36")
def test_page_past_the_end_is_empty(many: Deployment) -> None:
    for page in (4, 10**9, 10**17):
        answer = many.admin.get(f"/v2/events?page={page}")
        assert answer.status_code == 200
        assert answer.json()["resources"] == []
        assert answer.json()["next_url"] is None
        assert f"page={page - 1}&" in answer.json()["prev_url"]


@pytest.mark.row("C-37", "C-38", "C-39", "C-40")
def test_order_by_either_name(many: Deployment) -> None:
    newest_first = many.admin.get("/v2/events?order-direction=desc&order-by=timestamp").json()
    for query in ("order=desc", "order=asc&order-direction=desc", "order=desc&order-by=id"):
        assert many.admin.get(f"/v2/events?{query}").json() == newest_first
    oldest_first = many.admin.get("/v2/events").json()["resources"]
    assert guids(newest_first["resources"]) == guids(
        follow(many.admin, "/v2/events?results-per-page=100")
    )[::-1][:50]  # fmt: skip
    assert oldest_first != newest_first["resources"]


@pytest.mark.row("C-24", "C-26", "C-27")
@pytest.mark.parametrize(
    "raw",
    [
        b"q=type:app.crash&q=timestamp>=2014-06-15T00:00:00Z",
        b"q=type%3Aapp.crash&q=timestamp%3E%3D2014-06-15T00%3A00%3A00Z",
        b"q=type+IN+app.crash&q=timestamp>=2014-06-15 00:00:00".replace(b" ", b"%20"),
        b"q=type%20IN%20app.crash&q=timestamp>=2014-06-15+00:00:00",
        b"q=type:app.crash%3Btimestamp>=2014-06-15",
        b"q=type:app.crash;timestamp>=2014-06-15",
        b"q=timestamp>=2014-06-15T02:00:00%2B02:00&q=type:app.crash",
        b"q=timestamp>=2014-06-15T02:00:00+02:00&q=type:app.crash",
    ],
)
def test_raw_and_escaped_spellings_are_one(
    many: Deployment, stored: list[Json], raw: bytes
) -> None:
    request = many.admin.build_request("GET", "/v2/events")
    request.url = request.url.copy_with(query=raw)
    answer = many.admin.send(request).json()
    expected = [
        event
        for event in stored
        if event["entity"]["type"] == "app.crash" and event["entity"]["timestamp"] >= "2014-06-15"
    ]
    assert answer["total_results"] == len(expected) > 0


@pytest.mark.row("C-33", "C-34", "C-35")
def test_next_url_is_relative_and_keeps_the_question(deployment: Deployment) -> None:
    deployment.record(*(resource(actee="a;b+c%&#ü", timestamp="2014-06-20") for _ in range(5)))
    params = {
        "q": "actee:a;;b+c%&#ü;timestamp>=2014-06-20T02:00:00+02:00",
        "results-per-page": "2",
        "inline-relations-depth": "1",
        "include-relations": "space",
        "order": "desc",
    }
    first = deployment.admin.get("/v2/events", params=params).json()
    assert first["total_results"] == 5
    assert first["next_url"].startswith("/v2/events?")
    pages = first["resources"] + follow(deployment.admin, first["next_url"])
    assert len(set(guids(pages))) == 5
    assert all("space" in event["entity"] for event in pages)


@pytest.mark.row("C-43", "C-44", "C-45", "C-46", "C-47")
def test_relation_parameters(deployment: Deployment) -> None:
    [event] = deployment.record(resource(space={"entity": {"name": "prod"}}))
    plain = set(event["entity"])

    def members(query: str) -> set[str]:
        shown = deployment.admin.get(f"/v2/events?{query}").json()["resources"][0]
        alone = deployment.admin.get(f"/v2/events/{event['metadata']['guid']}?{query}").json()
        assert alone == shown
        return set(shown["entity"]) - plain

    urls = {"space_url", "organization_url"}
    assert members("colour=red") == set()
    assert members("inline-relations-depth=0") == urls
    assert members("inline-relations-depth=1") == urls | {"space", "organization"}
    assert members("inline-relations-depth=2&exclude-relations=space") == urls | {"organization"}
    assert members("inline-relations-depth=3&include-relations=space") == urls | {"space"}
    assert deployment.admin.get("/v2/events?orphan-relations=1").json()["orphans"] == {}


@pytest.mark.row("C-62", "C-10")
def test_single_event_is_the_bare_resource(deployment: Deployment) -> None:
    [event] = deployment.record(resource())
    answer = deployment.admin.get(event["metadata"]["url"])
    assert answer.json() == event
    assert answer.json()["metadata"]["updated_at"] is None


@pytest.mark.row("C-60")
@pytest.mark.parametrize(
    "guid", ["nope", "d9df3e10-a8c9-4484-bf67-10f0d9914dfb", "%00", "a%20b", "ü", "x" * 2000]
)
def test_unknown_event_is_not_found(deployment: Deployment, guid: str) -> None:
    answer = deployment.admin.get(f"/v2/events/{guid}")
    assert answer.status_code == 404
    assert answer.json()["code"] == 230002
    assert answer.json()["error_code"] == "CF-EventNotFound"
    assert answer.text.endswith("}\n")


@pytest.mark.row("C-63")
def test_events_of_a_space_stand_as_recorded(deployment: Deployment) -> None:
    deployment.record(
        resource("late", timestamp="2014-06-21", space_guid="s/1"),
        resource("elsewhere", space_guid="s-2"),
        resource("early", timestamp="2014-06-20", space_guid="s/1", type="app.crash"),
    )
    # A space whose name needs escaping cannot be reached by a path; one that does not, can.
    assert deployment.admin.get("/v2/spaces/s%2F1/events").status_code == 404
    answer = deployment.admin.get("/v2/spaces/s-2/events").json()
    assert guids(answer["resources"]) == ["elsewhere"]


@pytest.mark.row("C-63")
def test_events_of_a_space_are_filtered_and_paged_under_their_own_path(
    deployment: Deployment,
) -> None:
    deployment.record(
        *(
            resource(f"e{n}", timestamp=f"2014-06-{20 - n}", space_guid=f"s-{n % 2}")
            for n in range(10)
        )
    )
    first = deployment.admin.get("/v2/spaces/s-1/events?results-per-page=2").json()
    assert first["total_results"] == 5
    assert first["next_url"] == (
        "/v2/spaces/s-1/events?order-direction=asc&page=2&results-per-page=2"
    )
    assert guids(first["resources"] + follow(deployment.admin, first["next_url"])) == [
        "e1", "e3", "e5", "e7", "e9"
    ]  # fmt: skip
    newest = deployment.admin.get("/v2/spaces/s-1/events?order=desc&q=timestamp<2014-06-15").json()
    assert guids(newest["resources"]) == ["e9", "e7"]
    unknown = deployment.admin.get("/v2/spaces/s-9/events")
    assert (unknown.status_code, unknown.json()["code"]) == (404, 40004)


@pytest.mark.row("C-58", "C-59")
@pytest.mark.parametrize(
    ("query", "code", "description"),
    [
        ("q=actor:x", 10005, "The query parameter is invalid: actor"),
        ("q=timestamp>soon", 10005, None),
        ("results-per-page=101", 10005,
         "The query parameter is invalid: results_per_page must be <= 100"),
        ("page=x", 10005, None),
        ("inline-relations-depth=4", 10005,
         "The query parameter is invalid: inline_relations_depth must be <= 3"),
        ("order-direction=up", 10005,
         "The query parameter is invalid: order_direction must be 'asc' or 'desc' but was 'up'"),
        ("order-by=actor", 10012, "Cannot order by: actor"),
        ("&".join(["a=1"] * 1001), 10005, None),
    ],
)  # fmt: skip
def test_bad_question_is_400(
    deployment: Deployment, query: str, code: int, description: str | None
) -> None:
    answer = deployment.admin.get(f"/v2/events?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert description is None or answer.json()["description"] == description


@pytest.mark.row("C-50", "C-53", "C-55")
def test_error_has_the_headers_of_every_answer(deployment: Deployment) -> None:
    for path in ("/v2/events?page=0", "/v2/events/nope", "/v2/nope"):
        answer = deployment.admin.get(path)
        assert answer.headers["content-type"] == "application/json;charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert list(answer.json()) == ["description", "error_code", "code"]
        assert re.fullmatch(UUID, answer.headers["x-vcap-request-id"])


@pytest.mark.row("C-51", "C-52")
@pytest.mark.parametrize(
    ("sent", "prefix"),
    [
        ({}, ""),
        ({"X-VCAP-Request-ID": "abc_1-2"}, "abc_1-2::"),
        ({"X-Request-ID": "trace"}, "trace::"),
        ({"X-Request-ID": "trace", "X-VCAP-Request-ID": "vcap"}, "vcap::"),
        ({"X-VCAP-Request-ID": "a b;c<d>"}, "abcd::"),
        ({"X-VCAP-Request-ID": "x" * 300}, "x" * 255 + "::"),
        ({"X-VCAP-Request-ID": ";;"}, ""),
    ],
)
def test_request_id_is_built_on_the_caller_s(
    deployment: Deployment, sent: dict[str, str], prefix: str
) -> None:
    first, second = (
        deployment.admin.get("/v2/events", headers=sent).headers["x-vcap-request-id"]
        for _ in range(2)
    )
    assert re.fullmatch(re.escape(prefix) + UUID, first)
    assert first != second


@pytest.mark.row("C-61")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/nope"),
        ("GET", "/v2/nope/"),
        ("GET", "/v2/events//"),
        ("GET", "/v2/apps/app-1/nope"),
        ("GET", "/v2/nope/app-1/routes"),
        ("POST", "/v2/routes"),
        ("GET", "/v2"),
        ("GET", "/v2/apps/app-1/events"),
        ("GET", "/v2/organizations/org-1/events"),
        ("GET", "/v2/events/a/b"),
        ("OPTIONS", "/v2/events"),
        ("PATCH", "/v2/events/a"),
        ("DELETE", "/v2/events"),
        ("POST", "/v2/info"),
    ],
)
def test_unknown_path_or_verb_is_not_found(deployment: Deployment, method: str, path: str) -> None:
    answer = deployment.admin.request(method, path)
    assert answer.status_code == 404
    assert answer.json() == {
        "description": "Unknown request", "error_code": "CF-NotFound", "code": 10000
    }  # fmt: skip


@pytest.mark.row("C-61")
def test_head_has_the_headers_and_no_body(many: Deployment) -> None:
    get, head = many.admin.get("/v2/events"), many.admin.head("/v2/events")
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.row("C-77")
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("guid", ["kept", "nope"])
def test_change_and_deletion_are_refused_to_everybody(
    deployment: Deployment, method: str, guid: str
) -> None:
    deployment.record(resource("kept"))
    for client in (deployment.admin, deployment.as_user("dev")):
        answer = client.request(method, f"/v2/events/{guid}")
        assert answer.status_code == 403
        assert answer.json()["error_code"] == "CF-NotAuthorized"
        assert "keeps every event as it was recorded" in answer.json()["description"]
    assert deployment.anonymous.request(method, f"/v2/events/{guid}").status_code == 401
    assert deployment.admin.get("/v2/events/kept").status_code == 200


@pytest.mark.row("C-77")
def test_creation_by_the_documented_path_is_refused_with_the_way_to_go(
    deployment: Deployment,
) -> None:
    answer = deployment.admin.post("/v2/events", json={})
    assert (answer.status_code, answer.json()["code"]) == (403, 10003)
    assert "/extensions/cloudfoundry/events" in answer.json()["description"]


@pytest.mark.row("C-78")
def test_nothing_expires(deployment: Deployment) -> None:
    """The original forgets after 31 days; here an event of 2014 stands beside one of today."""
    old = resource("old", timestamp="2014-06-20T00:18:46Z")
    old["metadata"]["created_at"] = "2014-06-20T00:18:46Z"
    young = resource("young")
    del young["entity"]["timestamp"]
    deployment.record(old, young)
    answer = deployment.admin.get("/v2/events").json()
    assert guids(answer["resources"]) == ["old", "young"]


@pytest.mark.row("C-48", "C-49", "C-56")
@pytest.mark.parametrize(
    ("authorization", "code", "name"),
    [
        (None, 10002, "CF-NotAuthenticated"),
        ("Basic dXNlcjpwYXNz", 10002, "CF-NotAuthenticated"),
        ("Digest x", 10002, "CF-NotAuthenticated"),
        ("bearer", 1000, "CF-InvalidAuthToken"),
        ("bearer nonsense", 1000, "CF-InvalidAuthToken"),
        ("Bearer a.b.c", 1000, "CF-InvalidAuthToken"),
        ("bearer tlk_nobody", 1000, "CF-InvalidAuthToken"),
        (f"bearer {SEED_TOKEN}", 1000, "CF-InvalidAuthToken"),
    ],
)
@pytest.mark.parametrize("path", ["/v2/events", "/v2/events/x", "/v2/spaces/x/events", "/v2/apps"])
def test_missing_and_bad_tokens_are_told_apart(
    deployment: Deployment, authorization: str | None, code: int, name: str, path: str
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = deployment.anonymous.get(path, headers=headers)
    assert answer.status_code == 401
    assert (answer.json()["code"], answer.json()["error_code"]) == (code, name)


@pytest.mark.row("C-49")
@pytest.mark.parametrize("scheme", ["bearer", "Bearer", "BEARER"])
def test_bearer_in_any_case(deployment: Deployment, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {deployment.key}"}
    assert deployment.anonymous.get("/v2/events", headers=headers).status_code == 200


@pytest.mark.row("C-57")
def test_token_without_a_reading_scope_is_told_so(deployment: Deployment) -> None:
    writer = deployment.http(deployment.key_with(Scope.WRITE))
    for path in ("/v2/events", "/v2/events/x"):
        answer = writer.get(path)
        assert answer.status_code == 403
        assert answer.json()["code"] == 10007
    answer = writer.get("/v3/audit_events")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, 10003)


HOSTILE = [
    "<script>alert(1)</script>", "a\x00b", "line\r\nX-Evil: 1", "\u202egnp.exe", "x" * 1024,
    "'; DROP TABLE events; --", "{{7*7}}", "日本語", "a/b?c=d&e#f", "%00", " ", "🎉",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=[repr(text)[:20] for text in HOSTILE])
def test_hostile_text_comes_back_equal_from_every_member(deployment: Deployment, text: str) -> None:
    names = ("type", "actor", "actor_type", "actor_name", "actee", "actee_type", "actee_name")
    sent = resource(
        **dict.fromkeys((*names, "space_guid", "organization_guid"), text),
        metadata={text: text},
        space={"entity": {"name": text}},
    )
    deployment.record(sent)
    answer = deployment.admin.get(
        "/v2/events", params={"q": f"actee:{text.replace(';', ';;')}", "inline-relations-depth": 1}
    )
    [event] = answer.json()["resources"]
    for name in (*names, "space_guid", "organization_guid"):
        assert event["entity"][name] == text
    assert event["entity"]["metadata"] == {text: text}
    assert event["entity"]["space"]["entity"]["name"] == text
    [other] = deployment.admin.get("/v3/audit_events").json()["resources"]
    assert other["target"] == {"guid": text, "type": text, "name": text}


def test_text_over_a_limit_is_refused_by_name(deployment: Deployment) -> None:
    answer = deployment.admin.post(
        "/extensions/cloudfoundry/events", json=resource(actee_name="x" * 1025)
    )
    assert answer.status_code == 413
    assert "target.name" in answer.json()["description"]
    assert deployment.admin.get("/v2/events").json()["total_results"] == 0


def test_large_numbers_and_deep_metadata_survive(deployment: Deployment) -> None:
    deep: Any = {}
    for _ in range(60):
        deep = {"d": deep}
    metadata = {"big": 2**63 + 1, "float": 0.1, "deep": deep, "list": [None, True, ""]}
    [event] = deployment.record(resource(metadata=metadata))
    assert event["entity"]["metadata"] == metadata


def test_event_written_natively_is_shown(deployment: Deployment) -> None:
    native = {
        "kind": "order.created",
        "occurred_at": "2014-06-20T00:18:46.5Z",
        "actor": {"type": "user", "id": "u-1", "name": "Una"},
        "target": {"type": "order", "id": "o-1", "name": "No. 1"},
        "scopes": [{"type": "space", "id": "s-1", "name": "prod"}],
        "data": {"total": 5},
    }
    written = deployment.admin.post("/v1/events", json=native).json()
    nameless = native | {"actor": {"type": "user", "id": "u-1"}}
    deployment.admin.post("/v1/events", json=nameless)
    answer = deployment.admin.get("/v2/events").json()
    assert answer["total_results"] == 1
    [event] = answer["resources"]
    assert event["metadata"]["guid"] == written["id"]
    assert event["entity"] == {
        "type": "order.created",
        "actor": "u-1", "actor_type": "user", "actor_name": "Una",
        "actee": "o-1", "actee_type": "order", "actee_name": "No. 1",
        "timestamp": "2014-06-20T00:18:46Z",
        "metadata": {"total": 5},
        "space_guid": "s-1", "organization_guid": "",
    }  # fmt: skip
    assert deployment.admin.get(f"/v2/events/{written['id']}").json() == event


def test_revised_and_retracted_events_are_shown_as_first_recorded(
    deployment: Deployment,
) -> None:
    native = {
        "kind": "order.created",
        "actor": {"type": "user", "id": "u-1", "name": "Una"},
        "target": {"type": "order", "id": "o-1", "name": "No. 1"},
        "data": {"total": 5},
    }
    ids = [deployment.admin.post("/v1/events", json=native).json()["id"] for _ in range(2)]
    deployment.admin.post(f"/v1/events/{ids[0]}/revise", json={"data": {"total": 6}})
    deployment.admin.post(f"/v1/events/{ids[1]}/retract", json={})
    answer = deployment.admin.get("/v2/events").json()
    assert answer["total_results"] == 2
    assert [event["entity"]["metadata"] for event in answer["resources"]] == [{"total": 5}] * 2
    for id in ids:
        assert deployment.admin.get(f"/v2/events/{id}").status_code == 200


def test_setting_shows_the_actor_s_user_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("username") / "data"
    with open_server(folder, cloudfoundry={"actor_username": True}) as server:
        http: httpx2.Client
        with server.http() as http:
            http.post("/extensions/cloudfoundry/events", json=resource(actor_username="dev"))
            [event] = http.get("/v2/events").json()["resources"]
            assert event["entity"]["actor_username"] == "dev"
