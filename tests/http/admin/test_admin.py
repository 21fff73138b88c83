"""Administration: what an admin key may do, and that every change is in the log."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import msgspec
import pytest

from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.records import User
from tests.support.live_server import TENANT, LiveServer

BASE = f"/v1/admin/tenants/{TENANT}"
USER: dict[str, Any] = {
    "id": "481", "login": "matt", "name": "Matthew Anderson", "email": "m@example.org",
    "time_zone": "America/Los_Angeles", "password": "correct horse",
}  # fmt: skip


def test_a_new_key_works_until_it_is_revoked(server: LiveServer, http: httpx2.Client) -> None:
    made = http.post(f"{BASE}/keys", json={"scopes": ["read"], "label": "auditor"})
    assert made.status_code == 201
    told = made.json()
    assert told["key"].startswith("tlk_")
    assert (told["tenant"], told["scope"]) == (TENANT, "read")
    with server.http(told["key"]) as reader:
        assert reader.get("/v1/events").status_code == 200
        listed = http.get(f"{BASE}/keys").json()["keys"]
        assert told["key"] not in str(listed)
        assert http.request("DELETE", f"{BASE}/keys/{told['id']}").status_code == 204
        assert reader.get("/v1/events").status_code == 401


def test_a_secret_that_programs_have_can_be_taken_over(
    server: LiveServer, http: httpx2.Client
) -> None:
    secret = "12345678-1234-1234-1234-123456789012"
    body = {"scopes": ["admin"], "secret": secret}
    assert http.post(f"{BASE}/keys", json=body).json()["key"] == secret
    with server.http(secret) as legacy:
        assert legacy.get("/v1/events").status_code == 200
    assert http.post(f"{BASE}/keys", json=body).status_code == 409


def test_secrets_are_kept_as_hashes_only(server: LiveServer, http: httpx2.Client) -> None:
    key = http.post(f"{BASE}/keys", json={"scopes": ["read"]}).json()["key"]
    http.post(f"{BASE}/users", json=USER)
    folder = server.node.ledger.store.path.parent  # type: ignore[attr-defined]
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert key.encode() not in content
            assert b"correct horse" not in content


def test_users_are_made_listed_granted_and_deleted(http: httpx2.Client) -> None:
    made = http.post(f"{BASE}/users", json=USER)
    assert made.status_code == 201
    assert "password" not in made.json()
    grant = {"scope": "workspace:4137", "role": "Moderator"}
    assert http.post(f"{BASE}/users/481/grants", json=grant).status_code == 201
    assert http.get(f"{BASE}/users/481/grants").json() == {"grants": [grant]}
    better = {**grant, "role": "Administrator"}
    http.post(f"{BASE}/users/481/grants", json=better)
    assert http.get(f"{BASE}/users").json()["users"][0]["grants"] == [better]
    gone = http.request("DELETE", f"{BASE}/users/481/grants?scope=workspace:4137")
    assert gone.status_code == 204
    assert http.get(f"{BASE}/users/481/grants").json() == {"grants": []}
    assert http.request("DELETE", f"{BASE}/users/481").status_code == 204
    assert http.get(f"{BASE}/users").json() == {"users": []}


def test_ids_with_slashes_are_administered_as_others_are(http: httpx2.Client) -> None:
    path = f"{BASE}/users/https%3A%2F%2Fidp%2Fu%2F1"
    assert http.post(f"{BASE}/users", json={"id": "https://idp/u/1"}).status_code == 201
    grant = {"scope": "workspace:1", "role": "Viewer"}
    assert http.post(f"{path}/grants", json=grant).status_code == 201
    assert http.get(f"{path}/grants").json() == {"grants": [grant]}
    assert http.request("DELETE", f"{path}/grants?scope=workspace:1").status_code == 204
    assert http.request("DELETE", path).status_code == 204
    assert http.get(f"{BASE}/users").json() == {"users": []}
    for kind, body in (
        ("keysets", {"id": "a/b", "secret": "a secret of 32 characters at least"}),
        ("clients", {"id": "a/b", "name": "a client"}),
    ):
        assert http.post(f"{BASE}/{kind}", json=body).status_code == 201
        assert http.request("DELETE", f"{BASE}/{kind}/a%2Fb").status_code == 204


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("keys", {"scopes": []}, "/scopes"),
        ("keys", {"scopes": ["read"], "secret": "short"}, "/secret"),
        ("users", {"id": ""}, "/id"),
        ("users", {"id": "5", "aliases": ["no alias"]}, "/aliases"),
        ("keysets", {"id": "a"}, "/secret"),
        ("keysets", {"id": "a", "secret": ""}, "/secret"),
        ("keysets", {"id": "a", "public_keys": ["https://idp/keys"]}, "/public_keys"),
        ("holds", {"query": "*", "reason": ""}, "/reason"),
    ],
)
def test_what_is_wrong_in_a_body_is_pointed_at(
    http: httpx2.Client, path: str, body: dict[str, Any], pointer: str
) -> None:
    answer = http.post(f"{BASE}/{path}", json=body)
    assert (answer.status_code, answer.json()["pointer"]) == (400, pointer)


@pytest.mark.parametrize(
    ("role", "hint"),
    [
        ("SpaceDeveloper", "did you mean space_developer?"),
        ("moderator", "did you mean Moderator?"),
        ("boss", "roles are Access Denied, Viewer, "),
    ],
)
def test_a_role_that_there_is_not_is_refused(http: httpx2.Client, role: str, hint: str) -> None:
    http.post(f"{BASE}/users", json=USER)
    answer = http.post(f"{BASE}/users/481/grants", json={"scope": "space:1", "role": role})
    assert answer.status_code == 400
    assert answer.json()["pointer"] == "/role"
    assert answer.json()["hint"].startswith(hint)
    assert http.get(f"{BASE}/users/481/grants").json() == {"grants": []}


def test_logins_are_unique_on_the_server(server: LiveServer, http: httpx2.Client) -> None:
    http.post(f"{BASE}/users", json=USER)
    with server.http(server.create_tenant("other")) as other:
        answer = other.post("/v1/admin/tenants/other/users", json={**USER, "login": "MATT"})
    assert answer.status_code == 409
    assert http.post(f"{BASE}/users", json={**USER, "login": "x"}).status_code == 409


def test_users_are_changed(server: LiveServer, http: httpx2.Client) -> None:
    made = http.post(f"{BASE}/users", json=USER).json()
    http.post(f"{BASE}/users/481/grants", json={"scope": "workspace:1", "role": "Viewer"})
    different = {"name": "Matt", "email": None, "attributes": {"team": "tally"}}
    changed = http.patch(f"{BASE}/users/481", json=different).json()
    grants = [{"scope": "workspace:1", "role": "Viewer"}]
    assert changed == {**made, "name": "Matt", "email": None, "grants": grants}
    assert http.get(f"{BASE}/users").json()["users"] == [changed]
    log = http.get("/v1/events", params={"view": "log", "limit": 1}).json()["events"]
    assert (log[0]["kind"], log[0]["target"]["id"]) == ("user.changed", "481")
    assert log[0]["data"] == {"name": "Matt", "email": None, "attributes": "changed"}
    http.post(f"{BASE}/users", json={"id": "482", "login": "alice"})
    taken = http.patch(f"{BASE}/users/482", json={"login": USER["login"]})
    assert taken.status_code == 409
    assert http.patch(f"{BASE}/users/482", json={"login": "alicia"}).status_code == 200
    again = http.post(f"{BASE}/users", json={"id": "483", "login": "alice"})
    assert again.status_code == 201
    for path, body, status in (
        ("481", {"time_zone": "Mars/Olympus"}, 400),
        ("481", {"id": "9"}, 400),
        ("481", {"disabled": None}, 400),
        ("481", {"login": "x" * 1025}, 400),
        ("nobody", {"name": "x"}, 404),
    ):
        refused = http.patch(f"{BASE}/users/{path}", json=body)
        assert refused.status_code == status
        if status == 400:
            assert refused.json()["pointer"] == f"/{next(iter(body))}"


def test_changes_of_a_user_at_once_are_all_kept(http: httpx2.Client) -> None:
    http.post(f"{BASE}/users", json=USER)

    def change(n: int) -> int:
        if n % 4:
            body = {"scope": f"workspace:{n}", "role": "Viewer"}
            return http.post(f"{BASE}/users/481/grants", json=body).status_code
        changes = {"disabled": True} if n == 8 else {"name": str(n)}
        return http.patch(f"{BASE}/users/481", json=changes).status_code

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(change, range(24)))
    assert answers == [201 if n % 4 else 200 for n in range(24)]
    [user] = http.get(f"{BASE}/users").json()["users"]
    assert user["disabled"]
    assert {grant["scope"] for grant in user["grants"]} == {
        f"workspace:{n}" for n in range(24) if n % 4
    }


def test_a_new_password_or_being_disabled_ends_all_sessions(
    server: LiveServer, http: httpx2.Client
) -> None:
    http.post(f"{BASE}/users", json={"id": "1", "login": "kate", "password": "the first one"})

    def log_in(**form: str) -> httpx2.Response:
        with server.plain_http() as anonymous:
            return anonymous.post("/oauth/token", data=form, auth=("cf", ""))

    def status_of(token: str) -> int:
        with server.http(token) as person:
            return person.get("/v1/events").status_code

    def change(**changes: Any) -> None:
        assert http.patch(f"{BASE}/users/1", json=changes).status_code == 200

    first = log_in(grant_type="password", username="kate", password="the first one").json()
    assert status_of(first["access_token"]) == 200
    change(password="the second one")
    assert status_of(first["access_token"]) == 401
    assert log_in(grant_type="refresh_token", refresh_token=first["refresh_token"]).is_error
    assert log_in(grant_type="password", username="kate", password="the first one").is_error
    second = log_in(grant_type="password", username="kate", password="the second one").json()
    assert status_of(second["access_token"]) == 200
    change(disabled=True)
    assert status_of(second["access_token"]) == 401
    assert log_in(grant_type="password", username="kate", password="the second one").is_error
    change(disabled=False)
    # What was taken stays taken: the user shows again who they are.
    assert status_of(second["access_token"]) == 401
    third = log_in(grant_type="password", username="kate", password="the second one").json()
    assert status_of(third["access_token"]) == 200
    change(name="Kate")
    assert status_of(third["access_token"]) == 200
    assert http.delete(f"{BASE}/users/1").status_code == 204
    http.post(f"{BASE}/users", json={"id": "1", "login": "other", "password": "the third one"})
    # Another person has the id now.
    assert status_of(third["access_token"]) == 401
    assert log_in(grant_type="refresh_token", refresh_token=third["refresh_token"]).is_error


def test_a_login_that_was_under_way_does_not_outlive_the_password(server: LiveServer) -> None:
    user = server.create_user(TENANT, "1", login="kate", password="the first one")
    changed = msgspec.structs.replace(user, password=None)
    server.change(User, TENANT, "1", lambda user: acts.change_user(user, changed))
    # The password was checked before it was changed, the token issued afterwards.
    late = server.node.issuer.issue_for_user(user, client="cf", scopes=("read",))
    with server.http(late.access_token) as person:
        assert person.get("/v1/events").status_code == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("keys", {"scopes": []}), ("keys", {"scopes": ["fly"]}),
        ("keys", {"scopes": ["read"], "x": 1}),
        ("keys", {"scopes": ["read"], "secret": "short"}),
        ("keys", {"scopes": ["read"], "secret": "with:a colon"}),
        ("users", {}), ("users", {"id": ""}), ("users", {"id": "1", "time_zone": "Mars/Olympus"}),
        ("users", {"id": "1", "aliases": ["what"]}),
        ("users", {"id": "1", "login": "x" * 1025}),
        ("keysets", {"id": "k"}),
        ("keysets", {"id": "k", "secret": "s" * 32, "issuer": "x" * 1025}),
    ],
)  # fmt: skip
def test_malformed_administration_is_refused(
    http: httpx2.Client, path: str, body: dict[str, Any]
) -> None:
    before = http.get("/v1/checkpoint").json()["size"]
    assert http.post(f"{BASE}/{path}", json=body).status_code == 400
    assert http.get("/v1/checkpoint").json()["size"] == before


def test_every_act_is_an_entry_in_the_log(http: httpx2.Client) -> None:
    key = http.post(f"{BASE}/keys", json={"scopes": ["read"]}).json()
    http.request("DELETE", f"{BASE}/keys/{key['id']}")
    http.post(f"{BASE}/users", json=USER)
    http.post(f"{BASE}/users/481/grants", json={"scope": "tenant:*", "role": "admin"})
    http.post(f"{BASE}/keysets", json={"id": "k", "secret": "s" * 32, "issuer": "https://i"})
    log = http.get("/v1/events", params={"view": "log", "order": "asc"}).json()["events"]
    assert [entry["kind"] for entry in log[2:]] == [
        "key.created", "key.revoked", "user.created", "grant.added", "keyset.saved",
    ]  # fmt: skip
    assert {entry["op"] for entry in log} == {"system"}
    assert http.get("/v1/events").json()["events"] == []


def test_administration_needs_an_admin_key_of_that_tenant(server: LiveServer) -> None:
    other = server.create_tenant("other")
    writer = server.create_key(TENANT, (Scope.READ, Scope.WRITE, Scope.PURGE))
    with server.http(writer) as http:
        assert http.get(f"{BASE}/keys").status_code == 403
        assert http.get("/v1/admin/tenants").status_code == 403
    with server.http(other) as http:
        assert http.get(f"{BASE}/keys").status_code == 404
        tenants = http.get("/v1/admin/tenants").json()["tenants"]
        assert [tenant["id"] for tenant in tenants] == ["other"]
        assert http.post("/v1/admin/tenants", json={"id": "third"}).status_code == 403


def test_operators_see_health_and_metrics_without_a_key(server: LiveServer) -> None:
    with server.http() as http:
        http.post("/v1/events", json={"kind": "k"})
    with server.plain_http() as http:
        assert http.get("/healthz").json()["status"] == "ok"
        assert http.get("/readyz").json() == {"status": "ready"}
        metrics = http.get("/metrics")
        assert metrics.headers["content-type"].startswith("text/plain")
        assert "tallystick_events_total 3.0" in metrics.text
        for name in ("commit_events", "commit_seconds", "queue_events", "checkpoint_age_seconds"):
            assert f"tallystick_{name}" in metrics.text


def test_suspended_tenant_takes_no_credential_until_it_is_resumed(
    server: LiveServer, http: httpx2.Client
) -> None:
    tenant = f"/v1/admin/tenants/{TENANT}"
    reader = server.http(server.create_key(TENANT, (Scope.READ,)))
    assert reader.get("/v1/events").status_code == 200
    told = http.post(f"{tenant}/suspend", json={"reason": "contract over"})
    assert (told.status_code, told.json()["id"]) == (200, TENANT)
    assert "suspended_at" in told.json()
    assert reader.get("/v1/events").status_code == 401
    assert reader.get("/v0/things").status_code == 401
    assert http.post(f"{tenant}/resume", json={"reason": "r"}).status_code == 401
    server.node.tenant_end.resume(TENANT, reason="paid")
    assert reader.get("/v1/events").status_code == 200
    assert http.post(f"{tenant}/delete", json={"reason": "r"}).status_code == 409
    reader.close()


def test_acts_of_administration_say_who_acted(server: LiveServer, http: httpx2.Client) -> None:
    tenant = f"/v1/admin/tenants/{TENANT}"
    http.post(f"{tenant}/users", json={"id": "7", "name": "Ada"})
    http.post(f"{tenant}/users/7/grants", json={"scope": "tenant:*", "role": "admin"})
    http.post(f"{tenant}/keys", json={"scopes": ["read"]})
    http.patch(tenant, json={"public_log": False})
    log = http.get("/v1/events?view=log&order=asc&limit=100").json()["events"]
    kinds = ("user.created", "grant.added", "policy.changed")
    actors = {event["kind"]: event.get("actor") for event in log if event["kind"] in kinds}
    assert set(actors) == set(kinds)
    assert {actor["type"] for actor in actors.values()} == {"key"}
    assert len({actor["id"] for actor in actors.values()}) == 1
