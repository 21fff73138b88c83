"""Signing in and out of the console: who gets in, for how long, and what forms need."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tallystick.console.session import COOKIE, FRESH_S, SESSION_S
from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.records import ApiKey, User
from tests.console.people import SIGN_IN, csrf_in, proof_in, show, signed_in
from tests.support.live_server import TENANT, LiveServer, open_server

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.ms = 1_790_000_000_000

    def now_ms(self) -> int:
        """Return the time it was set to."""
        return self.ms


def test_the_root_leads_browsers_to_the_console_and_programs_to_cloud_foundry(
    server: LiveServer,
) -> None:
    with server.plain_http() as http:
        browser = http.get("/", headers=HTML)
        assert browser.status_code == 303
        assert browser.headers["location"] == "/console"
        assert "Accept" in browser.headers["vary"]
        for accept in ("*/*", "application/json", "application/json, text/html;q=0.5"):
            answer = http.get("/", headers={"Accept": accept})
            assert answer.status_code == 200
            assert "cloud_controller_v2" in answer.json()["links"]


def test_a_stranger_is_led_to_the_sign_in_page_and_back(server: LiveServer) -> None:
    with server.plain_http() as person:
        answer = person.get("/console?q=kind%3Aa.b")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/console/sign-in?next=%2Fconsole%3Fq%3Dkind%253Aa.b"
        page = person.get(answer.headers["location"]).text
        after = person.post(
            SIGN_IN,
            data={"proof": proof_in(page), "next": "/console?q=x", "key": server.admin_key},
        )
        assert (after.status_code, after.headers["location"]) == (303, "/console?q=x")


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example",
        "https://evil.example",
        "/console\\evil",
        "/consolex",
        "/v1/events",
        "/console/sign-out",
    ],
)
def test_signing_in_leads_nowhere_else(server: LiveServer, elsewhere: str) -> None:
    with server.plain_http() as person:
        answer = show(person, key=server.admin_key, next=elsewhere)
        assert (answer.status_code, answer.headers["location"]) == (303, "/console")


def test_the_cookie_is_for_the_console_alone(server: LiveServer) -> None:
    with server.plain_http() as person:
        answer = show(person, key=server.admin_key)
        cookie = next(
            value for value in answer.headers.get_list("set-cookie") if value.startswith(COOKIE)
        )
        for part in ("HttpOnly", "SameSite=lax", "Path=/console", "Max-Age="):
            assert part in cookie
        assert "Secure" not in cookie
        assert server.admin_key not in cookie
        value = person.cookies[COOKIE]
        sent = person.get("/v1/events", headers={"Cookie": f"{COOKIE}={value}"})
        assert sent.status_code == 401


def test_behind_https_the_cookie_is_secure(tmp_path: Path) -> None:
    with (
        open_server(tmp_path / "data", external_url="https://log.example") as server,
        server.plain_http() as person,
    ):
        assert "Secure" in person.get(SIGN_IN).headers["set-cookie"]


def test_wrong_secrets_are_refused_alike(server: LiveServer) -> None:
    server.create_user(TENANT, "u-1", login="kim", password="correct horse")
    with server.plain_http() as person:
        for login in ("kim", "nobody"):
            answer = show(person, login=login, password="wrong horse")
            assert answer.status_code == 401
            assert "Login or password is wrong." in answer.text
        assert show(person, key="tlk_unknown").status_code == 401
        assert COOKIE not in person.cookies
        assert show(person, login="KIM", password="correct horse").status_code == 303
        assert "kim" not in person.cookies[COOKIE]


def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    with open_server(tmp_path / "data") as server, server.plain_http() as person:
        statuses = [show(person, key=f"tlk_{n}").status_code for n in range(11)]
        assert statuses == [401] * 10 + [429]
        last = show(person, key="tlk_again")
        assert int(last.headers["retry-after"]) > 0


def test_a_form_from_elsewhere_is_refused(server: LiveServer) -> None:
    with signed_in(server) as person:
        csrf = csrf_in(person.get("/console/confirm").text)
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://evil.example"},
        ):
            answer = person.post("/console/sign-out", data={"csrf": csrf}, headers=headers)
            assert answer.status_code == 403
        assert person.post("/console/sign-out", data={"csrf": "x"}).status_code == 403
        assert person.post("/console/sign-out", data={}).status_code == 403
        assert person.get("/console/confirm").status_code == 200
    with server.plain_http() as person:
        assert person.post(SIGN_IN, data={"key": server.admin_key}).status_code == 403
        page = person.get(SIGN_IN).text
        person.cookies.clear()
        form = {"proof": proof_in(page), "key": server.admin_key}
        assert person.post(SIGN_IN, data=form).status_code == 403


def test_signing_in_again_begins_another_session(server: LiveServer) -> None:
    with signed_in(server) as person:
        before = person.cookies[COOKIE]
        assert show(person, key=server.admin_key).status_code == 303
        assert person.cookies[COOKIE] != before


def test_signing_out_ends_the_session_for_whoever_kept_its_cookie(server: LiveServer) -> None:
    with signed_in(server) as person, server.plain_http() as thief:
        thief.cookies.set(COOKIE, person.cookies[COOKIE], path="/console")
        assert thief.get("/console/confirm").status_code == 200
        csrf = csrf_in(person.get("/console/confirm").text)
        answer = person.post("/console/sign-out", data={"csrf": csrf})
        assert answer.headers["location"] == SIGN_IN
        assert COOKIE not in person.cookies
        assert thief.get("/console/confirm").status_code == 303
    with server.http() as http:
        newest = http.get("/v1/events", params={"view": "log", "limit": 1}).json()
    assert newest["events"][0]["kind"] == "session.ended"
    assert newest["events"][0]["data"]["reason"] == "signed out of the console"


def test_a_session_ends_with_its_key(server: LiveServer) -> None:
    key = server.create_key(TENANT, [Scope.READ])
    with signed_in(server, key) as person:
        assert person.get("/console/confirm").status_code == 200
        principal = server.node.identity.principal_of_key(key)
        assert principal is not None
        assert principal.key is not None
        server.change(ApiKey, TENANT, principal.key, lambda known: acts.revoke_key(known, now_ms=1))
        assert person.get("/console/confirm").status_code == 303


def test_a_session_ends_with_its_user_and_with_another_password(server: LiveServer) -> None:
    server.create_user(TENANT, "u-2", login="lee", password="correct horse")
    hashed = server.user(TENANT, "u-2").password

    def change(**changes: object) -> None:
        server.change(
            User,
            TENANT,
            "u-2",
            lambda user: acts.change_user(user, msgspec.structs.replace(user, **changes)),
        )

    changes: list[dict[str, object]] = [{"password": "other"}, {"disabled": True}]
    for one in changes:
        change(disabled=False, password=hashed)
        with server.plain_http() as person:
            assert show(person, login="lee", password="correct horse").status_code == 303
            assert person.get("/console/confirm").status_code == 200
            change(**one)
            assert person.get("/console/confirm").status_code == 303


def test_a_session_lasts_a_working_day(tmp_path: Path) -> None:
    clock = Hand()
    with open_server(tmp_path / "data", clock=clock) as server, signed_in(server) as person:
        page = person.get("/console/confirm")
        assert page.status_code == 200
        clock.ms += (FRESH_S + 1) * 1000
        form = {"csrf": csrf_in(page.text), "key": "tlk_wrong", "next": "/console/confirm"}
        assert person.post("/console/confirm", data=form).status_code == 403
        other = server.create_key(TENANT, [Scope.ADMIN])
        assert person.post("/console/confirm", data={**form, "key": other}).status_code == 403
        before = person.cookies[COOKIE]
        right = person.post("/console/confirm", data={**form, "key": server.admin_key})
        assert right.status_code == 303
        assert person.cookies[COOKIE] != before
        clock.ms += (SESSION_S - FRESH_S - 2) * 1000
        assert person.get("/console/confirm").status_code == 200
        clock.ms += 2_000
        assert person.get("/console/confirm").status_code == 303


def test_a_changed_cookie_is_none(server: LiveServer) -> None:
    with signed_in(server) as person:
        cookie = person.cookies[COOKIE]
    text, _, mac = cookie.partition(".")
    for forged in (text, f"{text}.", f"{text[:-2]}AA.{mac}", f".{mac}", "a.b", "é.x", "x" * 5000):
        with server.plain_http() as thief:
            sent = f"{COOKIE}={forged}".encode()
            answer = thief.get("/console/confirm", headers={b"Cookie": sent})
            assert answer.status_code == 303, forged


def test_a_link_signs_the_operator_in_once(tmp_path: Path) -> None:
    clock = Hand()
    with open_server(tmp_path / "data", clock=clock) as other:
        link = other.app.console.sessions.new_link()
        with other.plain_http() as person:
            ahead = person.get(f"{SIGN_IN}/{link}", headers={"Sec-Purpose": "prefetch"})
            assert ahead.status_code == 401
            assert person.get(f"{SIGN_IN}/{link}").status_code == 303
            assert "Operator" in person.get("/console/confirm").text
            assert person.get(f"{SIGN_IN}/{link}").status_code == 401
        late = other.app.console.sessions.new_link()
        clock.ms += 15 * 60 * 1000
        with other.plain_http() as person:
            assert person.get(f"{SIGN_IN}/{late}").status_code == 401
            assert person.get(f"{SIGN_IN}/nonsense").status_code == 401


def test_every_answer_carries_a_strict_policy(server: LiveServer) -> None:
    with server.plain_http() as http:
        for path in (SIGN_IN, "/console", "/console/nowhere", "/console/static/x/y.js"):
            headers = http.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "same-origin"


def test_static_files_are_kept_for_good_and_change_their_names(server: LiveServer) -> None:
    with server.plain_http() as http:
        page = http.get(SIGN_IN).text
        links = set(re.findall(r'(?:src|href)="(/console/static/[^"]+)"', page))
        assert len(links) == 4
        for link in links:
            answer = http.get(link)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            known = http.get(link, headers={"If-None-Match": answer.headers["etag"]})
            assert known.status_code == 304
        assert http.get("/console/static/0000/console.css").status_code == 404
        assert 'style="' not in page
        assert "<script>" not in page


def test_the_operator_is_proven_again_with_another_link(tmp_path: Path) -> None:
    clock = Hand()
    with open_server(tmp_path / "data", clock=clock) as other, other.plain_http() as person:
        other.create_tenant("south")
        person.get(f"{SIGN_IN}/{other.app.console.sessions.new_link()}")
        form = {"csrf": csrf_in(person.get("/console/admin").text), "id": "south"}
        person.post("/console/admin/tenants/switch", data=form)
        form = {"csrf": csrf_in(person.get("/console/admin/keys").text), "scope-read": "1"}
        clock.ms += (FRESH_S + 1) * 1000
        assert person.post("/console/admin/keys/create", data=form).status_code == 303
        page = person.get("/console/confirm").text
        assert "tallystick console-link" in page
        again = {"csrf": csrf_in(page), "next": "/console/admin/keys"}
        wrong = person.post("/console/confirm", data={**again, "link": f"{other.url}/nonsense"})
        assert wrong.status_code == 403
        link = other.app.console.new_link()
        right = person.post("/console/confirm", data={**again, "link": f" {link} "})
        assert right.headers["location"] == "/console/admin/keys"
        page = person.get("/console/admin/keys").text
        assert "in <bdi>south</bdi>" in page
        form["csrf"] = csrf_in(page)
        assert person.post("/console/admin/keys/create", data=form).status_code == 200
        # A link that was pasted is used up.
        assert (
            person.post("/console/confirm", data={"csrf": form["csrf"], "link": link}).status_code
            == 403
        )


def test_a_link_does_not_prove_another_account(server: LiveServer) -> None:
    with signed_in(server) as person:
        form = {"csrf": csrf_in(person.get("/console/confirm").text)}
        link = server.app.console.sessions.new_link()
        assert person.post("/console/confirm", data={**form, "link": link}).status_code == 403


def test_links_are_made_through_the_control_socket_alone(server: LiveServer) -> None:
    with server.http() as http:
        assert http.post("/v1/admin/console-links").status_code == 403
