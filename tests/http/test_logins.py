"""Logging in: what strangers may cost, what is too short, and tokens that end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from msgspec.structs import replace

from tallystick.clock import ManualClock
from tallystick.errors import RateLimited
from tallystick.identity import acts, throttle
from tallystick.identity.passwords import Passwords
from tallystick.identity.records import Session
from tallystick.identity.replay import identity_differences
from tallystick.identity.throttle import Throttle
from tallystick.ledger.spent_sessions import delete_spent
from tallystick.store.postgres.store import open_postgres
from tests.support.live_server import TENANT, LiveServer, open_server

PASSWORD = "Passw0rd-xyz"
TRUSTED = ("127.0.0.0/8", "10.0.0.0/8")


@pytest.fixture(params=["sqlite", "postgres"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveServer]:
    settings: dict[str, Any] = {"trusted_proxies": TRUSTED}
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_database")
        open_postgres(url).close()
        settings["database"] = url
    with open_server(tmp_path / "data", **settings) as server:
        server.create_user(TENANT, "u1", login="kim", password=PASSWORD)
        yield server


@pytest.fixture
def stranger(live: LiveServer) -> Iterator[httpx2.Client]:
    with live.plain_http() as http:
        yield http


def log_in(http: httpx2.Client, password: str = PASSWORD, **headers: str) -> httpx2.Response:
    form = {"grant_type": "password", "client_id": "cf", "client_secret": "", "username": "kim"}
    return http.post("/oauth/token", data={**form, "password": password}, headers=headers)


def refresh(http: httpx2.Client, token: str) -> httpx2.Response:
    form = {"grant_type": "refresh_token", "client_id": "cf", "refresh_token": token}
    return http.post("/oauth/token", data=form)


def via(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


def test_a_refresh_token_is_good_for_one_time(stranger: httpx2.Client) -> None:
    first = log_in(stranger).json()
    second = refresh(stranger, first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    third = refresh(stranger, second["refresh_token"])
    assert third.status_code == 200


def test_a_refresh_token_that_comes_again_ends_its_session(
    live: LiveServer, stranger: httpx2.Client
) -> None:
    other = log_in(stranger).json()
    first = log_in(stranger).json()
    second = refresh(stranger, first["refresh_token"]).json()
    third = refresh(stranger, second["refresh_token"]).json()
    # Not the one before the last: nobody sends two turns of one session by accident.
    assert refresh(stranger, first["refresh_token"]).status_code == 401
    assert refresh(stranger, third["refresh_token"]).status_code == 401
    for token in (first["access_token"], second["access_token"], third["access_token"]):
        with live.http(token) as user:
            assert user.get("/v1/events").status_code == 401
    with live.http(other["access_token"]) as user:
        assert user.get("/v1/events").status_code == 200
    assert refresh(stranger, other["refresh_token"]).status_code == 200


def test_two_commands_that_use_one_refresh_token_at_once_have_the_same_successor(
    live: LiveServer,
) -> None:
    with live.plain_http() as http:
        token = log_in(http).json()["refresh_token"]

    def use(_: int) -> httpx2.Response:
        with live.plain_http() as http:
            return refresh(http, token)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(use, range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    following = [answer.json()["refresh_token"] for answer in answers]
    assert {turn_of(text) for text in following} == {1}
    # Whichever of them the program has kept goes on.
    with live.plain_http() as http:
        last = refresh(http, following[2]).json()
        assert turn_of(last["refresh_token"]) == 2
        with live.http(last["access_token"]) as user:
            assert user.get("/v1/events").status_code == 200


def turn_of(token: str) -> int:
    turn: int = jwt.decode(token, options={"verify_signature": False})["turn"]
    return turn


def test_the_grace_of_a_used_refresh_token_is_short(tmp_path: Path) -> None:
    clock = ManualClock(1_790_000_000_000)
    with open_server(tmp_path / "data", clock=clock) as live, live.plain_http() as http:
        live.create_user(TENANT, "u1", login="kim", password=PASSWORD)
        token = log_in(http).json()["refresh_token"]
        second = refresh(http, token).json()["refresh_token"]
        clock.advance(10_000)
        assert refresh(http, token).status_code == 200
        clock.advance(1)
        assert refresh(http, token).status_code == 401
        assert refresh(http, second).status_code == 401


def test_sessions_are_deleted_once_no_token_of_them_is_valid(tmp_path: Path) -> None:
    clock = ManualClock(1_790_000_000_000)
    day_ms = 24 * 3_600_000
    with open_server(tmp_path / "data", clock=clock) as live, live.plain_http() as http:
        live.create_user(TENANT, "u1", login="kim", password=PASSWORD)
        node = live.node
        old, ended = log_in(http).json(), log_in(http).json()
        for _ in range(2):
            old = refresh(http, old["refresh_token"]).json()
        first = ended
        for _ in range(2):
            ended = refresh(http, ended["refresh_token"]).json()
        assert refresh(http, first["refresh_token"]).status_code == 401
        # One that an earlier program recorded, without a time.
        [made] = [s for s in node.identity.list(Session, TENANT) if s.ended]
        before = replace(made, id="before", used_ms=0, turn=3, ended=False)
        told = {"user": before.user, "turn": before.turn}
        act = acts.continue_session(before)
        node.ledger.administer(TENANT, act._replace(draft=replace(act.draft, data=told)))
        clock.advance(20 * day_ms)
        kept = log_in(http).json()
        kept = refresh(http, kept["refresh_token"]).json()
        assert delete_spent(node.ledger, node.identity, clock.now_ms()) == 0
        clock.advance(12 * day_ms)
        assert delete_spent(node.ledger, node.identity, clock.now_ms()) == 3
        assert [s.turn for s in node.identity.list(Session, TENANT)] == [1]
        for spent in (old, first, ended):
            assert refresh(http, spent["refresh_token"]).status_code == 401
        assert refresh(http, kept["refresh_token"]).status_code == 200
        head = node.store.log_head(TENANT)
        assert head is not None
        assert identity_differences(node.store, TENANT, head.size) == []


def test_a_client_made_again_revives_no_token(live: LiveServer, stranger: httpx2.Client) -> None:
    path = f"/v1/admin/tenants/{TENANT}/clients"
    wanted = {"id": "app", "name": "app", "scopes": ["read", "admin"], "secret": "s" * 32}
    form = {"grant_type": "client_credentials", "client_id": "app", "client_secret": "s" * 32}
    with live.http() as admin:
        assert admin.post(path, json=wanted).status_code == 201
        old = stranger.post("/oauth/token", data=form).json()["access_token"]
        assert admin.delete(f"{path}/app").status_code == 204
        assert admin.post(path, json=wanted).status_code == 201
    new = stranger.post("/oauth/token", data=form).json()["access_token"]
    for token, status in ((old, 401), (new, 200)):
        with live.http(token) as http:
            assert http.get("/v1/events").status_code == status


def test_a_stranger_does_not_lock_an_owner_out(stranger: httpx2.Client) -> None:
    """However wrong, from one address or from many, and whatever they say of addresses."""
    statuses = [
        log_in(stranger, "wrong-guess", **via("203.0.113.9")).status_code for _ in range(15)
    ]
    assert statuses == [401] * 10 + [429] * 5
    assert log_in(stranger, **via("203.0.113.9")).status_code == 429
    assert log_in(stranger, **via("198.51.100.7")).status_code == 200
    # What a client claims stands before what the proxies add.
    claimed = "198.51.100.7, 203.0.113.9, 10.1.2.3"
    assert log_in(stranger, **via(claimed)).status_code == 429
    assert log_in(stranger, Forwarded='for="203.0.113.9:4711"').status_code == 429
    assert log_in(stranger, Forwarded='for=203.0.113.9, for="[2001:db8::1]"').status_code == 200


def test_a_refusal_says_when_to_come_back(stranger: httpx2.Client) -> None:
    for _ in range(10):
        log_in(stranger, "wrong-guess", **via("203.0.113.9"))
    answer = log_in(stranger, **via("203.0.113.9"))
    assert 1 <= int(answer.headers["retry-after"]) <= throttle.WINDOW_S


def test_addresses_of_strangers_that_are_no_proxies_count_as_they_are(tmp_path: Path) -> None:
    with open_server(tmp_path / "data", trusted_proxies=("10.0.0.0/8",)) as live:
        live.create_user(TENANT, "u1", login="kim", password=PASSWORD)
        with live.plain_http() as http:
            statuses = [
                log_in(http, "wrong-guess", **via(f"198.51.100.{n}")).status_code for n in range(12)
            ]
    assert statuses == [401] * 10 + [429] * 2


def test_attempts_are_counted_before_the_work(live: LiveServer) -> None:
    def guess(_: int) -> int:
        with live.plain_http() as http:
            return log_in(http, "wrong-guess", **via("203.0.113.9")).status_code

    with ThreadPoolExecutor(24) as threads:
        statuses = list(threads.map(guess, range(24)))
    assert statuses.count(401) <= throttle.PER_PAIR
    assert set(statuses) <= {401, 429}


@pytest.mark.parametrize("path", ["/oauth/token", "/archivist/iam/v1/appidp/token"])
def test_secrets_of_clients_are_guessed_slowly(
    live: LiveServer, stranger: httpx2.Client, path: str
) -> None:
    with live.http() as admin:
        admin.post(
            f"/v1/admin/tenants/{TENANT}/clients",
            json={"id": "app", "name": "app", "secret": "s" * 32},
        )
    form = {"grant_type": "client_credentials", "client_id": "app"}

    def ask(secret: str, address: str) -> int:
        sent = {**form, "client_secret": secret}
        return stranger.post(path, data=sent, headers=via(address)).status_code

    assert [ask("guess", "203.0.113.9") for _ in range(11)] == [401] * 10 + [429]
    assert ask("s" * 32, "198.51.100.7") == 200


def test_one_address_guesses_at_many_logins_slowly() -> None:
    guesses = Throttle(now_s=lambda: 1.0)
    for n in range(throttle.PER_ADDRESS):
        with guesses.attempt(f"login {n}", "203.0.113.9"):
            pass
    with pytest.raises(RateLimited), guesses.attempt("login x", "203.0.113.9"):
        pytest.fail("it was let in")
    with guesses.attempt("login x", "203.0.113.10"):
        pass


def test_guesses_from_many_addresses_have_one_try_each_and_the_owner_all() -> None:
    now_s = 0.0
    guesses = Throttle(now_s=lambda: now_s)
    with guesses.attempt("login kim", "192.0.2.1") as attempt:
        attempt.succeeded = True
    for n in range(throttle.PER_SUBJECT):
        with guesses.attempt("login kim", f"203.0.113.{n}"):
            pass
    with pytest.raises(RateLimited), guesses.attempt("login kim", "203.0.113.1"):
        pytest.fail("it was let in")
    # The owner from where they were before, wrong once, and from somewhere new.
    for _ in range(2):
        with guesses.attempt("login kim", "192.0.2.1"):
            pass
    with guesses.attempt("login kim", "192.0.2.2") as attempt:
        attempt.succeeded = True
    now_s = throttle.WINDOW_S + 1
    with guesses.attempt("login kim", "203.0.113.1"):
        pass


def test_passwords_wait_in_a_bounded_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def slow(password: str, hashed: str | None) -> bool:
        return go.wait(30)

    monkeypatch.setattr("tallystick.identity.credentials.is_password", slow)
    passwords = Passwords(1, waiting=2)
    waiting = [passwords.checked("p", None) for _ in range(3)]
    with pytest.raises(RateLimited):
        passwords.checked("p", None)
    go.set()
    assert all(each.result(30) for each in waiting)
    time.sleep(0.05)
    assert passwords.check("p", None)
    passwords.close()


def test_strangers_who_log_in_take_no_thread_that_reads(
    live: LiveServer, stranger: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr("tallystick.identity.credentials.is_password", lambda *_: go.wait(60))

    def guess(n: int) -> int:
        with live.plain_http() as http:
            return log_in(http, "wrong-guess", **via(f"203.0.113.{n}")).status_code

    with ThreadPoolExecutor(48) as threads:
        guesses = [threads.submit(guess, n) for n in range(48)]
        while sum(each.done() for each in guesses) < 20:
            time.sleep(0.01)
        with live.http() as reader:
            assert reader.get("/v1/events").status_code == 200
        go.set()
        assert [each.result() for each in guesses].count(429) >= 20


@pytest.mark.parametrize("claims", [{}, {"exp": None}])
def test_a_foreign_token_that_never_ends_is_refused(
    live: LiveServer, claims: dict[str, Any]
) -> None:
    secret = "k" * 32
    live.save_key_set(TENANT, "ks", secret=secret, issuer="https://id", admin_claim="role")
    own = {"iss": "https://id", "sub": "x", "role": "admin"}
    ending = jwt.encode({**own, "exp": int(time.time()) + 60}, secret, algorithm="HS256")
    endless = jwt.encode({**own, **claims}, secret, algorithm="HS256")
    for token, status in ((ending, 200), (endless, 401)):
        with live.http(token) as http:
            assert http.get("/v1/events").status_code == status


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "users", {"id": "u2", "login": "u2", "password": "p"}),
        ("POST", "users", {"id": "u2", "login": "u2", "password": "1234567"}),
        ("PATCH", "users/u1", {"password": "short"}),
        ("POST", "keysets", {"id": "ks", "secret": "s", "issuer": "https://id"}),
        ("POST", "keysets", {"id": "ks", "secret": "s" * 31, "issuer": "https://id"}),
        ("POST", "keys", {"scopes": ["read"], "secret": "k"}),
        ("POST", "keys", {"scopes": ["read"], "secret": "k" * 15}),
        ("POST", "clients", {"name": "c", "secret": "s" * 15}),
    ],
    ids=str,
)
def test_secrets_that_can_be_guessed_are_refused(
    live: LiveServer, method: str, path: str, body: dict[str, Any]
) -> None:
    with live.http() as admin:
        answer = admin.request(method, f"/v1/admin/tenants/{TENANT}/{path}", json=body)
    assert answer.status_code == 400, answer.text
