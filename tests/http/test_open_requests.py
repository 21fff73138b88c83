"""A credential is worth what it is worth now, however long ago its request began."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from msgspec.structs import replace

from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.credentials import digest_of_secret
from tallystick.identity.records import ApiKey, KeySet, OAuthClient, User
from tests.support.live_server import TENANT, LiveServer, open_server

SECRET = "a-shared-secret-of-more-than-32-bytes"
PASSWORD = "Passw0rd-xyz"
ISSUER = "https://id.example"

Revoke = Callable[[], None]
Kind = Callable[[LiveServer], tuple[dict[str, str], Revoke]]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveServer]:
    with open_server(tmp_path / "data") as server:
        yield server


def key_of(live: LiveServer) -> tuple[str, Revoke]:
    """Return a new admin key, and what revokes it."""
    secret = live.create_key(TENANT, (Scope.ADMIN,), service=True)
    digest = digest_of_secret(secret)
    [known] = [k for k in live.node.identity.list(ApiKey, TENANT) if k.digest == digest]

    def revoke() -> None:
        now_ms = live.node.clock.now_ms()
        live.change(ApiKey, TENANT, known.id, lambda key: acts.revoke_key(key, now_ms=now_ms))

    return secret, revoke


def bearer_key(live: LiveServer) -> tuple[dict[str, str], Revoke]:
    secret, revoke = key_of(live)
    return {"Authorization": f"Bearer {secret}"}, revoke


def key_in_its_own_header(live: LiveServer) -> tuple[dict[str, str], Revoke]:
    secret, revoke = key_of(live)
    return {"X-Api-Key": secret}, revoke


def token_of(live: LiveServer, **form: str) -> str:
    with live.plain_http() as stranger:
        answer = stranger.post("/oauth/token", data=form)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def user_token(live: LiveServer) -> dict[str, str]:
    live.create_user(TENANT, "u1", login="u1", password=PASSWORD)
    live.grant(TENANT, "u1", "tenant:*", "admin")
    token = token_of(live, grant_type="password", client_id="cf", username="u1", password=PASSWORD)
    return {"Authorization": f"Bearer {token}"}


def user_shut_out(live: LiveServer) -> tuple[dict[str, str], Revoke]:
    headers = user_token(live)

    def act(user: User) -> acts.Act:
        return acts.change_user(user, replace(user, disabled=True))

    return headers, lambda: live.change(User, TENANT, "u1", act)


def user_deleted(live: LiveServer) -> tuple[dict[str, str], Revoke]:
    return user_token(live), lambda: live.change(User, TENANT, "u1", acts.delete)


def grant_removed(live: LiveServer) -> tuple[dict[str, str], Revoke]:
    def act(user: User) -> acts.Act:
        return acts.remove_grant(user, "tenant:*")

    return user_token(live), lambda: live.change(User, TENANT, "u1", act)


def client_token(live: LiveServer) -> dict[str, str]:
    with live.http() as admin:
        made = admin.post(
            f"/v1/admin/tenants/{TENANT}/clients",
            json={"name": "reports", "scopes": ["read", "write", "admin"]},
        )
    assert made.status_code == 201, made.text
    client = made.json()
    id = client.get("client_id") or client["id"]
    token = token_of(
        live, grant_type="client_credentials", client_id=id, client_secret=client["secret"]
    )
    return {"Authorization": f"Bearer {token}"}


def the_client(live: LiveServer) -> OAuthClient:
    [client] = live.node.identity.list(OAuthClient, TENANT)
    return client


def client_deleted(live: LiveServer) -> tuple[dict[str, str], Revoke]:
    headers = client_token(live)
    return headers, lambda: live.change(OAuthClient, TENANT, the_client(live).id, acts.delete)


def scope_narrowed(live: LiveServer) -> tuple[dict[str, str], Revoke]:
    headers = client_token(live)

    def act(client: OAuthClient) -> acts.Act:
        return acts.change_client(replace(client, scopes=("read",)), "client.changed")

    return headers, lambda: live.change(OAuthClient, TENANT, the_client(live).id, act)


def key_set_removed(live: LiveServer) -> tuple[dict[str, str], Revoke]:
    live.save_key_set(TENANT, "ks", secret=SECRET, issuer=ISSUER, admin_claim="role")
    claims = {"iss": ISSUER, "sub": "x", "role": "admin", "exp": int(time.time()) + 600}
    token = jwt.encode(claims, SECRET, algorithm="HS256")
    return {"Authorization": f"Bearer {token}"}, lambda: live.change(
        KeySet, TENANT, "ks", acts.delete
    )


KINDS: dict[str, Kind] = {
    "key": bearer_key,
    "key in its own header": key_in_its_own_header,
    "user shut out": user_shut_out,
    "user deleted": user_deleted,
    "grant removed": grant_removed,
    "client deleted": client_deleted,
    "scope narrowed": scope_narrowed,
    "key set removed": key_set_removed,
}


@contextmanager
def opened(
    live: LiveServer, method: str, path: str, headers: dict[str, str]
) -> Iterator[socket.socket]:
    """Send the head of a request whose body comes in chunks."""
    url = urlsplit(live.url)
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        yield connection


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def answer_of(connection: socket.socket) -> tuple[int, bytes]:
    response = HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def sizes(live: LiveServer) -> dict[str, int]:
    return {head.tenant: head.size for head in live.node.store.log_heads()}


_PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'


def parts_of(path: str, body: Any) -> tuple[str, bytes, bytes]:
    """Return a body's media type, its first part and the rest."""
    if "blobs" in path:
        return "multipart/form-data; boundary=x", _PART, b"\r\nabc\r\n--x--\r\n"
    return "application/json", b" ", json.dumps(body).encode()


def refused_after(live: LiveServer, kind: Kind, path: str, body: Any, method: str = "POST") -> int:
    """Open a request, revoke its credential, send the body; return the status."""
    headers, revoke = kind(live)
    content_type, first, rest = parts_of(path, body)
    with opened(live, method, path, {**headers, "Content-Type": content_type}) as connection:
        connection.sendall(chunk(first))
        time.sleep(0.1)
        revoke()
        before = sizes(live)
        connection.sendall(chunk(rest) + b"0\r\n\r\n")
        status, _ = answer_of(connection)
    assert sizes(live) == before, "it acted"
    return status


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/events", {"kind": "a.b"}),
        (f"/v1/admin/tenants/{TENANT}/keys", {"scopes": ["admin"]}),
    ],
    ids=["append", "a new admin key"],
)
def test_a_credential_revoked_while_the_body_is_held_back_does_not_act(
    live: LiveServer, kind: str, path: str, body: Any
) -> None:
    assert refused_after(live, KINDS[kind], path, body) in (401, 403)


PATHS = [
    ("PUT", "/v0/crew/7"),
    ("POST", "/v0/crew"),
    ("PATCH", "/v0/crew/7"),
    ("POST", "/v0/crew/7/events/hired"),
    ("POST", "/v0"),
    ("POST", "/archivist/v1/events"),
    ("POST", "/archivist/v1/blobs"),
    ("POST", "/archivist/iam/v1/applications"),
    ("POST", "/v2/events"),
    ("POST", "/extensions/cloudfoundry/events"),
    ("POST", "/extensions/datatrails/imports"),
    ("POST", "/archivist/v1/events/search"),
    ("POST", "/extensions/onehub/events"),
    ("POST", f"/v1/admin/tenants/{TENANT}/users"),
    ("POST", f"/v1/admin/tenants/{TENANT}/clients"),
    ("POST", f"/v1/admin/tenants/{TENANT}/holds"),
    ("PATCH", f"/v1/admin/tenants/{TENANT}"),
    ("POST", f"/v1/events/{'0' * 8}-0000-7000-8000-{'0' * 12}/retract"),
]


@pytest.mark.parametrize(("method", "path"), PATHS, ids=lambda part: str(part))
def test_no_route_acts_for_a_key_that_was_revoked_meanwhile(
    live: LiveServer, method: str, path: str
) -> None:
    # Paths that do not exist are refused for that; no answer may be one of success.
    assert refused_after(live, bearer_key, path, {"kind": "a.b"}, method) in (401, 403, 404, 405)


@pytest.mark.parametrize("path", ["/v0/crew/7", "/archivist/v1/blobs"])
def test_these_routes_look_again(live: LiveServer, path: str) -> None:
    method = "PUT" if path.startswith("/v0") else "POST"
    assert refused_after(live, bearer_key, path, {"a": 1}, method) == 401


def test_a_key_of_kvass_is_looked_at_again(live: LiveServer) -> None:
    def kind(live: LiveServer) -> tuple[dict[str, str], Revoke]:
        secret, revoke = key_of(live)
        return {"X-Kvass-Api-Key": secret}, revoke

    assert refused_after(live, kind, "/extensions/kvass/events", {"kind": "user.create"}) == 401


def test_a_change_that_takes_nothing_away_disturbs_nobody(live: LiveServer) -> None:
    headers, _ = bearer_key(live)
    with opened(live, "POST", "/v1/events", headers) as connection:
        time.sleep(0.1)
        live.create_user(TENANT, "another")
        connection.sendall(chunk(b'{"kind": "a.b"}') + b"0\r\n\r\n")
        assert answer_of(connection)[0] == 201


def test_lines_after_the_revocation_are_not_stored(
    live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole chunks of lines are stored or refused; the answer says where it ended."""
    from tallystick.http.native import append

    headers, revoke = bearer_key(live)
    monkeypatch.setattr(append, "_LINES_AT_ONCE", 5)
    plain = append.Appender._append_chunk
    chunks = 0

    async def counting(*args: Any) -> Any:
        nonlocal chunks
        lines = await plain(*args)
        chunks += 1
        if chunks == 2:
            import asyncio

            await asyncio.to_thread(revoke)
        return lines

    monkeypatch.setattr(append.Appender, "_append_chunk", counting)
    with live.plain_http(**headers, **{"Content-Type": "application/x-ndjson"}) as client:
        answer = client.post("/v1/events", content=b'{"kind": "a.b"}\n' * 50)
    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert [line["status"] for line in lines] == [201] * 10 + [401]
    assert lines[-1]["line"] == 11


@pytest.mark.parametrize(
    "trailer",
    ["Authorization: Bearer {key}", "X-Api-Key: {key}", "X-Kvass-Api-Key: {key}", "Host: evil"],
)
@pytest.mark.parametrize(
    "path", ["/v1/events", f"/v1/admin/tenants/{TENANT}/keys", "/v0/c", "/extensions/kvass/events"]
)
def test_trailers_are_no_headers(live: LiveServer, path: str, trailer: str) -> None:
    before = sizes(live)
    with opened(live, "POST", path, {}) as connection:
        body = json.dumps({"kind": "a.b", "scopes": ["admin"]}).encode()
        text = trailer.format(key=live.admin_key)
        connection.sendall(chunk(body) + f"0\r\n{text}\r\n\r\n".encode())
        assert answer_of(connection)[0] == 401
    assert sizes(live) == before


def test_a_trailer_changes_nothing_of_a_good_request(live: LiveServer) -> None:
    headers = {"Authorization": f"Bearer {live.admin_key}"}
    trailers = (
        "Idempotency-Key: k\r\nContent-Type: application/x-ndjson\r\nExpect: 100-continue\r\n"
    )
    for _ in range(2):
        with opened(live, "POST", "/v1/events", headers) as connection:
            connection.sendall(chunk(b'{"kind": "a.b"}') + f"0\r\n{trailers}\r\n".encode())
            assert answer_of(connection)[0] == 201


def test_lines_that_are_all_refused_have_a_bounded_answer(live: LiveServer) -> None:
    with live.http(**{"Content-Type": "application/x-ndjson"}) as client:
        answer = client.post("/v1/events", content=b"{}\n" * 5_000_000)
    assert answer.status_code == 200
    assert len(answer.content) < 6 * 1024 * 1024
    last = json.loads(answer.content.splitlines()[-1])
    assert last["status"] == 413


def test_answers_for_one_caller_are_kept_by_no_cache(live: LiveServer) -> None:
    event = {"kind": "a.b", "target": {"type": "file", "id": "7"}}
    with live.http(**{"X-Kvass-Api-Key": live.admin_key}) as client:
        id = client.post("/v1/events", json=event).json()["id"]
        for path in (
            "/v1/events", f"/v1/events/{id}", f"/v1/events/{id}/receipt", "/v1/resources/file/7",
            f"/v1/admin/tenants/{TENANT}/keys", "/v1/checkpoint",
            "/archivist/iam/v1/applications", "/v2/events", "/v3/audit_events", "/v1/events/none",
        ):  # fmt: skip
            answer = client.get(path)
            assert answer.headers.get("cache-control") == "no-store", (path, answer.text)


def test_answers_of_basic_credentials_are_kept_by_no_cache(live: LiveServer) -> None:
    with live.plain_http() as client:
        answer = client.get("/v0/file/7/events/a.b", auth=(live.admin_key, ""))
    assert answer.headers["cache-control"] == "no-store"


def test_the_log_of_everybody_may_be_cached(live: LiveServer) -> None:
    log_id = live.node.identity.tenant(TENANT).log_id
    with live.plain_http() as stranger:
        assert "no-store" not in stranger.get(f"/log/{log_id}/checkpoint").headers["cache-control"]
