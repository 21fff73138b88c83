"""Tokens and app registrations over HTTP, and what is never shown twice."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from uuid import uuid4

import pytest

from tallystick.clock import Clock
from tallystick.identity.access import Scope
from tests.dialects.datatrails.conftest import Account, Json
from tests.support.live_server import open_server

APPLICATIONS = "/archivist/iam/v1/applications"
YEAR_MS = 365 * 24 * 3600 * 1000


class SetClock(Clock):
    """A clock that stands until it is set."""

    def __init__(self, now_ms: int) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        """Return the time that was set."""
        return self.ms


def register(account: Account, **members: object) -> Json:
    """Register an application."""
    answer = account.admin.post(APPLICATIONS, json={"display_name": "app", **members})
    assert answer.status_code == 200, answer.text
    application: Json = answer.json()
    return application


def claims_of(token: str) -> Json:
    """Return what a token says, unverified."""
    text = token.split(".")[1]
    claims: Json = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return claims


@pytest.mark.row("D-4", "D-5")
def test_token_is_issued_for_a_form_with_client_credentials(account: Account) -> None:
    answer = account.ask_token()
    assert answer.status_code == 200
    token = answer.json()
    assert set(token) == {"access_token", "expires_in", "token_type"}
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 3600)
    assert account.http(token["access_token"]).get("/archivist/v1/caps").status_code == 200


@pytest.mark.row("D-6", "D-58")
@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"client_secret": "0" * 64}, 401, 16),
        ({"client_secret": ""}, 401, 16),
        ({"client_id": str(uuid4())}, 401, 16),
        ({"client_id": ""}, 401, 16),
        ({"grant_type": "password"}, 400, 3),
        ({"grant_type": ""}, 400, 3),
    ],
)
def test_bad_credentials_get_no_token(
    account: Account, fields: dict[str, str], status: int, code: int
) -> None:
    answer = account.ask_token(**fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\xfe", b"a=" + b"x" * 20_000, b"a=b&" * 30])
def test_token_request_that_is_no_form_is_refused(account: Account, body: bytes) -> None:
    answer = account.anonymous.post("/archivist/iam/v1/appidp/token", content=body)
    assert answer.status_code == 400


def test_wrong_secrets_may_be_tried_ten_times_a_minute(account: Account) -> None:
    answers = [account.ask_token(client_secret="wrong") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert float(answers[-1].headers["archivist-rate-limit-reset"]) > 0
    # The right secret has to wait too, other applications do not.
    assert account.ask_token().status_code == 429
    other = register(account)
    secret = other["credentials"][0]["secret"]
    assert account.ask_token(client_id=other["client_id"], client_secret=secret).status_code == 200


@pytest.mark.row("D-7", "D-8")
def test_application_is_registered_with_a_secret_that_is_shown_once(account: Account) -> None:
    claims = {"custom": "claim", "üñí": "<b>"}
    made = register(account, display_name="Ünïcødé \u202e", custom_claims=claims)
    assert made["identity"] == f"applications/{made['client_id']}"
    assert made["tenant_id"] == f"tenant/{account.uuid}"
    (credential,) = made["credentials"]
    assert re.fullmatch("[0-9a-f]{64}", credential["secret"])
    assert int(credential["valid_until"][:4]) == int(credential["valid_from"][:4]) + 1
    read = account.admin.get(f"/archivist/iam/v1/{made['identity']}").json()
    assert read == made | {"credentials": [credential | {"secret": ""}]}
    listed = account.admin.get(APPLICATIONS).json()["applications"]
    assert read in listed
    assert {one["credentials"][0]["secret"] for one in listed} == {""}
    secret = credential["secret"]
    issued = account.ask_token(client_id=made["client_id"], client_secret=secret).json()
    told = claims_of(issued["access_token"])
    assert told.items() >= claims.items()
    assert told["sub"] == made["client_id"]


@pytest.mark.row("D-7", "D-58")
def test_wrong_method_names_all_the_right_ones(account: Account) -> None:
    for path, allowed in ((APPLICATIONS, "GET, HEAD, POST"), ("/x", "DELETE, GET, HEAD, PATCH")):
        answer = account.admin.put(APPLICATIONS + path.removeprefix(APPLICATIONS), content=b"{}")
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.row("D-7")
def test_application_is_changed_and_deleted(account: Account) -> None:
    made = register(account, custom_claims={"a": "1"})
    path = f"/archivist/iam/v1/{made['identity']}"
    changed = account.admin.patch(path, json={"display_name": "new"}).json()
    assert (changed["display_name"], changed["custom_claims"]) == ("new", {"a": "1"})
    changed = account.admin.patch(path, json={"custom_claims": {}}).json()
    assert (changed["display_name"], changed["custom_claims"]) == ("new", {})
    assert account.admin.patch(path, json={}).json() == changed
    # A change leaves the secret as it is.
    secret = made["credentials"][0]["secret"]
    issued = account.ask_token(client_id=made["client_id"], client_secret=secret)
    program = account.http(issued.json()["access_token"])
    assert account.admin.delete(path).json() == {}
    assert account.admin.get(path).status_code == 404
    assert account.admin.delete(path).status_code == 404
    assert program.get("/archivist/v1/caps").status_code == 401
    answer = account.ask_token(client_id=made["client_id"], client_secret=secret)
    assert answer.status_code == 401


@pytest.mark.row("D-7", "D-8")
def test_regenerated_secret_replaces_the_old_one_and_no_token(account: Account) -> None:
    path = f"/archivist/iam/v1/{account.application['identity']}:regenerate-secret"
    renewed = account.admin.post(path).json()
    secret = renewed["credentials"][0]["secret"]
    assert secret != account.application["credentials"][0]["secret"]
    assert account.ask_token().status_code == 401
    assert account.ask_token(client_secret=secret).status_code == 200
    assert account.app.get("/archivist/v1/caps").status_code == 200


def test_applications_are_listed_in_pages_that_keep_their_filter(account: Account) -> None:
    ids = {register(account, display_name=name)["identity"] for name in ("x", "x", "y", "x")}
    everything = account.admin.get(APPLICATIONS).json()
    assert ids < {one["identity"] for one in everything["applications"]}
    assert everything["next_page_token"] == ""
    found: list[str] = []
    parameters = {"page_size": "2", "display_name": "x"}
    while True:
        page = account.admin.get(APPLICATIONS, params=parameters).json()
        found += [one["identity"] for one in page["applications"]]
        if not page["next_page_token"]:
            break
        # The original's client sends the token alone.
        parameters = {"page_size": "2", "page_token": page["next_page_token"]}
    assert len(found) == len(set(found)) == 3
    assert set(found) < ids
    for bad in ({"page_token": "x"}, {"page_token": "bnVsbA=="}, {"page_size": "many"}):
        assert account.admin.get(APPLICATIONS, params=bad).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {}, {"display_name": ""}, {"display_name": 7}, {"display_name": "x" * 1025},
        {"display_name": "a", "custom_claims": {"jit_tenant_id": "x"}},
        {"display_name": "a", "custom_claims": {"arc_x": "x"}},
        {"display_name": "a", "custom_claims": {"user_id": "admin"}},
        {"display_name": "a", "custom_claims": {"scope": "admin"}},
        {"display_name": "a", "custom_claims": {"a": 7}},
        {"display_name": "a", "custom_claims": {str(n): "" for n in range(101)}},
        {"display_name": "a", "roles": ["KING"]}, {"display_name": "a", "roles": "OWNER"},
        {"display_name": "a", "secret": "mine"}, [],
    ],
)  # fmt: skip
def test_malformed_registration_is_refused(account: Account, body: object) -> None:
    answer = account.admin.post(APPLICATIONS, json=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == 3
    assert len(account.admin.get(APPLICATIONS).json()["applications"]) == 1


def test_only_owners_administer_applications(account: Account, stranger: Account) -> None:
    path = f"/archivist/iam/v1/{account.application['identity']}"
    for client in (account.app, account.http(account.key_with(Scope.READ, Scope.WRITE))):
        assert client.get(APPLICATIONS).status_code == 403
        assert client.post(APPLICATIONS, json={"display_name": "a"}).status_code == 403
        assert client.delete(path).status_code == 403
    for method, ending in (("GET", ""), ("DELETE", ""), ("POST", ":regenerate-secret")):
        assert stranger.admin.request(method, path + ending).status_code == 404
    assert stranger.admin.patch(path, json={"display_name": "a"}).status_code == 404
    owner = register(account, roles=["OWNER"])
    assert owner["roles"] == ["OWNER"]
    secret = owner["credentials"][0]["secret"]
    issued = account.ask_token(client_id=owner["client_id"], client_secret=secret).json()
    assert account.http(issued["access_token"]).get(path).status_code == 200


def test_secret_ends_after_a_year_and_a_token_after_an_hour(tmp_path: Path) -> None:
    clock = SetClock(1_736_421_833_577)
    with open_server(tmp_path / "data", clock=clock) as server:
        account = Account(server)
        clock.ms += 3600 * 1000
        assert account.app.get("/archivist/v1/caps").status_code == 401
        clock.ms += YEAR_MS - 3600 * 1000 - 1
        assert account.ask_token().status_code == 200
        clock.ms += 1
        assert account.ask_token().status_code == 401
        account.close()


def test_client_of_another_dialect_is_no_application(account: Account) -> None:
    made = account.admin.post(f"/v1/admin/tenants/{account.tenant}/clients", json={"name": "other"})
    assert made.status_code == 201
    path = f"{APPLICATIONS}/{made.json()['id']}"
    assert account.admin.get(path).status_code == 404
    # It gets tokens here all the same: an OAuth client is one, whoever registered it.
    issued = account.ask_token(client_id=made.json()["id"], client_secret=made.json()["secret"])
    assert issued.status_code == 200
