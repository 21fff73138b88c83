"""Roles: who sees which events, in this API and in every other, and who may see a trail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tallystick.errors import SettingsError
from tallystick.events.event import Json
from tallystick.identity.access import SHARING_ROLES
from tallystick.node.node import open_node
from tallystick.settings import Settings
from tests.dialects.onehub.conftest import Share, ids_of
from tests.dialects.onehub.samples import LOGO
from tests.support.live_server import LiveServer, open_server

HERE = "workspace:4137"
THERE = {"id": 4138, "name": "Other"}
TRAIL = "/files/849607/audit_trail"


def native_ids(client: httpx2.Client) -> list[int]:
    """Return what a user sees natively, by the ids that Onehub shows."""
    events = client.get("/v1/events").json()["events"]
    return [event["index"] + 1 for event in events if event["dialect"] == "onehub"]


@pytest.mark.row("H-14")
@pytest.mark.parametrize("role", SHARING_ROLES)
def test_every_role_but_access_denied_sees_the_workspace(share: Share, role: str) -> None:
    event = share.record("upload")
    user = share.user("1", (HERE, role))
    assert ids_of(user.get("/activity")) == ([] if role == "Access Denied" else [event["id"]])


@pytest.mark.row("H-13", "H-14")
@pytest.mark.resolution("onehub-O5")
@pytest.mark.parametrize(
    ("role", "status"),
    [
        ("Administrator", 200),
        ("Moderator", 200),
        ("Collaborator", 403),
        ("Creator", 403),
        ("Downloader", 403),
        ("Printer", 403),
        ("Viewer", 403),
        ("Access Denied", 404),
    ],
)
def test_a_trail_is_for_moderators_of_the_files_workspace(
    share: Share, role: str, status: int
) -> None:
    share.record("upload")
    user = share.user("1", (HERE, role), ("workspace:4138", "Administrator"))
    answer = user.get(TRAIL)
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["total_entries"] == 1
    else:
        assert set(answer.json()) == {"error"}


@pytest.mark.row("H-21")
def test_what_is_not_shared_is_as_if_it_did_not_exist(share: Share) -> None:
    share.record("upload")
    there = share.record("upload", workspace=THERE, file={**LOGO, "id": 5})
    user = share.user("1", ("workspace:4138", "Moderator"))
    page = user.get("/activity").json()
    assert page["total_entries"] == 1
    assert page["items"][0]["event"]["id"] == there["id"]
    assert (
        user.get("/activity?workspaces=4137").json() == user.get("/activity?workspaces=99").json()
    )
    hidden, unknown = user.get(TRAIL), user.get("/files/99/audit_trail")
    assert (hidden.status_code, hidden.json()) == (unknown.status_code, unknown.json())
    assert hidden.headers.keys() == unknown.headers.keys()
    assert hidden.status_code == 404


@pytest.mark.row("H-21")
def test_another_account_is_as_if_it_did_not_exist(share: Share, server: LiveServer) -> None:
    share.record("upload")
    other = Share(server)
    try:
        stranger = other.user("1", ("tenant:*", "Administrator"), (HERE, "Administrator"))
        assert stranger.get("/activity").json()["total_entries"] == 0
        assert stranger.get(TRAIL).status_code == 404
        assert stranger.get("/v1/resources/file/849607").status_code == 404
    finally:
        other.close()


@pytest.mark.row("H-14")
@pytest.mark.parametrize(
    ("grants", "seen", "trail"),
    [
        ([("tenant:*", "Moderator")], True, 200),
        ([("tenant:*", "Administrator"), (HERE, "Viewer")], True, 403),
        ([("tenant:*", "Administrator"), (HERE, "Access Denied")], False, 404),
        ([(HERE, "Access Denied"), ("folder:10", "Moderator")], True, 200),
        ([(HERE, "Moderator"), ("folder:10", "Access Denied")], False, 404),
        ([("folder:10", "Access Denied"), ("folder:20", "Moderator")], True, 200),
        ([("folder:20", "Access Denied"), ("folder:10", "Moderator")], False, 404),
        ([("folder:10", "Moderator"), ("folder:20", "Viewer")], True, 403),
        ([("folder:20", "Access Denied"), ("file:849607", "Moderator")], True, 200),
        ([("folder:10", "Administrator"), ("file:849607", "Access Denied")], False, 404),
        ([("file:849608", "Administrator")], False, 404),
        ([("folder:30", "Administrator")], False, 404),
    ],
)
def test_the_most_specific_grant_decides(
    share: Share, grants: list[tuple[str, str]], seen: bool, trail: int
) -> None:
    """The file is in folder 20, which is in folder 10, which is in the workspace."""
    event = share.record("upload", file={**LOGO, "ancestor_ids": [10, 20]})
    user = share.user("1", *grants)
    expected = [event["id"]] if seen else []
    assert ids_of(user.get("/activity")) == expected
    assert native_ids(user) == expected
    assert user.get("/v1/events?total=true").json()["total"] == len(expected)
    assert user.get(TRAIL).status_code == trail


def test_folders_are_those_of_the_time_of_the_event(share: Share) -> None:
    """Who may enter a folder sees what happened in it, also to what was moved away since."""
    inside = share.record("upload", file={**LOGO, "ancestor_ids": [10]})
    share.record("read", file={**LOGO, "ancestor_ids": [30]})
    user = share.user("1", ("folder:10", "Viewer"))
    assert ids_of(user.get("/activity")) == [inside["id"]]


def test_a_folder_grant_reaches_events_about_the_folder(share: Share) -> None:
    event = share.record("create", file=None, folder={"id": 10, "filename": "Plans"})
    share.record("create", file=None, folder={"id": 11, "filename": "Others"})
    user = share.user("1", ("folder:10", "Viewer"))
    assert ids_of(user.get("/activity")) == [event["id"]]


def test_a_role_shows_no_more_natively(share: Share) -> None:
    seen = share.record("upload")
    hidden = share.record("upload", workspace=THERE)
    user = share.user("1", (HERE, "Viewer"))
    assert native_ids(user) == [seen["id"]]
    for event, status in ((seen, 200), (hidden, 404)):
        listed = share.program.get("/v1/events?total=true").json()["events"]
        (one,) = [found for found in listed if found["index"] + 1 == event["id"]]
        assert user.get(f"/v1/events/{one['id']}").status_code == status
        assert user.get(f"/v1/events/{one['id']}/receipt").status_code == status
    assert user.get("/v1/resources/workspace/4138").status_code == 404
    assert user.get("/v2/events").json()["total_results"] == 1
    assert share.program.get("/v2/events").json()["total_results"] == 2


def test_a_deleted_file_keeps_its_trail_for_moderators(share: Share) -> None:
    share.record("upload")
    share.record("delete")
    assert share.user("1", (HERE, "Moderator")).get(TRAIL).json()["total_entries"] == 2


def test_the_role_where_the_file_is_now_opens_its_trail(share: Share) -> None:
    share.record("upload")
    moved = share.record("update", workspace=THERE)
    assert share.user("1", (HERE, "Moderator")).get(TRAIL).status_code == 200
    there = share.user("2", ("workspace:4138", "Moderator"))
    assert ids_of(there.get(TRAIL)) == [moved["id"]]
    both = share.user("3", (HERE, "Moderator"), ("workspace:4138", "Viewer"))
    assert both.get(TRAIL).status_code == 403


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Return a server whose lower roles see their own events only."""
    folder = tmp_path_factory.mktemp("strict") / "data"
    with open_server(folder, onehub={"own_events_only": True}) as live:
        yield live


@pytest.fixture
def strict(strict_server: LiveServer) -> Iterator[Share]:
    share = Share(strict_server)
    yield share
    share.close()


def recorded_by(share: Share, *users: int) -> list[Json]:
    return [share.record("read", user={"id": user, "name": f"User {user}"}) for user in users]


@pytest.mark.parametrize("role", [role for role in SHARING_ROLES if role != "Access Denied"])
def test_a_setting_keeps_lower_roles_to_their_own_events(strict: Share, role: str) -> None:
    own, other = recorded_by(strict, 1, 2)
    user = strict.user("1", (HERE, role))
    if role in ("Moderator", "Administrator"):
        expected, trail = [other["id"], own["id"]], 200
    else:
        expected, trail = [own["id"]], 403
    page = user.get("/activity")
    assert ids_of(page) == expected
    assert page.json()["total_entries"] == len(expected)
    assert native_ids(user) == expected
    assert user.get(TRAIL).status_code == trail


def test_who_did_nothing_yet_is_still_told_that_the_trail_is_closed(strict: Share) -> None:
    """The file lies in a workspace that the user may enter, so its existence is no secret."""
    recorded_by(strict, 2)
    user = strict.user("1", (HERE, "Viewer"))
    assert ids_of(user.get("/activity")) == []
    assert user.get(TRAIL).status_code == 403
    assert user.get("/files/99/audit_trail").status_code == 404


def test_own_events_are_known_by_every_name_of_the_user(strict: Share) -> None:
    own, _ = recorded_by(strict, 1, 2)
    user = strict.user("alice", (HERE, "Viewer"), aliases=("1",))
    assert ids_of(user.get("/activity")) == [own["id"]]


def test_the_setting_has_to_be_a_flag(tmp_path: Path) -> None:
    settings = Settings(onehub={"own_events_only": "yes"})
    with pytest.raises(SettingsError, match="own_events_only"):
        open_node(tmp_path, settings, followers=False)
