"""Transport: credentials, request ids, errors, compression, names in paths, hostile input."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from tallystick.dialects.orchestrate.request import BODY_BYTES
from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.records import OAuthClient
from tests.dialects.orchestrate.client import Api
from tests.support.live_server import LiveServer

ITEM = "/v0/users/kate"
SERIES = f"{ITEM}/events/timeline"
REQUEST_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


@pytest.mark.row("O-1", "O-2", "O-4")
def test_key_is_the_user_name_with_or_without_a_colon(api: Api) -> None:
    bare = basic(api.key)
    for authorization in (basic(f"{api.key}:"), basic(f"{api.key}:x"), bare, bare.rstrip("=")):
        for path in ("/v0", "/v0/"):
            reply = api.send("HEAD", path, authorization=authorization)
            assert (reply.status, reply.body) == (200, b"")
    assert api.get("/v0/users", authorization=f"Bearer {api.key}").status == 401


@pytest.mark.row("O-3", "O-4", "O-5", "O-6")
@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic !!!", basic("HaHa:"), basic(""), "Basic /w==", "Digest x", "Bearer a.b.c"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"])
def test_bad_credentials_are_told_the_same_everywhere(
    api: Api, method: str, authorization: str
) -> None:
    for path in ("/v0", ITEM, "/v0/a/b/c/d/e"):
        reply = api.send(method, path, authorization=authorization)
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"] == 'Basic realm="orchestrate.io"'
        assert REQUEST_ID.fullmatch(reply.headers["X-ORCHESTRATE-REQ-ID"])
        assert reply.headers["Content-Type"] == "application/json"
        if method != "HEAD":
            assert reply.json == {
                "message": "Valid credentials are required.",
                "code": "security_unauthorized",
            }


@pytest.mark.row("O-5", "O-6")
def test_every_answer_has_a_request_id_and_plain_json(api: Api) -> None:
    api.put(ITEM, {"n": 1})
    seen = set()
    for method, path in (
        ("GET", ITEM), ("GET", "/v0/users"), ("GET", "/v0/users/x"), ("PUT", SERIES),
        ("DELETE", ITEM), ("HEAD", "/v0"), ("GET", "/v0/a/b/c"), ("TRACE", ITEM), ("GET", "/v0"),
        ("POST", "/v0"), ("GET", f"{SERIES}?limit=x"), ("OPTIONS", ITEM),
    ):  # fmt: skip
        reply = api.send(method, path)
        request_id = reply.headers["X-ORCHESTRATE-REQ-ID"]
        assert REQUEST_ID.fullmatch(request_id), (method, path)
        seen.add(request_id)
        if reply.body:
            assert reply.headers["Content-Type"] == "application/json"
            assert reply.json is not None
    assert len(seen) == 12


@pytest.mark.row("O-6")
def test_unknown_path_and_method_are_json_errors(api: Api) -> None:
    for path in ("/v0/a/b/c", "/v0/a/b/refs/c/d", "/v0/a/b/events", "/v0/a/b/relations"):
        assert api.get(path).code == (404, "items_not_found")
    reply = api.send("PATCH", "/v0/users")
    assert reply.code == (405, "method_not_allowed")
    assert reply.headers["Allow"] == "DELETE, GET, HEAD, POST"
    assert api.get(f"{SERIES}/5").code == (405, "method_not_allowed")


@pytest.mark.row("O-7")
def test_answer_is_compressed_when_asked_for(api: Api) -> None:
    api.put(ITEM, {"text": "x" * 1_000})
    plain = api.get(ITEM)
    assert "Content-Encoding" not in plain.headers
    packed = api.get(ITEM, accept_encoding="gzip, deflate")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert packed.headers["ETag"] == f'"{plain.ref}-gzip"'
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)
    for refusal in ("identity", "deflate", "gzip;q=0", "gzip; q=0.0"):
        assert "Content-Encoding" not in api.get(ITEM, accept_encoding=refusal).headers
    assert api.put(ITEM, {"n": 1}, if_match=packed.headers["ETag"]).status == 201
    error = api.get("/v0/users/nobody", accept_encoding="gzip")
    assert json.loads(gzip.decompress(error.body))["code"] == "items_not_found"


@pytest.mark.row("O-8")
def test_compressed_request_is_read(api: Api) -> None:
    body = json.dumps({"text": "x" * 1_000}).encode()
    assert api.put(ITEM, gzip.compress(body), content_encoding="gzip").status == 201
    assert api.get(ITEM).body == body.replace(b": ", b":")
    two = gzip.compress(body[:10]) + gzip.compress(body[10:])
    assert api.put(ITEM, two, content_encoding="gzip").status == 201


@pytest.mark.row("O-8")
@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"{}", "gzip"),
        (gzip.compress(b"{}", mtime=0)[:-5], "gzip"),
        (zlib.compress(b"{}"), "gzip"),
        (b"{}", "br"),
        (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "gzip, gzip"),
    ],
)
def test_broken_compression_is_refused(api: Api, body: bytes, encoding: str) -> None:
    reply = api.put(ITEM, body, content_encoding=encoding)
    assert reply.code == (400, "api_bad_request")
    assert reply.json["details"]["path"] == "Content-Encoding"


@pytest.mark.row("O-8")
def test_compressed_bomb_is_not_unpacked(api: Api) -> None:
    bomb = gzip.compress(b" " * (64 * BODY_BYTES))
    assert len(bomb) < BODY_BYTES
    assert api.put(ITEM, bomb, content_encoding="gzip").code == (413, "request_too_large")


@pytest.mark.row("O-8")
def test_a_body_packed_in_very_many_pieces_is_refused(api: Api) -> None:
    nothing = gzip.compress(b"") * (BODY_BYTES // 32)
    reply = api.put(ITEM, nothing, content_encoding="gzip")
    assert reply.code == (400, "api_bad_request")
    assert reply.json["details"]["path"] == "Content-Encoding"


@pytest.mark.row("O-6")
def test_large_values_are_refused_by_their_limit(api: Api) -> None:
    large = {"text": "x" * (1024 * 1024)}
    for reply in (api.put(ITEM, large), api.post(SERIES, large)):
        assert reply.code == (413, "request_too_large")
        assert reply.json["details"]["limit"] == 1024 * 1024
    larger = b'{"text": "' + b"x" * BODY_BYTES + b'"}'
    assert api.put(ITEM, larger).code == (413, "request_too_large")
    assert api.page("/v0/users")["count"] == 0


@pytest.mark.row("O-9")
@pytest.mark.parametrize(
    "name",
    ["a/b", "a b", "ü€𝄞", "%", "%2F", "?", "#", "..", "a+b", "&=", '"', "<b>", "\u202eright",
     "\x00", "\r\nX-Evil: 1", "x" * 1024, "é" * 512],
    ids=range(17),
)  # fmt: skip
def test_any_name_comes_back_equal(api: Api, name: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in name.encode())
    stored = api.put(f"/v0/{quoted}/{quoted}", {"n": name})
    assert stored.status == 201, stored
    assert "X-Evil" not in stored.headers
    assert api.get(stored.location).json == {"n": name}
    (row,) = api.page(f"/v0/{quoted}")["results"]
    assert (row["path"]["collection"], row["path"]["key"]) == (name, name)
    event = api.post(f"/v0/{quoted}/{quoted}/events/{quoted}/5", {"n": name})
    assert event.status == 201
    path = api.get(event.location).json["path"]
    assert (path["collection"], path["key"], path["type"]) == (name, name, name)
    assert api.page(f"/v0/{quoted}/{quoted}/events/{quoted}")["results"][0]["value"] == {"n": name}


@pytest.mark.row("O-9")
@pytest.mark.parametrize("path", ["/v0/%FF/k", "/v0//k", "/v0/c//events/t", "/v0/c/%C3"])
def test_name_that_is_none_is_refused(api: Api, path: str) -> None:
    assert api.put(path, {}).code == (400, "api_bad_request")


@pytest.mark.row("O-9")
def test_name_beyond_its_limit_is_refused(api: Api) -> None:
    for path in (
        f"/v0/users/{'x' * 1025}",
        f"/v0/{'x' * 1025}/kate",
        f"{ITEM}/events/{'x' * 1025}",
    ):
        reply = api.put(path, {})
        assert reply.code == (413, "request_too_large")
        assert reply.json["details"]["limit"] == 1024
    assert api.put("/v0/relation:x/kate", {}).code == (400, "api_bad_request")


@pytest.mark.row("O-10")
def test_slash_at_the_end_and_empty_query_part_do_not_matter(api: Api) -> None:
    assert api.put(f"{ITEM}/", {"n": 1}).status == 201
    for path in (ITEM, f"{ITEM}/", "/v0/users/", "/v0/users?&values=true", f"{ITEM}?&"):
        assert api.get(path).status == 200
    assert api.put(f"{SERIES}/", {}).status == 204
    assert api.page(f"{SERIES}/?&limit=1")["count"] == 1


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "\x00\x01\x1f", "\u202e\u2066", "a\r\nSet-Cookie: x=1",
     "𝄞" * 300, "\ufffe\uffff", "' OR 1=1 --", "{{7*7}}", "\\u0000", ""],
)  # fmt: skip
def test_hostile_text_comes_back_equal(api: Api, text: str) -> None:
    value = {"text": text, "nested": [{text: text}], text: 1}
    assert api.put(ITEM, value).status == 201
    assert api.get(ITEM).json == value
    path = api.post(SERIES, value).location
    assert api.get(path).json["value"] == value
    assert api.page(SERIES)["results"][0]["value"] == value


@pytest.mark.parametrize(
    "body",
    [b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}', b'{"a": "\\ud800"}', b'{"a": "\xff"}',
     b"[" * 100_000, b'{"a":' * 70 + b"1" + b"}" * 70, b'{"a":' * 5_000 + b"1" + b"}" * 5_000],
    ids=range(8),
)  # fmt: skip
def test_what_is_no_json_is_refused(api: Api, body: bytes) -> None:
    for method, path in (("PUT", ITEM), ("POST", SERIES), ("PATCH", f"{ITEM}?upsert=true")):
        assert api.send(method, path, body).code == (400, "api_bad_request")
    assert api.page("/v0/users")["count"] == 0


# Who may do what


@pytest.mark.row("O-1")
def test_scopes_are_held_to(new_api: Callable[..., Api]) -> None:
    every = new_api()
    reader = new_api(Scope.READ, tenant=every.tenant)
    writer = new_api(Scope.WRITE, tenant=every.tenant)
    keeper = new_api(Scope.READ, Scope.WRITE, tenant=every.tenant)
    path = every.post(SERIES, {}).location
    assert reader.get(path).status == 200
    for reply in (
        reader.put(ITEM, {}), reader.post(SERIES, {}), reader.delete(ITEM), writer.get(ITEM),
        writer.get(SERIES), writer.patch(ITEM, {}), keeper.delete(f"{ITEM}?purge=true"),
        keeper.delete(f"{path}?purge=true"), keeper.delete("/v0/users?force=true"),
    ):  # fmt: skip
        assert reply.code == (403, "security_forbidden")
    assert writer.put(ITEM, {}).status == 201
    assert keeper.delete(ITEM).status == 204
    assert keeper.get(path).status == 200


def test_other_application_sees_and_changes_nothing(new_api: Callable[..., Api]) -> None:
    ours, theirs = new_api(), new_api()
    ours.put(ITEM, {"n": 1})
    ours.put("/v0/users/bob", {})
    ours.put(f"{ITEM}/relation/knows/users/bob", {})
    event = ours.post(SERIES, {"n": 1}).location
    ref = ours.get(ITEM).ref
    nobody = theirs.get("/v0/users/nobody")
    for path in (ITEM, f"{ITEM}/refs", f"{ITEM}/refs/{ref}", event, f"{ITEM}/relations/knows"):
        reply = theirs.get(path)
        assert reply.code == (404, "items_not_found")
        assert reply.headers.keys() == nobody.headers.keys()
    assert theirs.get(f"{ITEM}/relation/knows/users/bob").status == 404
    assert theirs.page("/v0/users") == theirs.page(SERIES) == {"count": 0, "results": []}
    assert theirs.put(event, {}).status == 404
    for path in (ITEM, event, "/v0/users"):
        assert theirs.delete(f"{path}?purge=true&force=true").status == 204
    assert theirs.put(ITEM, {}, if_match=f'"{ref}"').status == 412
    assert ours.get(ITEM).json == ours.get(event).json["value"] == {"n": 1}


def test_whoever_writes_is_the_actor(server: LiveServer, api: Api) -> None:
    key = server.create_key(api.tenant, (Scope.READ, Scope.WRITE), label="importer")
    user = server.create_user(api.tenant, "kate", name="Kate")
    client = OAuthClient(
        id=f"exporter-{api.tenant}",
        tenant=api.tenant,
        created_ms=0,
        name="Exporter",
        user=user.id,
        scopes=("read", "write"),
    )
    act = acts.create_client(client)
    server.node.ledger.administer(api.tenant, act)
    stored = server.node.identity.client(client.id)
    assert stored is not None
    client = stored
    issuer = server.node.issuer
    program = issuer.issue_for_client(client, ("read", "write"))
    person = issuer.issue_for_user(user, client="cf", scopes=("read", "write"))
    for credentials in (
        basic(f"{api.key}:"),
        basic(f"{key}:"),
        f"Bearer {program.access_token}",
        f"Bearer {person.access_token}",
    ):
        assert api.put(SERIES, {}, authorization=credentials).status == 204
    with server.http(server.create_key(api.tenant, (Scope.READ,))) as native:
        events: list[dict[str, Any]] = native.get("/v1/events").json()["events"]
    actors = [event["actor"] for event in reversed(events)]
    # A program that was given a user reads by that user's roles, and writes as itself.
    assert [actor["type"] for actor in actors] == ["key", "key", "client", "user"]
    names = [actor.get("name") for actor in actors]
    assert names == [None, "importer", "Exporter", "Kate"]
    assert actors[2]["id"] == client.id
