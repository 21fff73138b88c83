"""Signing in to the console through an OpenID provider: who gets in, as whom, and who does not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc.jwk import RSAKey

from tallystick.console.provided_users import granted
from tallystick.console.session import COOKIE, FRESH_S
from tallystick.console.single_sign_on import oidc_settings
from tallystick.errors import SettingsError
from tallystick.identity.access import Grant
from tallystick.identity.records import ApiKey, User
from tallystick.settings import Settings
from tests.console.people import csrf_in, show
from tests.support.live_server import TENANT, LiveServer, open_server
from tests.support.openid_provider import CLIENT, SECRET, OpenIdProvider, openid_provider

ROLES = {
    "auditors": ["auditor"],
    "admins": ["admin"],
    "south": ["Viewer workspace:4137"],
    "south-leads": ["Moderator workspace:4137"],
}


class Clock:
    """The machine's clock, which a test may put forward."""

    ahead_ms = 0

    def now_ms(self) -> int:
        """Return the time."""
        return int(time.time() * 1000) + self.ahead_ms


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[OpenIdProvider]:
    with openid_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def sso(
    tmp_path_factory: pytest.TempPathFactory, shared_provider: OpenIdProvider, clock: Clock
) -> Iterator[LiveServer]:
    """Serve a store whose console people reach through the provider."""
    oidc = {
        "issuer": shared_provider.issuer, "client_id": CLIENT, "client_secret": SECRET,
        "label": "Example & Co", "tenant": TENANT, "roles": ROLES,
    }  # fmt: skip
    with open_server(tmp_path_factory.mktemp("sso") / "data", oidc=oidc, clock=clock) as live:
        yield live


@pytest.fixture
def provider(shared_provider: OpenIdProvider, sso: LiveServer, clock: Clock) -> OpenIdProvider:
    """Return the provider as it is by itself."""
    fresh: OpenIdProvider = shared_provider
    fresh.person = {"sub": "ada", "name": "Ada", "groups": ["auditors"]}
    fresh.twist = lambda claims: None
    fresh.answer, fresh.metadata, fresh.signed_with = {}, {}, None
    fresh.algorithm = "RS256"
    fresh.requests.clear()
    fresh.token_requests.clear()
    clock.ahead_ms = 0
    return fresh


def come(person: httpx2.Client, start: str = "/console/oidc") -> httpx2.Response:
    """Go to the provider and come back, as a browser does."""
    there = person.get(start)
    assert there.status_code == 303, there.text
    back = httpx2.get(there.headers["location"], follow_redirects=False)
    assert back.status_code == 302
    parts = urlsplit(back.headers["location"])
    return person.get(f"{parts.path}?{parts.query}")


def user(sso: LiveServer, id: str) -> User | None:
    return sso.node.identity.get(User, TENANT, id)


def test_a_person_signs_in_and_has_the_roles_of_their_groups(
    sso: LiveServer, provider: OpenIdProvider
) -> None:
    with sso.plain_http() as person:
        page = person.get("/console/sign-in?next=/console/log").text
        assert "Sign in with Example &amp; Co" in page
        link = re.search(r'href="(/console/oidc[^"]*)"', page)
        assert link is not None
        answer = come(person, link[1])
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/log")
        assert "Ada" in person.get("/console").text
        assert person.get("/console/admin").status_code == 403
    (sent,), (form,) = provider.requests, provider.token_requests
    assert (sent["code_challenge_method"], sent["response_type"]) == ("S256", "code")
    assert "openid" in sent["scope"].split()
    assert "client_secret" not in form
    made = user(sso, "ada")
    assert made is not None
    assert made.grants == (Grant("tenant:*", "auditor"),)
    with sso.http() as http:
        entries = http.get("/v1/events?view=log&limit=5&kind=user.*").json()["events"]
    assert [(e["kind"], e["actor"]["type"]) for e in entries[:1]] == [("user.created", "oidc")]


def test_roles_follow_the_groups_at_each_sign_in(sso: LiveServer, provider: OpenIdProvider) -> None:
    seen: list[set[str]] = []
    for groups in (
        ["admins", "south"],
        ["south", "south-leads", "unknown"],
        ["south-leads", "south"],
    ):
        provider.person = {"sub": "bea", "groups": groups}
        with sso.plain_http() as person:
            assert come(person).status_code == 303
            assert person.get("/console/admin").status_code == (200 if "admins" in groups else 403)
        known = user(sso, "bea")
        assert known is not None
        seen.append({f"{grant.role} {grant.scope}" for grant in known.grants})
    assert seen == [
        {"admin tenant:*", "Viewer workspace:4137"},
        {"Moderator workspace:4137"},
        {"Moderator workspace:4137"},
    ]
    provider.person = {"sub": "bea", "groups": []}
    with sso.plain_http() as person:
        answer = come(person)
        assert answer.status_code == 403
        assert "No role is given to your groups." in answer.text
    left = user(sso, "bea")
    assert left is not None
    assert left.grants == ()


def test_an_account_made_otherwise_is_not_handed_over(
    sso: LiveServer, provider: OpenIdProvider
) -> None:
    sso.create_user(TENANT, "root", login="root", password="correct horse")
    sso.grant(TENANT, "root", "tenant:*", "admin")
    provider.person = {"sub": "root", "groups": ["auditors"]}
    with sso.plain_http() as person:
        answer = come(person)
        assert answer.status_code == 403
        assert "that single sign-on did not make" in answer.text
        assert COOKIE not in person.cookies
        assert show(person, login="root", password="correct horse").status_code == 303


def _claim(**members: object) -> Callable[[OpenIdProvider], None]:
    def change(provider: OpenIdProvider) -> None:
        provider.twist = lambda claims: claims.update(members)

    return change


def _without(name: str) -> Callable[[OpenIdProvider], None]:
    def change(provider: OpenIdProvider) -> None:
        def forget(claims: dict[str, object]) -> None:
            claims.pop(name)

        provider.twist = forget

    return change


def _answer(**members: str | None) -> Callable[[OpenIdProvider], None]:
    return lambda provider: provider.answer.update(members)


def _foreign_key(provider: OpenIdProvider) -> None:
    provider.signed_with = RSAKey.generate_key(2048, {"kid": "one"})


def _public_key_as_secret(provider: OpenIdProvider) -> None:
    provider.algorithm = "HS256"


def _unsigned(provider: OpenIdProvider) -> None:
    provider.algorithm = "none"


WRONG: dict[str, Callable[[OpenIdProvider], None]] = {
    "another issuer in the token": _claim(iss="https://evil.example"),
    "another client": _claim(aud="somebody"),
    "several clients without azp": _claim(aud=[CLIENT, "somebody"], azp="somebody"),
    "another nonce": _claim(nonce="x"),
    "no nonce": _without("nonce"),
    "over": _claim(exp=1_000_000_000),
    "no end": _without("exp"),
    "no subject": _without("sub"),
    "not yet": _claim(nbf=4_000_000_000),
    "a subject that is a number": _claim(sub=7),
    "another state": _answer(state="x"),
    "no state": _answer(state=None),
    "another issuer in the answer": _answer(iss="https://evil.example"),
    "no issuer in the answer": _answer(iss=None),
    "no code": _answer(code=None),
    "a code of somebody else": _answer(code="x"),
    "denied": _answer(code=None, error="access_denied"),
    "broken off": _answer(error="server_error", error_description="<b>"),
    "a foreign key": _foreign_key,
    "the public key as a secret": _public_key_as_secret,
    "no signature": _unsigned,
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_does_not_add_up_lets_nobody_in(
    sso: LiveServer, provider: OpenIdProvider, change: Callable[[OpenIdProvider], None]
) -> None:
    provider.person = {"sub": "eve", "groups": ["admins"]}
    change(provider)
    with sso.plain_http() as person:
        answer = come(person)
        assert answer.status_code in (403, 503), answer.text
        assert "<b>" not in answer.text
        assert COOKIE not in person.cookies
    assert user(sso, "eve") is None


def test_the_way_back_needs_the_browser_that_left(
    sso: LiveServer, provider: OpenIdProvider, clock: Clock
) -> None:
    with sso.plain_http() as person, sso.plain_http() as other:
        there = person.get("/console/oidc").headers["location"]
        back = httpx2.get(there, follow_redirects=False).headers["location"]
        address = back.removeprefix(sso.url)
        assert other.get(address).status_code == 403
        other.get("/console/oidc")
        assert other.get(address).status_code == 403
        clock.ahead_ms = 11 * 60 * 1000
        assert "took too long" in person.get(address).text
        clock.ahead_ms = 0
        assert person.get(address).status_code == 303
        # A code is used once, and so is the departure.
        assert person.get(address).status_code == 403


def test_signing_out_offers_the_way_out_there(sso: LiveServer, provider: OpenIdProvider) -> None:
    with sso.plain_http() as person:
        come(person)
        csrf = csrf_in(person.get("/console").text)
        answer = person.post("/console/sign-out", data={"csrf": csrf})
        assert answer.headers["location"] == "/console/signed-out"
        page = person.get("/console/signed-out").text
        assert "You are signed out" in page
        link = re.search(r'href="(http[^"]+/logout[^"]+)"', page)
        assert link is not None
        query = parse_qs(urlsplit(link[1].replace("&amp;", "&")).query)
        assert query["post_logout_redirect_uri"] == [f"{sso.url}/console/sign-in"]
        assert person.get("/console").status_code == 303


def test_acts_need_the_provider_to_ask_again(
    sso: LiveServer, provider: OpenIdProvider, clock: Clock
) -> None:
    provider.person = {"sub": "cat", "groups": ["admins"]}
    with sso.plain_http() as person:
        come(person)
        form = {"csrf": csrf_in(person.get("/console/admin/keys").text), "scope-read": "1"}
        keys = len(sso.node.identity.list(ApiKey, TENANT))
        clock.ahead_ms = (FRESH_S + 1) * 1000
        provider.twist = lambda claims: claims.update(
            auth_time=claims["auth_time"] + FRESH_S, exp=claims["exp"] + FRESH_S
        )
        sent = person.post("/console/admin/keys/create", data=form)
        assert sent.headers["location"] == "/console/confirm"
        assert "Confirm with Example &amp; Co" in person.get("/console/confirm").text
        again = come(person, "/console/oidc/confirm?next=/console/admin/keys")
        assert again.headers["location"] == "/console/admin/keys"
        assert (provider.requests[-1]["prompt"], provider.requests[-1]["max_age"]) == ("login", "0")
        form["csrf"] = csrf_in(person.get("/console/admin/keys").text)
        assert person.post("/console/admin/keys/create", data=form).status_code == 200
        assert len(sso.node.identity.list(ApiKey, TENANT)) == keys + 1
        # A provider that asks nobody, and somebody else, prove nothing.
        provider.twist = lambda claims: claims.update(
            auth_time=claims["auth_time"] - FRESH_S, exp=claims["exp"] + FRESH_S
        )
        assert come(person, "/console/oidc/confirm").status_code == 403
        provider.person = {"sub": "dan", "groups": ["admins"]}
        provider.twist = lambda claims: claims.update(
            auth_time=claims["auth_time"] + FRESH_S, exp=claims["exp"] + FRESH_S
        )
        assert come(person, "/console/oidc/confirm").status_code == 403


def test_a_provider_that_does_not_answer_is_told(tmp_path: Path, provider: OpenIdProvider) -> None:
    gone = {"issuer": "http://127.0.0.1:9", "client_id": CLIENT, "roles": ROLES}
    with open_server(tmp_path / "data", oidc=gone) as server, server.plain_http() as person:
        answer = person.get("/console/oidc")
        assert answer.status_code == 503
        assert "The provider cannot be reached." in answer.text
        assert "Sign in with single sign-on" in person.get("/console/sign-in").text
    provider.metadata = {"issuer": "https://other.example"}
    other = {"issuer": provider.issuer, "client_id": CLIENT}
    with open_server(tmp_path / "other", oidc=other) as server, server.plain_http() as person:
        assert "names another issuer" in person.get("/console/oidc").text


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"client_id": "x"}, "issuer"),
        ({"issuer": "http://login.example", "client_id": "x"}, "https"),
        ({"issuer": "https://login.example", "client_id": "x", "secret": "y"}, "secret"),
        (
            {"issuer": "https://i.example", "client_id": "x", "roles": {"g": ["Vewer"]}},
            "oidc.roles.g",
        ),
        ({"issuer": "https://i.example", "client_id": "x", "roles": {"g": ["Viewer x:1"]}}, "x"),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError) as error:
        configured(wrong)
    assert told in error.value.message


def configured(table: dict[str, object]) -> dict[str, tuple[Grant, ...]]:
    """Read a table of settings as a start of the server does."""
    wanted = oidc_settings(Settings(oidc=table))
    assert wanted is not None
    return granted(wanted)
