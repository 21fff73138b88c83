"""Two resources are never taken for one, however a colon, a slash or an escape splits them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from tallystick.store.postgres.store import open_postgres
from tests.support.live_server import TENANT, LiveServer, open_server

SPLITS = [
    (("crew", "red:7"), ("crew:red", "7")),
    (("a%3Ab", "c"), ("a:b", "c")),
    (("a%b", "c"), ("a%25b", "c")),
    (("arn:aws", "iam::1:user/kim"), ("arn", "aws:iam::1:user/kim")),
    (("x", "y:z:w"), ("x:y:z", "w")),
]
ROLES = ("actor", "target", "scope")


@pytest.fixture(params=["sqlite", "postgres"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveServer]:
    settings = {}
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_database")
        open_postgres(url).close()
        settings["database"] = url
    with open_server(tmp_path / "data", **settings) as server:
        yield server


@pytest.fixture
def api(live: LiveServer) -> Iterator[httpx2.Client]:
    with live.http() as client:
        yield client


def named(role: str, key: tuple[str, str], kind: str) -> dict[str, object]:
    resource = {"type": key[0], "id": key[1]}
    return {
        "kind": kind,
        ("scopes" if role == "scope" else role): [resource] if role == "scope" else resource,
    }


def text_of(key: tuple[str, str]) -> str:
    return key[0].replace("%", "%25").replace(":", "%3A") + ":" + key[1]


def path_of(key: tuple[str, str]) -> str:
    return f"/v1/resources/{quote(key[0], safe='')}/{quote(key[1], safe='')}"


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: f"{split[0]}")
def test_two_splits_of_one_text_are_two_resources(
    api: httpx2.Client, split: tuple[tuple[str, str], tuple[str, str]]
) -> None:
    for role in ROLES:
        events = [
            named(role, split[0], role),
            named(role, split[0], role),
            named(role, split[1], role),
        ]
        assert api.post("/v1/events", json=events).status_code == 201
    for key, count in zip(split, (2, 1), strict=True):
        for role in ROLES:
            listed = api.get(
                "/v1/events", params={role: text_of(key), "kind": role, "total": "true"}
            ).json()
            assert listed["total"] == count
            searched = api.get(
                "/v1/events",
                params={"q": f'{role}:"{text_of(key)}" AND kind:{role}', "total": "true"},
            ).json()
            assert searched["total"] == count
        found = api.get(path_of(key)).json()
        assert (found["type"], found["id"], found["count"]) == (*key, count * len(ROLES))


def test_types_and_ids_with_slashes_are_read_by_path(api: httpx2.Client) -> None:
    keys = [
        ("Microsoft.Compute/virtualMachines", "vm-02"),
        ("Microsoft.Compute", "virtualMachines/vm-02"),
        ("a/b", "c/d"),
        ("größe/ü", "日本/1"),
        ("50%2F", "x%2Fy"),
    ]
    for key in keys:
        assert api.post("/v1/events", json=named("target", key, "az.start")).status_code == 201
    for key in keys:
        found = api.get(path_of(key)).json()
        assert (found["type"], found["id"], found["count"]) == (*key, 1)
    assert api.get("/v1/resources/a/b").status_code == 404
    assert api.get("/v1/resources/a%2Fb").status_code == 404
    # Slashes of an id may stand as they are.
    assert api.get("/v1/resources/a%2Fb/c/d").json()["count"] == 1


@pytest.mark.parametrize(
    ("scope", "role", "inside", "beside"),
    [
        ("space:blue:7", "space_auditor", ("space", "blue:7"), ("space:blue", "7")),
        (
            "organization:a:b",
            "organization_auditor",
            ("organization", "a:b"),
            ("organization:a", "b"),
        ),
        ("workspace:1:2", "Viewer", ("workspace", "1:2"), ("workspace:1", "2")),
        ("folder:1:2", "Viewer", ("folder", "1:2"), ("folder:1", "2")),
        ("file:1:2", "Viewer", ("file", "1:2"), ("file:1", "2")),
    ],
)
def test_a_grant_shows_one_resource(
    live: LiveServer,
    api: httpx2.Client,
    scope: str,
    role: str,
    inside: tuple[str, str],
    beside: tuple[str, str],
) -> None:
    live.create_user(TENANT, "u9", login="u9", password="Passw0rd-xyz")
    live.grant(TENANT, "u9", scope, role)
    events = [named("scope", key, "gr.e") for key in (inside, beside)]
    assert api.post("/v1/events", json=events).status_code == 201
    login = {"client_id": "cf", "username": "u9", "password": "Passw0rd-xyz"}
    with live.plain_http() as stranger:
        answer = stranger.post("/oauth/token", data={"grant_type": "password", **login})
    token = answer.json()["access_token"]
    with live.plain_http(Authorization=f"Bearer {token}") as user:
        seen = user.get("/v1/events", params={"kind": "gr.e", "total": "true"}).json()
        assert seen["total"] == 1
        assert seen["events"][0]["scopes"] == [{"type": inside[0], "id": inside[1]}]
        assert user.get(path_of(beside)).status_code == 404


@pytest.mark.parametrize(
    "scope",
    [
        "workspaces:1",
        "Space:1",
        "spcae:1",
        "org:1",
        "space%3Ablue:7",
        "tenant:default",
        "space",
        ":1",
        "space:",
    ],
)
def test_a_grant_in_a_scope_without_roles_is_refused(
    live: LiveServer, api: httpx2.Client, scope: str
) -> None:
    live.create_user(TENANT, "u9", login="u9")
    answer = api.post(
        f"/v1/admin/tenants/{TENANT}/users/u9/grants", json={"scope": scope, "role": "Viewer"}
    )
    assert answer.status_code == 400
    assert live.user(TENANT, "u9").grants == ()


def test_a_hold_on_one_resource_leaves_the_other(live: LiveServer, api: httpx2.Client) -> None:
    ids = [
        api.post("/v1/events", json=named("target", key, "h.e")).json()["id"] for key in SPLITS[0]
    ]
    placed = api.post(
        f"/v1/admin/tenants/{TENANT}/holds",
        json={"id": "one", "query": 'target:"crew%3Ared:7"', "reason": "audit"},
    )
    assert placed.status_code == 201, placed.text
    answers = [api.post(f"/v1/events/{id}/retract", json={}).status_code for id in ids]
    assert answers == [200, 409]
