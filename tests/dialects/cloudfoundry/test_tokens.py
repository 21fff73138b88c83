"""`/oauth/token` as the clients of the platform use it, and what its tokens say."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx2
import jwt
import msgspec
import pytest

from tallystick.identity import acts
from tallystick.identity.acts import Act
from tallystick.identity.records import OAuthClient, User
from tests.dialects.cloudfoundry.clocks import SetClock
from tests.dialects.cloudfoundry.conftest import PASSWORD, SECRET, Deployment, guids
from tests.dialects.cloudfoundry.samples import Json, resource
from tests.support.live_server import open_server

CF = ("cf", "")


def ask(
    client: httpx2.Client, auth: tuple[str, str] | None = CF, /, **form: str
) -> httpx2.Response:
    """Ask for a token, as a client that shows itself in the header or does not."""
    return client.post("/oauth/token", data=form, auth=auth or httpx2.Auth())


def claims_of(token: str) -> Json:
    """Return what a token says, without checking it."""
    claims: Json = jwt.decode(token, options={"verify_signature": False})
    return claims


@pytest.mark.row("C-68", "C-71")
def test_password_of_a_user_for_the_built_in_client(deployment: Deployment) -> None:
    login = deployment.user("dev", ("space:space-1", "space_developer"))
    answer = ask(
        deployment.anonymous, grant_type="password", username=login, password=PASSWORD, scope=""
    )
    assert answer.status_code == 200
    issued = answer.json()
    assert set(issued) == {
        "access_token", "token_type", "expires_in", "scope", "jti", "refresh_token"
    }  # fmt: skip
    assert issued["token_type"] == "bearer"
    assert type(issued["expires_in"]) is int
    assert issued["scope"] == "cloud_controller.read cloud_controller.write"
    assert answer.headers["cache-control"] == "no-store"
    claims = claims_of(issued["access_token"])
    assert claims["user_name"] == claims["email"] == login
    assert claims["user_id"] == claims["sub"] == f"id-of-{login}"
    assert claims["client_id"] == claims["cid"] == claims["azp"] == "cf"
    assert claims["scope"] == issued["scope"].split()
    assert "cloud_controller" in claims["aud"]
    assert claims["jti"] == issued["jti"]
    assert not claims["jti"].endswith("-r")
    assert claims["exp"] - claims["iat"] == issued["expires_in"]
    for name in ("iss", "zid", "grant_type", "origin", "auth_time", "rev_sig"):
        assert claims[name]


@pytest.mark.row("C-68")
@pytest.mark.parametrize(
    ("role", "scope"),
    [
        ("admin", "cloud_controller.admin"),
        ("admin_read_only", "cloud_controller.admin_read_only"),
        ("global_auditor", "cloud_controller.global_auditor"),
    ],
)
def test_scopes_follow_the_grants(deployment: Deployment, role: str, scope: str) -> None:
    issued = deployment.token(deployment.user("boss", ("tenant:*", role)))
    assert scope in issued["scope"].split()


@pytest.mark.row("C-68")
def test_client_id_may_stand_in_the_form_too(deployment: Deployment) -> None:
    login = deployment.user("dev")
    form = {"grant_type": "password", "username": login, "password": PASSWORD}
    for auth, fields in ((CF, {"client_id": "cf"}), (None, {"client_id": "cf"})):
        assert ask(deployment.anonymous, auth, **form, **fields).status_code == 200
    answer = ask(deployment.anonymous, **form, client_id="other")
    assert answer.status_code == 401


@pytest.mark.row("C-69")
def test_refresh_gives_a_new_token_with_the_grants_of_now(deployment: Deployment) -> None:
    login = deployment.user("boss", ("tenant:*", "admin"))
    first = deployment.token(login)
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = ask(deployment.anonymous, **form).json()
    assert second["scope"] == first["scope"]
    assert second["access_token"] != first["access_token"]
    node = deployment.server.node
    user = node.identity.user_by_login(login)
    assert user is not None
    deployment.server.change(
        User, deployment.tenant, user.id, lambda user: acts.remove_grant(user, "tenant:*")
    )
    form["refresh_token"] = second["refresh_token"]
    third = ask(deployment.anonymous, **form).json()
    assert third["scope"] == "cloud_controller.read cloud_controller.write"


@pytest.mark.row("C-69", "C-72")
def test_refresh_token_is_no_access_token_nor_the_other_way_round(deployment: Deployment) -> None:
    issued = deployment.token(deployment.user("dev"))
    answer = deployment.http(issued["refresh_token"]).get("/v2/events")
    assert (answer.status_code, answer.json()["code"]) == (401, 1000)
    for token in (issued["access_token"], "a.b.c", "nonsense"):
        answer = ask(deployment.anonymous, grant_type="refresh_token", refresh_token=token)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


@pytest.mark.row("C-69")
def test_refresh_token_works_for_its_own_client_and_user_only(deployment: Deployment) -> None:
    login = deployment.user("dev")
    issued = deployment.token(login)
    id = deployment.client("exporter", "cloud_controller.read")
    form = {"grant_type": "refresh_token", "refresh_token": issued["refresh_token"]}
    assert ask(deployment.anonymous, (id, SECRET), **form).status_code == 401
    deployment.server.change(User, deployment.tenant, f"id-of-{login}", acts.delete)
    assert ask(deployment.anonymous, **form).status_code == 401
    answer = deployment.http(issued["access_token"]).get("/v2/events")
    assert (answer.status_code, answer.json()["code"]) == (401, 1000)


@pytest.mark.row("C-70")
def test_client_credentials_in_every_place_clients_put_them(deployment: Deployment) -> None:
    id = deployment.client("exporter", "cloud_controller.global_auditor", "cloud_controller.read")
    grant = {"grant_type": "client_credentials"}
    both = {"client_id": id, "client_secret": SECRET}
    encoded = {"X-CF-ENCODED-CREDENTIALS": "true"}
    http = deployment.anonymous
    answers = [
        ask(http, (id, SECRET), **grant),
        ask(http, None, **grant, **both),
        ask(http, (id, SECRET), **grant, **both, scope=""),
        http.get("/oauth/token", params=grant, auth=(id, SECRET)),
        http.post(
            "/oauth/token", data=grant, auth=(id, SECRET.replace(" ", "%20")), headers=encoded
        ),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        issued = answer.json()
        assert "refresh_token" not in issued
        claims = claims_of(issued["access_token"])
        assert claims["authorities"] == claims["scope"] == issued["scope"].split()
        assert "user_id" not in claims
        assert claims["client_id"] == id
        assert deployment.http(issued["access_token"]).get("/v2/events").status_code == 200


@pytest.mark.row("C-70")
def test_wanted_scopes_narrow_those_there_are(deployment: Deployment) -> None:
    id = deployment.client("exporter", "cloud_controller.global_auditor", "cloud_controller.read")
    grant = {"grant_type": "client_credentials"}
    narrowed = ask(deployment.anonymous, (id, SECRET), **grant, scope="cloud_controller.read other")
    assert narrowed.json()["scope"] == "cloud_controller.read"
    refused = ask(deployment.anonymous, (id, SECRET), **grant, scope="cloud_controller.admin")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")


@pytest.mark.row("C-76")
@pytest.mark.parametrize("role", ["admin", "admin_read_only", "global_auditor"])
def test_token_with_a_narrower_scope_reads_no_more_than_it(
    deployment: Deployment, role: str
) -> None:
    deployment.record(resource("seen"), resource("hidden", space_guid="space-9"))
    login = deployment.user("dev", ("tenant:*", role), ("space:space-1", "space_developer"))
    grant = {"grant_type": "password", "username": login, "password": PASSWORD}

    def read_with(scope: str) -> Json:
        answer = ask(deployment.anonymous, **grant, scope=scope)
        assert answer.status_code == 200, answer.text
        issued: Json = answer.json()
        return issued

    def seen_with(token: str) -> list[str]:
        client = deployment.http(token)
        shown = guids(client.get("/v2/events").json()["resources"])
        assert client.get("/v1/events?total=true").json()["total"] == len(shown)
        assert guids(client.get("/v3/audit_events").json()["resources"]) == shown
        return shown

    assert seen_with(read_with("")["access_token"]) == ["seen", "hidden"]
    assert seen_with(read_with(f"cloud_controller.{role}")["access_token"]) == ["seen", "hidden"]
    narrow = read_with("cloud_controller.read openid")
    assert narrow["scope"] == "cloud_controller.read"
    assert seen_with(narrow["access_token"]) == ["seen"]
    again = ask(
        deployment.anonymous, grant_type="refresh_token", refresh_token=narrow["refresh_token"]
    )
    assert seen_with(again.json()["access_token"]) == ["seen"]
    if role == "admin":
        writer = deployment.http(read_with("cloud_controller.write")["access_token"])
        answer = writer.get("/v2/events")
        assert (answer.status_code, answer.json()["code"]) == (403, 10007)


@pytest.mark.row("C-72")
def test_wrong_secret_of_the_built_in_client_is_refused(deployment: Deployment) -> None:
    login = deployment.user("dev")
    grant = {"grant_type": "password", "username": login, "password": PASSWORD}
    wrong: list[tuple[tuple[str, str] | None, dict[str, str]]] = [
        (("cf", "wrong"), {}),
        (None, {"client_id": "cf", "client_secret": "wrong"}),
    ]
    for auth, fields in wrong:
        answer = ask(deployment.anonymous, auth, **grant, **fields)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic")
    issued = ask(deployment.anonymous, **grant).json()
    refresh = {"grant_type": "refresh_token", "refresh_token": issued["refresh_token"]}
    assert ask(deployment.anonymous, ("cf", "wrong"), **refresh).status_code == 401
    assert ask(deployment.anonymous, None, **grant, client_id="cf").status_code == 200


@pytest.mark.row("C-76")
@pytest.mark.parametrize("scopes", [("cloud_controller.read",), ("read", "write")])
def test_client_with_a_user_has_the_roles_of_that_user(
    deployment: Deployment, scopes: tuple[str, ...]
) -> None:
    deployment.record(resource("seen"), resource("hidden", space_guid="space-9"))
    login = deployment.user("dev", ("space:space-1", "space_developer"))
    id = deployment.client("exporter", *scopes, user=f"id-of-{login}")
    issued = ask(deployment.anonymous, (id, SECRET), grant_type="client_credentials").json()
    program = deployment.http(issued["access_token"])
    assert guids(program.get("/v2/events").json()["resources"]) == ["seen"]
    assert program.get("/v1/events?total=true").json()["total"] == 1
    # A program that was given the right to record is no person, who leaves events by acting.
    recorded = program.post("/extensions/cloudfoundry/events", json=resource("its-own"))
    assert recorded.status_code == (201 if "write" in scopes else 403)
    natively = program.post("/v1/events", json={"kind": "order.created"})
    assert natively.status_code == recorded.status_code


@pytest.mark.row("C-76")
def test_client_whose_user_is_gone_is_refused(deployment: Deployment) -> None:
    id = deployment.client("exporter", "read", "write", user="nobody-any-more")
    issued = ask(deployment.anonymous, (id, SECRET), grant_type="client_credentials").json()
    program = deployment.http(issued["access_token"])
    assert program.get("/v2/events").status_code == 401
    assert program.post("/v1/events", json={"kind": "order.created"}).status_code == 401


@pytest.mark.row("C-72")
@pytest.mark.parametrize(
    ("form", "auth", "status", "error"),
    [
        ({}, CF, 400, "invalid_request"),
        ({"grant_type": "implicit"}, CF, 400, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, CF, 400, "invalid_request"),
        ({"grant_type": "password", "username": "nobody", "password": "x"}, CF, 401,
         "unauthorized"),
        ({"grant_type": "password", "passcode": "123"}, CF, 401, "unauthorized"),
        ({"grant_type": "password", "username": "x"}, ("nobody", "x"), 401, "invalid_client"),
        ({"grant_type": "password", "username": "x"}, None, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, CF, 401, "unauthorized_client"),
        ({"grant_type": "client_credentials"}, ("nobody", "x"), 401, "invalid_client"),
    ],
)  # fmt: skip
def test_refusal_has_the_shape_clients_know(
    deployment: Deployment,
    form: dict[str, str],
    auth: tuple[str, str] | None,
    status: int,
    error: str,
) -> None:
    answer = ask(deployment.anonymous, auth, **form)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "error_description"}
    assert answer.json()["error"] == error
    assert (status == 401) is ("www-authenticate" in answer.headers)


@pytest.mark.row("C-72")
def test_wrong_password_and_unknown_user_look_the_same(deployment: Deployment) -> None:
    login = deployment.user("dev")
    answers = [
        ask(deployment.anonymous, grant_type="password", username=name, password="wrong")
        for name in (login, f"nobody@{deployment.tenant}")
    ]
    for answer in answers:
        assert answer.status_code == 401
        assert answer.json() == {"error": "unauthorized", "error_description": "Bad credentials"}


@pytest.mark.row("C-72")
@pytest.mark.parametrize(
    ("content", "authorization"),
    [
        (b"\xff\xfe", "Basic Y2Y6"),
        (b"grant_type=password" + b"&a=1" * 200, "Basic Y2Y6"),
        (b"x" * 20_000, "Basic Y2Y6"),
        (b"grant_type=password", "Basic ???"),
        (b"grant_type=password", "Basic"),
        (b"grant_type=client_credentials&client_id=%00&client_secret=%00", ""),
    ],
)
def test_garbage_is_refused_in_the_same_shape(
    deployment: Deployment, content: bytes, authorization: str
) -> None:
    headers = {
        "Authorization": authorization,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    answer = deployment.anonymous.post("/oauth/token", content=content, headers=headers)
    assert 400 <= answer.status_code < 402
    assert set(answer.json()) == {"error", "error_description"}


def test_password_in_an_address_is_refused(deployment: Deployment) -> None:
    params = {"grant_type": "password", "username": deployment.user("dev"), "password": PASSWORD}
    answer = deployment.anonymous.get("/oauth/token", params=params, auth=CF)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_guessing_is_slowed_down(deployment: Deployment) -> None:
    login = deployment.user("dev")
    wrong = {"grant_type": "password", "username": login, "password": "wrong"}
    statuses = [ask(deployment.anonymous, **wrong).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    right = ask(
        deployment.anonymous, grant_type="password", username=login.upper(), password=PASSWORD
    )
    assert right.status_code == 429
    assert int(right.headers["retry-after"]) >= 1
    assert deployment.token(deployment.user("other"))["access_token"]


@pytest.mark.row("C-71")
def test_published_key_verifies_tokens(deployment: Deployment) -> None:
    issued = deployment.token(deployment.user("dev"))
    [key] = deployment.anonymous.get("/token_keys").json()["keys"]
    assert deployment.anonymous.get("/token_key").json() == key
    header = jwt.get_unverified_header(issued["access_token"])
    assert header["kid"] == key["kid"]
    claims = jwt.decode(
        issued["access_token"], key["value"], algorithms=[key["alg"]], audience="cloud_controller"
    )
    assert claims["jti"] == issued["jti"]


@pytest.fixture(scope="module")
def timed(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Deployment, SetClock]]:
    """Return a deployment on a server whose clock the test moves."""
    clock = SetClock()
    with open_server(tmp_path_factory.mktemp("timed") / "data", clock=clock) as server:
        made = Deployment(server)
        yield made, clock
        made.close()


@pytest.mark.row("C-56", "C-69")
def test_expired_token_is_told_from_a_missing_one(timed: tuple[Deployment, SetClock]) -> None:
    deployment, clock = timed
    issued = deployment.token(deployment.user("dev"))
    client = deployment.http(issued["access_token"])
    assert client.get("/v2/events").status_code == 200
    clock.ms += issued["expires_in"] * 1000
    answer = client.get("/v2/events")
    assert answer.status_code == 401
    assert answer.json() == {
        "description": "Invalid Auth Token", "error_code": "CF-InvalidAuthToken", "code": 1000
    }  # fmt: skip
    third = client.get("/v3/audit_events").json()["errors"][0]
    assert (third["code"], third["title"]) == (1000, "CF-InvalidAuthToken")
    form = {"grant_type": "refresh_token", "refresh_token": issued["refresh_token"]}
    renewed = ask(deployment.anonymous, **form).json()
    assert deployment.http(renewed["access_token"]).get("/v2/events").status_code == 200


@pytest.mark.row("C-70")
def test_client_secret_is_valid_for_its_time(timed: tuple[Deployment, SetClock]) -> None:
    deployment, clock = timed
    id = deployment.client("exporter", "cloud_controller.read")

    def end(client: OAuthClient) -> Act:
        [secret] = client.secrets
        ending = msgspec.structs.replace(secret, valid_until_ms=clock.ms + 1000)
        changed = msgspec.structs.replace(client, secrets=(ending,))
        return acts.change_client(changed, "client.changed")

    deployment.server.change(OAuthClient, deployment.tenant, id, end)
    grant = {"grant_type": "client_credentials"}
    assert ask(deployment.anonymous, (id, SECRET), **grant).status_code == 200
    clock.ms += 1000
    assert ask(deployment.anonymous, (id, SECRET), **grant).status_code == 401


def test_token_of_a_platform_s_own_login_server_is_taken_once_its_key_is_known(
    deployment: Deployment,
) -> None:
    """An operator may keep the platform's UAA: its tokens are verified by a key set."""
    login = deployment.user("dev", ("space:space-1", "space_developer"))
    deployment.record(resource("seen"), resource("hidden", space_guid="space-9"))
    secret = base64.b64encode(b"a secret of at least thirty-two bytes").decode()
    issuer = f"https://uaa.{deployment.tenant}.example.com/oauth/token"
    deployment.server.save_key_set(
        deployment.tenant, "uaa", secret=secret, issuer=issuer, user_claim="user_id",
        audience="cloud_controller", admin_claim="scope",
    )  # fmt: skip

    def seen(user_id: str, *scope: str) -> list[str]:
        claims = {
            "user_id": user_id, "iss": issuer, "aud": ["cloud_controller"], "scope": scope,
            "exp": 2_000_000_000 * 2,
        }  # fmt: skip
        client = deployment.http(jwt.encode(claims, secret, algorithm="HS256"))
        return guids(client.get("/v2/events").json()["resources"])

    assert seen(f"id-of-{login}", "cloud_controller.read") == ["seen"]
    assert seen("somebody", "cloud_controller.admin") == ["seen", "hidden"]
