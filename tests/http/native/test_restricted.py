"""What a person with a role may do beside reading: nothing, and learn nothing of what is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.support.live_server import TENANT, LiveServer

PASSWORD = "correct horse"
FILE = {"type": "file", "id": "7"}


def login(server: LiveServer, user: str) -> str:
    """Return a token of a user."""
    form = {"grant_type": "password", "username": user, "password": PASSWORD}
    with server.plain_http() as http:
        answer = http.post("/oauth/token", data=form, auth=("cf", ""))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


@pytest.fixture
def people(server: LiveServer) -> LiveServer:
    """Return a server with a viewer of one workspace, an administrator, and one without roles."""
    for id, login_name in (("1", "vera"), ("2", "ada"), ("3", "nemo")):
        server.create_user(TENANT, id, login=login_name, name=login_name, password=PASSWORD)
    server.grant(TENANT, "1", "workspace:1", "Viewer")
    server.grant(TENANT, "2", "tenant:*", "admin")
    return server


@pytest.fixture
def viewer(people: LiveServer) -> Iterator[httpx2.Client]:
    """Return a client with the viewer's token."""
    with people.http(login(people, "vera")) as http:
        yield http


def post(http: httpx2.Client, **members: Any) -> dict[str, Any]:
    """Record an event."""
    answer = http.post("/v1/events", json={"kind": "file.read", **members})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


WRITES = [
    ("POST", "/v1/events", {"kind": "k"}),
    ("POST", "/v1/events/{id}/revise", {"data": {}}),
    ("POST", "/v1/events/{id}/retract", {}),
    ("PUT", "/v0/users/kate", {"a": 1}),
    ("POST", "/v0/users/kate/events/t", {"a": 1}),
    ("DELETE", "/v0/users?force=true", None),
    ("POST", "/v0", {"path": {"collection": "c", "key": "k"}, "value": {}}),
    ("POST", "/archivist/v1/events", {"attributes": {}}),
    ("POST", "/extensions/cloudfoundry/events", {}),
    ("POST", "/extensions/onehub/events", {}),
    ("POST", "/extensions/datatrails/imports", {}),
]


@pytest.mark.parametrize("login_name", ["vera", "nemo"])
@pytest.mark.parametrize(
    ("method", "path", "body"), WRITES, ids=[f"{method} {path}" for method, path, _ in WRITES]
)
def test_people_record_nothing(
    people: LiveServer, login_name: str, method: str, path: str, body: Any
) -> None:
    """They leave events by what they do, not by telling of it, through whichever API."""
    with people.http() as admin, people.http(login(people, login_name)) as http:
        event = post(admin, scopes=[{"type": "workspace", "id": "1"}])
        before = admin.get("/v1/checkpoint").json()["size"]
        answer = http.request(method, path.format(id=event["id"]), json=body)
        assert answer.status_code == 403, answer.text
        assert admin.get("/v1/checkpoint").json()["size"] == before


def test_administrators_record_and_are_named(people: LiveServer) -> None:
    with people.http(login(people, "ada")) as http:
        event = post(http)
        assert http.post(f"/v1/events/{event['id']}/revise", json={"data": {}}).status_code == 200
        assert http.put("/v0/users/kate", json={"a": 1}).status_code == 201


def test_who_changes_an_event_is_in_the_log(people: LiveServer) -> None:
    named = {"type": "user", "id": "9", "name": "Somebody"}
    with people.http() as by_key, people.http(login(people, "ada")) as by_user:
        event = post(by_key)
        path = f"/v1/events/{event['id']}"
        by_user.post(f"{path}/revise", json={"data": {"n": 1}})
        by_key.post(f"{path}/revise", json={"data": {"n": 2}, "actor": named})
        by_key.post(f"{path}/retract", json={"erase": False})
        log = by_key.get("/v1/events?view=log&order=asc").json()["events"]
    revised, again, retracted = (entry["actor"] for entry in log[-3:])
    assert revised == {"type": "user", "id": "2", "name": "ada"}
    assert again == named
    assert retracted["type"] == "key"


def test_resource_tells_what_the_visible_events_tell(
    people: LiveServer, viewer: httpx2.Client
) -> None:
    inside, outside = ([{"type": "workspace", "id": id}] for id in "12")
    with people.http() as admin:
        post(admin, target={**FILE, "name": "open"}, scopes=inside, occurred_at=1_000)
        post(admin, target={**FILE, "name": "seen"}, scopes=inside, occurred_at=2_000)
        post(admin, target={**FILE, "name": "secret"}, scopes=outside, occurred_at=3_000)
        whole = admin.get("/v1/resources/file/7").json()
    assert (whole["name"], whole["count"]) == ("secret", 3)
    told = viewer.get("/v1/resources/file/7").json()
    assert (told["name"], told["count"]) == ("seen", 2)
    assert told["parents"] == inside
    assert told["first_seen_at"].endswith(":01.000Z")
    assert told["last_seen_at"].endswith(":02.000Z")
    assert told["last_index"] < whole["last_index"]
    assert viewer.get("/v1/resources/workspace/1").json()["parents"] == []
    assert viewer.get("/v1/resources/workspace/2").status_code == 404


def test_resource_is_no_parent_of_itself(people: LiveServer) -> None:
    workspace = {"type": "workspace", "id": "1"}
    with people.http() as admin:
        post(admin, kind="workspace.create", target=workspace, scopes=[workspace])
        assert admin.get("/v1/resources/workspace/1").json()["parents"] == []


def test_hidden_payload_fields_are_not_told_of(people: LiveServer, viewer: httpx2.Client) -> None:
    with people.http() as admin:
        post(admin, data={"salary": 1})
        hint = admin.get("/v1/events?q=data.salari:1").json()["hint"]
    assert "data.salary" in hint
    for path in ("data.salari", "data.salary", "data.nothing"):
        answers = [
            viewer.get(f"/v1/events{part}", params={"q": f"{path}:1"}).json()
            for part in ("", "/facets", "/histogram")
        ]
        assert "salary" not in str(answers)
        assert answers[0]["events"] == []
