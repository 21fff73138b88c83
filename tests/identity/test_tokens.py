"""Tokens: issued, verified, refreshed, refused; foreign JWTs by a tenant's key set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.clock import ManualClock
from tallystick.errors import TokenExpired, Unauthenticated
from tallystick.identity.access import Scope
from tallystick.identity.records import KeySet
from tallystick.identity.tokens import ACCESS_TOKEN_S, scopes_of
from tests.support.live_server import TENANT, LiveServer, open_server

SECRET = "a secret of thirty-two bytes....."
NOW_S = 1_700_000_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with open_server(tmp_path / "data", clock=ManualClock(NOW_S * 1000)) as live:
        live.create_user(TENANT, "481", login="matt", email="m@example.org")
        yield live


def advance(server: LiveServer, seconds: int) -> None:
    clock = server.node.clock
    assert isinstance(clock, ManualClock)
    clock.advance(seconds * 1000)


def issued(server: LiveServer) -> Any:
    user = server.node.identity.user_by_login("MATT")
    assert user is not None
    return server.node.issuer.issue_for_user(user, client="cf", scopes=("cloud_controller.read",))


def test_an_access_token_stands_for_its_user(server: LiveServer) -> None:
    token = issued(server)
    bearer = server.node.issuer.bearer(token.access_token)
    assert bearer.user is not None
    assert (bearer.user.id, bearer.principal.tenant, bearer.client) == ("481", TENANT, "cf")
    assert bearer.principal.scopes == {Scope.READ}
    jwk = server.node.issuer.public_jwk()
    claims = jwt.decode(
        token.access_token,
        jwk["value"],
        algorithms=["ES256"],
        options={"verify_exp": False, "verify_aud": False},
    )
    assert claims["user_name"] == "matt"
    assert claims["exp"] - claims["iat"] == ACCESS_TOKEN_S


def test_time_runs_out_and_is_told_apart(server: LiveServer) -> None:
    token = issued(server)
    advance(server, ACCESS_TOKEN_S)
    with pytest.raises(TokenExpired):
        server.node.issuer.bearer(token.access_token)
    shown = server.node.issuer.refreshed(token.refresh_token, client="cf")
    renewed = server.node.issuer.issue_for_user(shown.user, client="cf", scopes=shown.scopes)
    assert server.node.issuer.bearer(renewed.access_token).user is not None


def test_a_refresh_token_is_no_access_token_nor_the_other_way_round(server: LiveServer) -> None:
    token = issued(server)
    with pytest.raises(Unauthenticated):
        server.node.issuer.bearer(token.refresh_token)
    with pytest.raises(Unauthenticated):
        server.node.issuer.refreshed(token.access_token, client="cf")


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 10, "..", "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_token_is_refused(server: LiveServer, token: str) -> None:
    with pytest.raises(Unauthenticated):
        server.node.issuer.bearer(token)


def test_a_token_signed_by_another_server_is_refused(server: LiveServer, tmp_path: Path) -> None:
    with open_server(tmp_path / "other", clock=ManualClock(NOW_S * 1000)) as other:
        other.create_user(TENANT, "481", login="matt")
        foreign = issued(other).access_token
    with pytest.raises(Unauthenticated):
        server.node.issuer.bearer(foreign)


def foreign(claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode({"iss": "https://idp", "exp": NOW_S + 60, **claims}, key, algorithm=algorithm)


def test_a_foreign_jwt_yields_principals_of_its_key_sets_tenant_only(server: LiveServer) -> None:
    server.save_key_set(TENANT, "idp", secret=SECRET, issuer="https://idp", admin_claim="roles")
    issuer = server.node.issuer
    bearer = issuer.bearer(foreign({"sub": "481", "tenant": "other"}))
    assert (bearer.principal.tenant, bearer.principal.user) == (TENANT, "481")
    assert Scope.ADMIN not in bearer.principal.scopes
    admin = issuer.bearer(foreign({"sub": "stranger", "roles": ["admin"]}))
    assert Scope.ADMIN in admin.principal.scopes
    for bad in (
        foreign({"sub": "stranger"}),
        foreign({"sub": "481"}, "another secret of 32 bytes......."),
        foreign({"sub": "481", "iss": "https://unknown"}),
        foreign({"sub": ["481"]}),
        foreign({"sub": "481", "nbf": NOW_S + 30}),
        foreign({"sub": "481", "nbf": str(NOW_S + 30)}),
        foreign({"sub": "481", "exp": str(NOW_S + 60)}),
        foreign({"sub": "481", "exp": True}),
        foreign({"sub": "481", "exp": float("nan")}),
        jwt.encode({"sub": "481", "iss": "https://idp"}, "", algorithm="none"),
    ):
        with pytest.raises(Unauthenticated):
            issuer.bearer(bad)
    with pytest.raises(TokenExpired):
        issuer.bearer(foreign({"sub": "481", "exp": NOW_S - 1}))


def test_public_keys_verify_only_what_their_private_key_signed(
    server: LiveServer,
) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    key_set = KeySet(
        id="k", tenant=TENANT, created_ms=0, public_keys=(pem.decode(),), audience="us"
    )
    issuer = server.node.issuer
    token = foreign({"sub": "481", "aud": "us"}, private, "ES256")
    assert issuer.foreign_bearer(token, key_set).user is not None
    with pytest.raises(Unauthenticated):
        issuer.foreign_bearer(foreign({"sub": "481", "aud": "them"}, private, "ES256"), key_set)


def test_scopes_are_read_from_names() -> None:
    assert scopes_of(["cloud_controller.admin"]) >= {Scope.ADMIN}
    assert scopes_of(["read", "unknown"]) == {Scope.READ}
    assert scopes_of("read") == frozenset()
