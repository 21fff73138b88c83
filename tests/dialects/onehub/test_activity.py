"""The activity feed and the audit trail over a socket."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tallystick.events.event import Draft, Resource
from tests.dialects.onehub.conftest import PASSWORD, Share, details, ids_of, plain
from tests.dialects.onehub.samples import LOGO, MATTHEW, SEED_UPLOAD, TESTING, act

ADA = {"id": 482, "name": "Ada"}
OTHER = {"id": 4138, "name": "Other"}
ADMIN = ("tenant:*", "Administrator")


def at(second: int) -> str:
    return f"2016-01-18T11:16:{second:02d}Z"


@pytest.mark.row("H-1", "H-2")
@pytest.mark.resolution("onehub-O7", "onehub-O10")
def test_both_lists_answer_the_same_envelope(share: Share) -> None:
    event = share.record("upload")
    page = {
        "total_entries": 1,
        "current_page": 1,
        "total_pages": 1,
        "per_page": 30,
        "items": [{"event": event}],
    }
    assert share.program.get("/activity/").json() == page
    assert share.program.get("/files/849607/audit_trail").json() == page
    assert event["detail"] == SEED_UPLOAD


@pytest.mark.resolution("onehub-O2")
def test_an_empty_feed_has_no_pages(share: Share) -> None:
    assert share.program.get("/activity").json() == {
        "total_entries": 0,
        "current_page": 1,
        "total_pages": 0,
        "per_page": 30,
        "items": [],
    }


@pytest.mark.row("H-24")
@pytest.mark.resolution("onehub-O6")
@pytest.mark.parametrize("ending", ["", "/", ".json"])
def test_paths_may_end_with_a_slash_or_json(share: Share, ending: str) -> None:
    event = share.record("upload")
    for path in ("/activity", "/files/849607/audit_trail"):
        assert ids_of(share.program.get(path + ending)) == [event["id"]]


@pytest.mark.row("H-4")
def test_workspaces_keep_their_events(share: Share) -> None:
    here, there = share.record("read"), share.record("read", workspace=OTHER)
    get = share.program.get
    assert ids_of(get("/activity?workspaces[]=4137")) == [here["id"]]
    assert ids_of(get("/activity?workspaces=4137,4138")) == [there["id"], here["id"]]
    assert ids_of(get("/activity?workspaces=99")) == []
    assert ids_of(get("/activity?workspaces=")) == [there["id"], here["id"]]


@pytest.mark.row("H-5")
@pytest.mark.resolution("onehub-O9")
def test_verbs_keep_their_events(share: Share) -> None:
    for verb in ("upload", "read", "download", "update", "delete"):
        share.record(verb)
    share.record("create", file=None)
    share.record("invite", file=None, email="b@x.org")
    get = share.program.get
    for verb in ("upload", "read", "download", "update", "delete", "create", "invite"):
        assert len(ids_of(get(f"/activity?verbs={verb}"))) == 1
    assert [text.split()[2] for text in details(get("/activity?verbs=read,delete"))] == [
        "deleted",
        "viewed",
    ]


@pytest.mark.row("H-6", "H-7")
@pytest.mark.resolution("onehub-O4")
def test_own_events_can_be_left_out_and_others_asked_for(share: Share) -> None:
    mine, hers = share.record("read"), share.record("read", user=ADA)
    matthew = share.user("481", ADMIN)
    assert ids_of(matthew.get("/activity")) == [hers["id"], mine["id"]]
    assert ids_of(matthew.get("/activity?filter_self=true")) == [hers["id"]]
    assert ids_of(matthew.get("/activity?actor=481")) == [mine["id"]]
    assert ids_of(matthew.get("/activity?actor=482")) == [hers["id"]]
    assert ids_of(matthew.get("/activity?actor=481&filter_self=1")) == []
    assert ids_of(matthew.get("/activity?actor=483")) == []


@pytest.mark.row("H-8", "H-15")
@pytest.mark.resolution("onehub-O3")
def test_times_are_those_of_the_reader(share: Share) -> None:
    event = share.record("read", updated_at="2016-01-18T19:16:53.7Z")
    assert event["updated_at"] == "2016-01-18T19:16:53+00:00"
    pacific = share.user("481", ADMIN, time_zone="America/Los_Angeles")
    indian = share.user("482", ADMIN, time_zone="Asia/Kolkata")
    (item,) = pacific.get("/activity").json()["items"]
    assert item["event"]["updated_at"] == "2016-01-18T11:16:53-08:00"
    (item,) = indian.get("/activity").json()["items"]
    assert item["event"]["updated_at"] == "2016-01-19T00:46:53+05:30"

    local = "Mon, 18 Jan 2016 11:16:53"
    for bounds in (
        {"start_time": local, "end_time": local},
        {"start_time": "Mon, 18 Jan 2016 14:16:53 EST", "end_time": f"{local} -0800"},
        {"end_time": "2016-01-18T19:16:53Z"},
    ):
        assert ids_of(pacific.get("/activity", params=bounds)) == [event["id"]], bounds
    for bounds in (
        {"start_time": "Mon, 18 Jan 2016 11:16:54"},
        {"end_time": "Mon, 18 Jan 2016 11:16:52"},
        {"start_time": "Tue, 19 Jan 2016", "end_time": "Mon, 18 Jan 2016 11:16:52"},
        {"end_time": f"{local} -0000"},
    ):
        response = pacific.get("/activity", params=bounds)
        assert response.status_code == 422 or ids_of(response) == [], bounds
    # A plus sign in an address that nobody escaped is a blank.
    plus = quote("Mon, 18 Jan 2016 19:16:53 +0000", safe="+")
    assert ids_of(pacific.get(f"/activity?start_time={plus}&end_time={plus}")) == [event["id"]]


@pytest.mark.row("H-9")
@pytest.mark.resolution("onehub-O1")
def test_a_get_may_have_a_body(share: Share) -> None:
    here = share.record("read")
    share.record("read", workspace=OTHER)
    for path in ("/activity/", "/activity"):
        answer = share.program.request("GET", path, json={"workspaces": [4137], "verbs": ["read"]})
        assert ids_of(answer) == [here["id"]]
        answer = share.program.request("GET", path, data={"workspaces[]": ["4137"]})
        assert ids_of(answer) == [here["id"]]
        answer = share.program.request("GET", f"{path}?workspaces=4137", json={"workspaces": [1]})
        assert ids_of(answer) == [here["id"]]


@pytest.mark.row("H-12", "H-25")
@pytest.mark.resolution("onehub-O8")
def test_pages_go_by_offset_newest_first(share: Share) -> None:
    """Several events have the same time, so that ties show."""
    ids = [share.record("read", updated_at=at(n // 3))["id"] for n in range(42)]
    newest = sorted(ids, reverse=True)
    get = share.program.get
    assert ids_of(get("/activity")) == newest[:30]
    page = get("/activity?offset=1")
    assert ids_of(page) == newest[1:31]
    assert (page.json()["current_page"], page.json()["total_pages"]) == (2, 2)
    assert page.json()["total_entries"] == 42
    assert ids_of(get("/activity?offset=30")) == newest[30:]
    assert ids_of(get("/files/849607/audit_trail?offset=30")) == newest[30:]
    assert ids_of(get("/activity?page=2&per_page=20")) == newest[20:40]
    beyond = get("/activity?offset=60").json()
    assert (beyond["items"], beyond["total_entries"], beyond["current_page"]) == ([], 42, 3)
    far = get(f"/activity?offset={30 * 10**30}").json()
    assert (far["items"], far["total_entries"], far["current_page"]) == ([], 42, 10**30 + 1)
    assert get(f"/activity?page={10**20}&per_page=7").json()["current_page"] == 10**20
    assert ids_of(share.program.request("GET", "/activity", json={"offset": 40})) == newest[40:]


@pytest.mark.row("H-2")
@pytest.mark.resolution("onehub-O11")
def test_a_trail_has_all_events_of_the_file_and_no_others(share: Share) -> None:
    upload = share.record("upload")
    share.record("upload", file={**LOGO, "id": 849608})
    viewed = share.record("read", file={**LOGO, "filename": "onehub-logo.png"})
    deleted = share.record("delete", user=ADA)
    share.record("create", file=None, folder={"id": 849607, "filename": "Not the file"})
    trail = "/files/849607/audit_trail"
    newest = [deleted["id"], viewed["id"], upload["id"]]
    assert ids_of(share.program.get(trail)) == newest
    assert ids_of(share.program.get(f"{trail}?verbs=read")) == [viewed["id"]]
    assert ids_of(share.program.get(f"{trail}?actor=482")) == [deleted["id"]]
    assert ids_of(share.program.get(f"{trail}?workspaces=99")) == newest


@pytest.mark.row("H-20")
def test_a_rename_changes_no_sentence(share: Share) -> None:
    share.record("upload")
    share.record("read", file={**LOGO, "filename": "onehub-logo.png"})
    share.record("read", workspace={**TESTING, "name": "Renamed"}, user={**MATTHEW, "name": "M."})
    assert details(share.program.get("/activity")) == [
        "M. viewed the Onehub_Med_RGB.png File (7 KB) in the Renamed Workspace",
        "Matthew Anderson viewed the onehub-logo.png File (7 KB) in the Testing the API Workspace",
        "Matthew Anderson uploaded the Onehub_Med_RGB.png File (7 KB)"
        " to the Testing the API Workspace",
    ]


@pytest.mark.row("H-19")
def test_a_hostile_name_comes_back_as_text(share: Share) -> None:
    for name in ("</object><script>", "a & b", '"', "\u202egnp.exe", "x" * 1024):
        event = share.record("upload", file={**LOGO, "filename": name})
        assert name in unescaped(event["detail"])
        assert "<script" not in event["detail"]


def unescaped(detail: str) -> str:
    for entity, letter in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        detail = detail.replace(entity, letter)
    return detail


@pytest.mark.row("H-22")
def test_a_token_is_needed(share: Share) -> None:
    share.record("upload")
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Digest x"},
        {"Authorization": "OAuth"},
    ):
        for path in ("/activity", "/files/849607/audit_trail", "/activity?oauth_token=x"):
            answer = share.anonymous.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert set(answer.json()) == {"error"}


@pytest.mark.row("H-23")
def test_the_password_grant_leads_to_a_feed(share: Share) -> None:
    """As the vendor's own example does it: form-encoded, a registered client, then the token."""
    event = share.record("upload")
    login = f"matthew@{share.tenant}"
    share.server.create_user(share.tenant, "481", login=login, password=PASSWORD)
    share.server.grant(share.tenant, "481", *ADMIN)
    client = share.client("the-app", "battery staple")
    answer = share.anonymous.post(
        "/oauth/token",
        data={
            "grant_type": "password",
            "client_id": client,
            "client_secret": "battery staple",
            "username": login,
            "password": PASSWORD,
            "device": "a desk",
            "redirect_uri": "http://localhost/",
        },
    )
    assert answer.status_code == 200, answer.text
    token = answer.json()
    assert {"access_token", "refresh_token", "expires_in"} <= token.keys()
    assert isinstance(token["expires_in"], int)
    for scheme in ("Bearer", "OAuth", "bearer"):
        feed = share.http(f"{scheme} {token['access_token']}")
        assert ids_of(feed.get("/activity.json")) == [event["id"]]


@pytest.mark.row("H-26")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/activity", 405),
        ("DELETE", "/activity/", 405),
        ("PUT", "/files/5/audit_trail", 405),
        ("GET", "/activity/5", 404),
        ("GET", "/files/5", 404),
        ("GET", "/files", 404),
        ("GET", "/files/x/audit_trail", 404),
        ("GET", "/files/05/audit_trail", 404),
        ("GET", "/files/99/audit_trail", 404),
        ("GET", "/files/" + "9" * 400 + "/audit_trail", 404),
        ("GET", "/workspaces/x", 404),
        ("GET", "/workspaces/5/files/x", 404),
        ("GET", "/activity?verbs=eat", 422),
        ("GET", "/activity?offset=-1", 422),
        ("GET", "/files/5/audit_trail?per_page=0", 404),
    ],
)
def test_errors_are_json(share: Share, method: str, path: str, status: int) -> None:
    answer = share.program.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert isinstance(body["error"], str)
    assert body["error"]
    if status == 422:
        ((parameter, texts),) = body["errors"].items()
        assert parameter in path
        assert texts == [body["error"]]
    if status == 405:
        assert "GET" in answer.headers["allow"]


def test_a_malformed_parameter_of_a_trail_is_refused(share: Share) -> None:
    share.record("upload")
    assert share.program.get("/files/849607/audit_trail?verbs=eat").status_code == 422


def test_links_lead_to_what_is_known(share: Share) -> None:
    share.record("upload")
    share.record("create", file=None, folder={"id": 12, "filename": "Plans"})
    for path, name in (
        ("/workspaces/4137", "Testing the API"),
        ("/workspaces/4137/files/849607", "Onehub_Med_RGB.png"),
        ("/workspaces/4137/folders/12", "Plans"),
    ):
        answer = share.program.get(path)
        assert answer.status_code == 302
        assert share.program.get(answer.headers["location"]).json()["name"] == name


def test_recording_says_that_it_is_an_extension(share: Share) -> None:
    answer = share.program.post("/extensions/onehub/events", json={"event": act("read")})
    assert answer.status_code == 201
    assert answer.headers["x-tallystick-extension"] == "onehub"
    assert list(answer.json()["event"]) == [
        "id",
        "updated_at",
        "detail",
        "workspace_id",
        "user_id",
    ]


def test_a_repeated_request_records_once(share: Share) -> None:
    headers = {"Idempotency-Key": "one"}
    post = share.program.post
    first = post("/extensions/onehub/events", json=act("read"), headers=headers)
    again = post("/extensions/onehub/events", json=act("read"), headers=headers)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    other = post("/extensions/onehub/events", json=act("update"), headers=headers)
    assert other.status_code == 422
    assert share.program.get("/activity").json()["total_entries"] == 1


def test_an_imported_event_keeps_its_id_and_comes_once(share: Share) -> None:
    event = {
        "id": 5062927,
        "updated_at": "2016-01-15T16:22:45-08:00",
        "detail": SEED_UPLOAD,
        "workspace_id": 4137,
        "user_id": 481,
    }
    pacific = share.user("481", ADMIN, time_zone="America/Los_Angeles")
    for _ in range(2):
        answer = share.program.post("/extensions/onehub/events", json={"event": event})
        assert answer.status_code == 201
    page = pacific.get("/activity").json()
    assert page["items"] == [{"event": event}]
    assert page["total_entries"] == 1
    changed = {**event, "user_id": 482}
    answer = share.program.post("/extensions/onehub/events", json={"event": changed})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("body", "path"),
    [(act("eat"), "verb"), (act("read", user=None), "user"), (act("read", colour=1), "colour")],
)
def test_a_bad_record_stores_nothing(share: Share, body: dict[str, Any], path: str) -> None:
    answer = share.program.post("/extensions/onehub/events", json=body)
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [path]
    assert share.program.get("/activity").json()["total_entries"] == 0


def test_only_programs_and_administrators_tell_of_others(share: Share) -> None:
    user = share.user("481", ("workspace:4137", "Administrator"))
    assert user.post("/extensions/onehub/events", json=act("read")).status_code == 403
    reader = share.http(f"Bearer {share.key('read')}")
    assert reader.post("/extensions/onehub/events", json=act("read")).status_code == 403
    assert share.anonymous.post("/extensions/onehub/events", json=act("read")).status_code == 401
    admin = share.user("482", ("tenant:*", "admin"), name="Ada", email="ada@x.org")
    answer = admin.post("/extensions/onehub/events", json=act("read", user=None))
    assert answer.status_code == 201
    assert answer.json()["event"]["user_id"] == 482
    assert plain(answer.json()["event"]["detail"]).startswith("Ada viewed")


def test_an_administrator_is_known_by_the_integer_among_their_names(share: Share) -> None:
    admin = share.user("ada", ("tenant:*", "admin"), aliases=("482",))
    answer = admin.post("/extensions/onehub/events", json=act("read", user=None))
    assert answer.json()["event"]["user_id"] == 482
    assert admin.get("/activity?filter_self=true").json()["total_entries"] == 0
    nameless = share.user("bob", ("tenant:*", "admin"))
    answer = nameless.post("/extensions/onehub/events", json=act("read", user=None))
    assert answer.status_code == 422


def test_events_of_other_apis_are_shown_where_they_can_be_told(share: Share) -> None:
    user = Resource("user", "481", "Matthew Anderson")
    place = (Resource("workspace", "4137", "Testing the API"),)
    told = Draft(
        kind="folder.create", actor=user, target=Resource("folder", "12", "Plans"), scopes=place
    )
    share.append(
        told,
        Draft(kind="order.created", actor=user, target=Resource("order", "1"), scopes=place),
        Draft(kind="folder.create", actor=user, target=Resource("folder", "x"), scopes=place),
        Draft(kind="folder.create", actor=user, target=Resource("folder", "12")),
    )
    page = share.program.get("/activity")
    assert details(page) == [
        "Matthew Anderson created the Plans Folder in the Testing the API Workspace"
    ]
    assert page.json()["total_entries"] == 1
