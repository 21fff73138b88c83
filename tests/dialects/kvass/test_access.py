"""Who may read: API key and token, administrators only, each company for itself."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest

from tallystick.identity import access, acts
from tallystick.identity.access import Scope
from tallystick.identity.records import ApiKey
from tests.dialects.kvass.conftest import SECRET, Company, total
from tests.support.live_server import LiveServer

PATHS = ("/events", "/events/search?query=order", "/events/5964a0ead57ba2036750a3b4")


def statuses(client: httpx2.Client) -> set[int]:
    return {client.get(path).status_code for path in PATHS}


@pytest.mark.row("K-13", "K-28")
@pytest.mark.resolution("kvass-K12")
def test_a_key_needs_a_token_beside_it_unless_it_is_a_services(company: Company) -> None:
    company.trust()
    company.record()
    for name in ("X-Kvass-Api-Key", "x-builton-API-key", "X-Share-Api-Key"):
        assert company.http({name: company.service_key}).get("/events").status_code == 200
        assert statuses(company.http({name: company.key})) == {401}
        bearer = {"Authorization": f"Bearer {company.token()}"}
        assert company.http({name: company.key, **bearer}).get("/events").status_code == 200
    assert statuses(company.http(bearer)) == {401}


@pytest.mark.row("K-13", "K-25")
@pytest.mark.parametrize(
    ("key", "authorization"),
    [
        (None, None),
        ("wrong", None),
        ("", None),
        ("wrong", "token"),
        ("key", ""),
        ("key", "Bearer"),
        ("key", "Bearer nonsense"),
        ("key", "Bearer a.b.c"),
        ("key", "Basic token"),
        ("key", "key as token"),
        ("service", "Bearer nonsense"),
    ],
)
def test_bad_credentials_are_told_nothing(
    company: Company, key: str | None, authorization: str | None
) -> None:
    company.trust()
    keys = {"key": company.key, "service": company.service_key}
    headers: dict[str, str] = {}
    if key is not None:
        headers["X-Kvass-Api-Key"] = keys.get(key, key)
    if authorization is not None:
        authorization = authorization.replace("key as token", f"Bearer {company.key}")
        headers["Authorization"] = authorization.replace("token", company.token())
    client = company.http(headers)
    assert statuses(client) == {401}
    answer = client.get("/events")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == 401


@pytest.mark.row("K-13")
@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"secret": "another secret of the same length or so"}, id="forged"),
        pytest.param({"exp": -1}, id="expired"),
        pytest.param({"nbf": 60}, id="early"),
        pytest.param({"role": None, "sub": None}, id="nobody"),
    ],
)
def test_bad_tokens_are_refused(company: Company, claims: dict[str, Any]) -> None:
    """Times are given in seconds from now."""
    company.trust()
    now = int(time.time())
    told = {k: now + v if k in ("exp", "nbf") else v for k, v in claims.items()}
    assert statuses(company.with_token(company.token(**told))) == {401}


@pytest.mark.row("K-15", "K-25")
@pytest.mark.resolution("kvass-K15")
def test_events_are_for_administrators(company: Company) -> None:
    company.trust()
    company.record()
    server, tenant = company.server, company.tenant
    server.create_user(tenant, "kari")
    server.create_user(tenant, "ola")
    server.grant(tenant, "ola", "tenant:*", "admin")
    server.create_user(tenant, "per")
    server.grant(tenant, "per", "workspace:1", "admin")
    server.grant(tenant, "per", "tenant:*", "Administrator")
    user = company.with_token(company.token(sub="kari", role="user"))
    assert statuses(user) == {403}
    answer = user.post("/extensions/kvass/events", json={})
    assert answer.status_code == 403
    assert answer.json()["code"] == 403
    assert statuses(company.with_token(company.token(sub="per", role=None))) == {403}
    by_record = company.with_token(company.token(sub="ola", role=None))
    assert total(by_record.get("/events")) == 1
    by_claim = company.with_token(company.token(sub="kari", role=["user", "admin"]))
    assert total(by_claim.get("/events")) == 1


@pytest.mark.row("K-15")
def test_good_token_of_an_unknown_user_is_forbidden(company: Company) -> None:
    company.trust()
    stranger = company.with_token(company.token(role="user"))
    assert statuses(stranger) == {403}
    assert stranger.post("/extensions/kvass/events", json={}).status_code == 403
    # A key set that does not fit does not hide that another one does, whatever their order.
    for name in ("a", "z"):
        company.trust(name, secret=f"another secret of key set {name}, as long as it takes")
    assert statuses(stranger) == {403}
    # A set that names users by another claim may know who it is.
    company.server.create_user(company.tenant, "ola")
    company.server.grant(company.tenant, "ola", "tenant:*", "admin")
    company.trust("by-name", user_claim="name")
    known = company.with_token(company.token(role="user", name="ola"))
    assert known.get("/events").status_code == 200


@pytest.mark.row("K-13", "K-15")
def test_tokens_of_our_own_are_taken_too(company: Company) -> None:
    company.record()
    server, tenant = company.server, company.tenant
    for name, grants in (
        ("admin", [("tenant:*", "admin")]),
        ("user", [("space:1", "space_auditor")]),
    ):
        user = server.create_user(tenant, name)
        for grant in grants:
            server.grant(tenant, name, *grant)
        known = server.node.identity.user_by_alias(tenant, name)
        assert known is not None
        scopes = access.token_scopes(known.grants)
        issued = server.node.issuer.issue_for_user(user, client="cf", scopes=scopes)
        client = company.with_token(issued.access_token)
        assert client.get("/events").status_code == (200 if name == "admin" else 403)
        assert issued.refresh_token is not None
        assert statuses(company.with_token(issued.refresh_token)) == {401}


@pytest.mark.row("K-14")
def test_a_company_sees_its_own_events_alone(company: Company, server: LiveServer) -> None:
    event = company.record()
    other = Company(server)
    try:
        assert total(other.service.get("/events")) == 0
        assert total(other.service.get("/events/search?query=order")) == 0
        hidden = other.service.get(f"/events/{event['_id']['$oid']}")
        unknown = other.service.get("/events/5964a0ead57ba2036750a3b4")
        assert (hidden.status_code, hidden.json()) == (unknown.status_code, unknown.json())
        assert hidden.status_code == 404
        assert event["company"] == {"$oid": company.hex} != {"$oid": other.hex}
    finally:
        other.close()


@pytest.mark.row("K-14")
def test_key_and_token_must_be_of_one_company(company: Company, server: LiveServer) -> None:
    """A token never chooses the company, whatever it claims."""
    company.record()
    other = Company(server)
    try:
        other.trust(secret="the other company's secret, which is its own")
        company.trust(issuer=f"https://{company.tenant}.example")
        token = other.token(secret="the other company's secret, which is its own")
        claiming = company.token(iss=f"https://{company.tenant}.example", tenant=company.tenant)
        assert statuses(company.with_token(token)) == {401}
        assert statuses(other.with_token(claiming)) == {401}
        assert company.with_token(claiming).get("/events").status_code == 200
        server.create_user(other.tenant, "boss")
        server.grant(other.tenant, "boss", "tenant:*", "admin")
        boss = server.node.identity.user_by_alias(other.tenant, "boss")
        assert boss is not None
        scopes = access.token_scopes(boss.grants)
        issued = server.node.issuer.issue_for_user(boss, client="cf", scopes=scopes)
        assert statuses(company.with_token(issued.access_token)) == {401}
    finally:
        other.close()


def test_any_of_several_key_sets_may_verify(company: Company) -> None:
    company.trust("first", secret="one secret that nobody signs with any more")
    company.trust("second", issuer=f"https://{company.tenant}.example")
    company.trust("third")
    assert company.with_token(company.token()).get("/events").status_code == 200
    issued = company.token(iss=f"https://{company.tenant}.example")
    assert company.with_token(issued).get("/events").status_code == 200
    assert statuses(company.with_token(company.token(iss="https://elsewhere.example"))) <= {
        200,
        404,
    }


def test_rights_of_the_key_bound_what_a_token_may(company: Company) -> None:
    company.trust()
    server, tenant = company.server, company.tenant
    reader = server.create_key(tenant, (Scope.READ,))
    writer = server.create_key(tenant, (Scope.WRITE,), service=True)
    body = {"kind": "order.created", "object": {"_id": "1"}}
    answer = company.with_token(company.token(), reader).post("/extensions/kvass/events", json=body)
    assert answer.status_code == 403
    assert statuses(company.http({"X-Kvass-Api-Key": writer})) == {403}
    assert company.with_token(company.token(), reader).get("/events").status_code == 200
    assert SECRET not in answer.text


def test_a_revoked_key_is_unknown(company: Company) -> None:
    node = company.server.node
    for key in node.identity.list(ApiKey, company.tenant):
        company.server.change(
            ApiKey, company.tenant, key.id, lambda key: acts.revoke_key(key, now_ms=1)
        )
    assert statuses(company.service) == {401}
