"""Dialects below a prefix: the same answers, addresses that stay below it, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tallystick.dialects import DIALECTS
from tallystick.errors import SettingsError
from tallystick.http.app import App
from tallystick.node.node import open_node
from tallystick.settings import Settings, load_settings
from tests.support.live_server import TENANT, LiveServer, open_server

MOUNTS = {"orchestrate": "/old/store", "cloudfoundry": "/cf", "onehub": "/cf/share"}
LIST = "/v0/users/kate/events/seen"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with open_server(tmp_path / "data", mounts=MOUNTS) as live:
        live.create_user(TENANT, "1", login="ada", name="Ada", password="correct horse")
        live.grant(TENANT, "1", "tenant:*", "admin")
        yield live


@pytest.fixture
def store(server: LiveServer) -> Iterator[httpx2.Client]:
    """Return a client of Orchestrate with three events."""
    with server.plain_http() as http:
        http.auth = (server.admin_key, "")
        for n in range(3):
            assert http.put(f"/old/store{LIST}", json={"n": n}).status_code == 204
        yield http


@pytest.fixture
def cloud(server: LiveServer) -> Iterator[httpx2.Client]:
    """Return a client of Cloud Foundry that logged in where the prefix leads it."""
    with server.plain_http() as http:
        endpoint = http.get("/cf/v2/info").json()["token_endpoint"]
        assert endpoint == f"{server.url}/cf"
        form = {"grant_type": "password", "username": "ada", "password": "correct horse"}
        token = http.post(f"{endpoint}/oauth/token", data=form, auth=("cf", "")).json()
        http.headers["Authorization"] = f"bearer {token['access_token']}"
        yield http


def test_links_lead_on_below_the_prefix(store: httpx2.Client) -> None:
    answer = store.get("/old/store" + LIST, params={"limit": 2})
    following = answer.json()["next"]
    assert following.startswith(f"/old/store{LIST}?")
    assert f"<{following}>" in answer.headers["Link"]
    assert [row["value"] for row in store.get(following).json()["results"]] == [{"n": 0}]
    made = store.post("/old/store" + LIST, json={"n": 3})
    assert made.headers["Location"].startswith(f"/old/store{LIST}/")
    assert store.get(made.headers["Location"]).json()["value"] == {"n": 3}


def test_the_root_answers_as_ever(store: httpx2.Client) -> None:
    answer = store.get(LIST, params={"limit": 2})
    assert answer.json()["next"].startswith(f"{LIST}?")
    assert len(store.get("/v1/events").json()["events"]) == 3
    assert store.post(LIST, json={}).headers["Location"].startswith(f"{LIST}/")


def test_an_escaped_prefix_is_the_prefix(store: httpx2.Client) -> None:
    assert store.get("/%6fld/store" + LIST).json()["count"] == 3


@pytest.mark.parametrize("path", ["/cf", "/cf/"])
def test_absolute_links_have_the_prefix(
    cloud: httpx2.Client, server: LiveServer, path: str
) -> None:
    links = cloud.get(path).json()["links"]
    assert links["cloud_controller_v3"]["href"] == f"{server.url}/cf/v3"
    page = cloud.get("/cf/v3/audit_events").json()
    assert page["pagination"]["first"]["href"].startswith(f"{server.url}/cf/v3/audit_events?")
    assert cloud.get("/cf/v2/events").json()["total_results"] == 0


def test_errors_have_the_shape_of_the_dialect(cloud: httpx2.Client, store: httpx2.Client) -> None:
    assert cloud.get("/cf/v3/audit_events/none").json()["errors"][0]["code"] == 10010
    assert cloud.get("/cf/v2/events/none").json()["error_code"]
    assert store.get("/old/store/v0/users/none").json()["code"] == "items_not_found"


@pytest.mark.parametrize(
    "path",
    ["/cf/v0/users/kate", "/cf/v1/events", "/old/store/v2/events", "/old/store", "/old/stores/v0"],
)
def test_nothing_else_is_below_the_prefix(
    server: LiveServer, store: httpx2.Client, path: str
) -> None:
    assert store.get(path).status_code == 404
    assert store.post(path, json={"kind": "k"}).status_code == 404


def test_attempts_to_log_in_are_counted_once_for_all_addresses(server: LiveServer) -> None:
    form = {"grant_type": "password", "username": "ada", "password": "wrong"}
    paths = [f"{prefix}/oauth/token" for prefix in ("", "/cf", "/cf/share")] * 4
    with server.plain_http() as http:
        answers = [http.post(path, data=form, auth=("cf", "")).status_code for path in paths]
    assert answers == [401] * 10 + [429] * 2


def test_of_two_prefixes_the_longer_one_is_meant(server: LiveServer) -> None:
    with server.http() as http:
        assert http.get("/cf/share/activity").json()["total_entries"] == 0


@pytest.mark.parametrize(
    "mounts",
    [
        {"gopher": "/g"}, {"kvass": ""}, {"kvass": "/"}, {"kvass": "k"}, {"kvass": "/k/"},
        {"kvass": "/k//l"}, {"kvass": "/.."}, {"kvass": "/k/../v1"}, {"kvass": "/k?"},
        {"kvass": "/events"}, {"kvass": "/v1/kvass"}, {"kvass": "/v2/kvass"}, {"kvass": "/log"},
        {"kvass": "/archivist/kvass"}, {"kvass": "/extensions/k"},
    ],
    ids=lambda mounts: "-".join(*mounts.items()),
)  # fmt: skip
def test_a_prefix_that_cannot_be_is_refused(tmp_path: Path, mounts: dict[str, str]) -> None:
    node = open_node(tmp_path / "data", Settings(mounts=mounts), followers=False)
    with closing(node), pytest.raises(SettingsError, match="mounts: "):
        App(node, DIALECTS)


def test_mounts_come_from_the_environment_too() -> None:
    settings = load_settings(environment={"TALLYSTICK_MOUNTS": "kvass=/k,cloudfoundry=/cf"})
    assert settings.mounts == {"kvass": "/k", "cloudfoundry": "/cf"}
