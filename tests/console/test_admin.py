"""Administration in the console: each act takes effect, is an entry, and is asked for by name."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tallystick.console.session import FRESH_S
from tallystick.identity.access import Scope
from tallystick.identity.records import ApiKey, KeySet, OAuthClient
from tests.console.people import administering, csrf_in, show, signed_in
from tests.console.test_sign_in import Hand
from tests.support.live_server import TENANT, LiveServer, open_server

Act = Callable[..., httpx2.Response]


@pytest.fixture(scope="module")
def person(server: LiveServer) -> Iterator[httpx2.Client]:
    """Return an administrator with a key."""
    with signed_in(server) as person:
        yield person


@pytest.fixture
def act(person: httpx2.Client) -> Act:
    """Return what sends a form of administration."""
    return administering(person)


def latest(server: LiveServer) -> tuple[str, str | None]:
    """Return kind and actor of the latest entry."""
    with server.http() as http:
        event = http.get("/v1/events", params={"view": "log", "limit": 1}).json()["events"][0]
    actor = event.get("actor")
    return event["kind"], actor and actor["type"]


def test_keys_are_made_shown_once_and_revoked(
    server: LiveServer, person: httpx2.Client, act: Act
) -> None:
    made = act("keys/create", label="billing <b>", **{"scope-read": "1"})
    secret = re.search(r'id="secret" class="secret">([^<]+)<', made.text)
    assert secret is not None
    assert latest(server) == ("key.created", "key")
    with server.http(secret[1]) as http:
        assert http.get("/v1/events").status_code == 200
        page = person.get("/console/admin/keys").text
        assert secret[1] not in page
        assert "billing &lt;b&gt;" in page
        key = next(k for k in server.node.identity.list(ApiKey, TENANT) if k.label == "billing <b>")
        assert act("keys/revoke", id=key.id).status_code == 303
        assert latest(server) == ("key.revoked", "key")
        assert http.get("/v1/events").status_code == 401
    none = act("keys/create", label="nothing")
    assert none.status_code == 400
    assert "at least one scope" in none.text
    assert act("keys/revoke", id="none").status_code == 400


def test_users_are_added_given_roles_changed_and_deleted(
    server: LiveServer, person: httpx2.Client, act: Act
) -> None:
    assert act(
        "users/create", id="u-9", login="nine", name="Nine", password="correct horse",
        time_zone="Europe/Oslo",
    ).status_code == 303  # fmt: skip
    assert latest(server) == ("user.created", "key")
    assert act("users/grant", id="u-9", scope="workspace:4", role="Viewer").status_code == 303
    assert latest(server)[0] == "grant.added"
    with server.plain_http() as nine:
        assert show(nine, login="nine", password="correct horse").status_code == 303
        assert "Europe/Oslo" in nine.get("/console?q=nothing").text
        wrong = act("users/grant", id="u-9", scope="workspaces:4", role="Viewer")
        assert wrong.status_code == 400
        assert "workspace?" in wrong.text
        assert act("users/ungrant", id="u-9", scope="workspace:4", role="Viewer").status_code == 303
        changed = {"id": "u-9", "login": "nine", "name": "Ninth", "time_zone": "UTC"}
        assert act("users/change", **changed).status_code == 303
        assert "Ninth" in person.get("/console/admin/users").text
        assert nine.get("/console/confirm").status_code == 200
        assert act("users/change", **changed, disabled="1").status_code == 303
        assert nine.get("/console/confirm").status_code == 303
    for field, value in (("time_zone", "Mars"), ("password", "short")):
        assert act("users/change", **{**changed, field: value}).status_code == 400
    assert act("users/delete", id="u-9").status_code == 303
    assert server.node.identity.get(ApiKey, TENANT, "u-9") is None
    assert latest(server) == ("user.deleted", "key")
    assert act("users/create", id="u-8", login="x" * 2000).status_code == 400


def test_clients_and_key_sets(server: LiveServer, person: httpx2.Client, act: Act) -> None:
    made = act("clients/create", name="Importer", **{"scope-write": "1"})
    secret = re.search(r'id="secret" class="secret">([^<:]+):([^<]+)<', made.text)
    assert secret is not None
    with server.plain_http() as http:
        answer = http.post(
            "/oauth/token", data={"grant_type": "client_credentials"}, auth=(secret[1], secret[2])
        )
        assert answer.status_code == 200
    assert act("clients/delete", id=secret[1]).status_code == 303
    assert server.node.identity.get(OAuthClient, TENANT, secret[1]) is None
    assert act("clients/create", name="").status_code == 400
    assert act("clients/create", name="x", user="nobody").status_code == 400
    assert act("keysets/save", id="sso", secret="s" * 40, issuer="https://i").status_code == 303
    kept = server.node.identity.get(KeySet, TENANT, "sso")
    assert kept is not None
    assert kept.issuer == "https://i"
    assert "s" * 40 not in person.get("/console/admin/keysets").text
    assert act("keysets/save", id="bad", public_keys="nonsense").status_code == 400
    assert act("keysets/delete", id="sso").status_code == 303


def test_holds_are_placed_and_lifted(server: LiveServer, person: httpx2.Client, act: Act) -> None:
    assert (
        act("holds/place", query="kind:a.*", reason="Case 1", **{"from": "2026-01-01"}).status_code
        == 303
    )
    (hold,) = server.node.ledger.holds.all(TENANT)
    assert hold.placed_by.type == "key"
    assert hold.from_ms is not None
    assert "Case 1" in person.get("/console/admin/holds").text
    assert act("holds/place", query="kind:(", reason="x").status_code == 400
    assert act("holds/lift", id=hold.id, reason="").status_code == 400
    assert act("holds/lift", id=hold.id, reason="over").status_code == 303
    assert not server.node.ledger.holds.all(TENANT)[0].active


def test_the_log_is_closed_and_opened(server: LiveServer, act: Act) -> None:
    for public in ("0", "1"):
        assert act("tenant/policy", public_log=public).status_code == 303
        assert server.node.identity.tenant(TENANT).public_log is (public == "1")


def test_only_the_operator_makes_tenants_and_goes_to_them(server: LiveServer, act: Act) -> None:
    assert act("tenants/create", id="north").status_code == 403
    assert act("tenants/switch", id=TENANT).status_code == 403
    with server.plain_http() as operator:
        operator.get(f"/console/sign-in/{server.app.console.sessions.new_link()}")
        csrf = csrf_in(operator.get("/console/admin").text)
        form = {"csrf": csrf, "id": "north", "name": "North"}
        assert operator.post("/console/admin/tenants/create", data=form).status_code == 303
        assert operator.post("/console/admin/tenants/create", data=form).status_code == 400
        assert operator.post("/console/admin/tenants/switch", data=form).status_code == 303
        assert "North" in operator.get("/console/admin").text


def test_acts_need_a_fresh_proof(tmp_path: Path) -> None:
    clock = Hand()
    with open_server(tmp_path / "data", clock=clock) as server, signed_in(server) as person:
        csrf = csrf_in(person.get("/console/admin/keys").text)
        clock.ms += (FRESH_S + 1) * 1000
        form = {"csrf": csrf, "scope-read": "1"}
        sent = person.post(
            "/console/admin/keys/create", data=form,
            headers={"Referer": f"{server.url}/console/admin/keys"},
        )  # fmt: skip
        assert sent.status_code == 303
        assert sent.headers["location"] == "/console/confirm?next=%2Fconsole%2Fadmin%2Fkeys"
        assert len(server.node.identity.list(ApiKey, TENANT)) == 1
        page = person.get(sent.headers["location"]).text
        again = {"csrf": csrf_in(page), "key": server.admin_key, "next": "/console/admin/keys"}
        confirmed = person.post("/console/confirm", data=again)
        assert confirmed.headers["location"] == "/console/admin/keys"
        form["csrf"] = csrf_in(person.get("/console/admin/keys").text)
        assert person.post("/console/admin/keys/create", data=form).status_code == 200


def test_whoever_is_no_administrator_sees_no_administration(server: LiveServer) -> None:
    with signed_in(server, server.create_key(TENANT, [Scope.READ, Scope.PURGE])) as reader:
        page = reader.get("/console").text
        assert "/console/admin" not in page
        for path in ("", "/keys", "/users", "/holds"):
            assert reader.get(f"/console/admin{path}").status_code == 403
        form = {"csrf": csrf_in(page), "scope-admin": "1"}
        assert reader.post("/console/admin/keys/create", data=form).status_code == 403


def test_the_latest_acts_are_shown(person: httpx2.Client, act: Act) -> None:
    act("keys/create", label="shown", **{"scope-read": "1"})
    page = html.unescape(person.get("/console/admin").text)
    assert "Latest acts" in page
    assert "created key" in re.sub(r"<[^>]+>", "", page)
    assert person.get("/console/admin/nowhere").status_code == 404
