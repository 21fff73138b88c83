"""What a principal may see and do, evaluated on plain events."""

from __future__ import annotations

import pytest

from tallystick.errors import Forbidden
from tallystick.events.event import Event, Op, Resource, View
from tallystick.identity.access import (
    Grant,
    Principal,
    Scope,
    moderated,
    reachable,
    require,
    sharing_rank,
    visible,
)
from tallystick.query.expr import Everything, Nothing
from tallystick.query.match import matches


def view(*scopes: str, target: str = "file:9", actor: str = "user:2") -> View:
    def resource(text: str) -> Resource:
        kind, _, id = text.partition(":")
        return Resource(kind, id)

    event = Event(
        tenant="t", index=0, id="x", kind="file.read", op=Op.RECORD, occurred_ms=0, recorded_ms=0,
        dialect="onehub", actor=resource(actor), target=resource(target),
        scopes=tuple(map(resource, scopes)),
    )  # fmt: skip
    return View(event=event, first=event, revision=0, revised_ms=0)


def user(*grants: tuple[str, str], own: bool = False) -> Principal:
    return Principal(
        tenant="t", scopes=frozenset({Scope.READ}), user="1", own_events_only=own,
        grants=tuple(Grant(scope, role) for scope, role in grants),
    )  # fmt: skip


def sees(principal: Principal, seen: View) -> bool:
    return matches(visible(principal), seen)


def test_keys_see_everything_and_nobody_sees_without_the_read_scope() -> None:
    assert visible(Principal(tenant="t", scopes=frozenset({Scope.READ}))) == Everything()
    assert visible(Principal(tenant="t", scopes=frozenset({Scope.ADMIN}), user="1")) == Everything()
    assert visible(Principal(tenant="t", scopes=frozenset({Scope.WRITE}))) == Nothing()
    assert visible(user()) == Nothing()


@pytest.mark.parametrize(
    ("grants", "seen"),
    [
        ([("workspace:1", "Viewer")], True),
        ([("workspace:2", "Viewer")], False),
        ([("workspace:1", "Access Denied")], False),
        ([("tenant:*", "Viewer")], True),
        ([("tenant:*", "Viewer"), ("workspace:1", "Access Denied")], False),
        ([("tenant:*", "Access Denied"), ("workspace:1", "Viewer")], True),
        ([("workspace:1", "Viewer"), ("folder:5", "Access Denied")], False),
        ([("workspace:1", "Access Denied"), ("folder:5", "Viewer")], True),
        ([("folder:5", "Access Denied"), ("file:9", "Viewer")], True),
        ([("workspace:1", "Administrator"), ("file:9", "Access Denied")], False),
        ([("file:8", "Viewer")], False),
        ([("space:7", "space_developer")], True),
        ([("space:7", "space_auditor")], True),
        ([("space:7", "space_manager")], False),
        ([("organization:6", "organization_auditor")], True),
        ([("organization:6", "organization_manager")], False),
        ([("tenant:*", "admin")], True),
        ([("tenant:*", "global_auditor")], True),
        ([("tenant:*", "user")], False),
    ],
)  # fmt: skip
def test_the_most_specific_grant_decides(grants: list[tuple[str, str]], seen: bool) -> None:
    event = view("workspace:1", "folder:5", "space:7", "organization:6")
    assert sees(user(*grants), event) is seen


@pytest.mark.parametrize(
    ("grants", "seen"),
    [
        ([("tenant:*", "Viewer")], True),
        ([("tenant:*", "Viewer"), ("workspace:1", "Access Denied")], False),
        ([("tenant:*", "Viewer"), ("workspace:1", "Viewer")], True),
        ([("tenant:*", "Viewer"), ("workspace:2", "Access Denied")], True),
        ([("tenant:*", "Access Denied"), ("workspace:1", "Viewer")], False),
        ([("workspace:1", "Viewer")], False),
    ],
)
def test_a_workspace_takes_away_what_is_about_it_wherever_it_happened(
    grants: list[tuple[str, str]], seen: bool
) -> None:
    assert sees(user(*grants), view(target="workspace:1")) is seen


def test_an_own_role_in_a_workspace_keeps_to_own_events_about_it() -> None:
    grants = [("tenant:*", "Moderator"), ("workspace:1", "Viewer")]
    assert sees(user(*grants, own=True), view(target="workspace:1", actor="user:1"))
    assert not sees(user(*grants, own=True), view(target="workspace:1"))


def test_lower_roles_may_be_kept_to_their_own_events() -> None:
    mine, other = view("workspace:1", actor="user:1"), view("workspace:1")
    lower, upper = ("workspace:1", "Collaborator"), ("workspace:1", "Moderator")
    assert sees(user(lower), other)
    assert sees(user(lower, own=True), mine)
    assert not sees(user(lower, own=True), other)
    assert sees(user(upper, own=True), other)


def test_what_may_be_entered_and_what_may_be_moderated_go_by_the_role() -> None:
    other = view("workspace:1")
    lower = user(("workspace:1", "Collaborator"), own=True)
    assert not matches(visible(lower), other)
    assert matches(reachable(lower), other)
    assert not matches(moderated(lower), other)
    assert matches(moderated(user(("workspace:1", "Moderator"))), other)


@pytest.mark.parametrize(
    ("scopes", "seen"),
    [
        (("workspace:1", "folder:4"), True),
        (("workspace:1", "folder:4", "folder:5"), False),
        (("workspace:1", "folder:5"), False),
        (("workspace:1", "folder:5", "folder:4"), True),
    ],
)
def test_of_two_folders_the_inner_one_decides(scopes: tuple[str, ...], seen: bool) -> None:
    grants = [("workspace:1", "Viewer"), ("folder:4", "Viewer"), ("folder:5", "Access Denied")]
    assert sees(user(*grants), view(*scopes)) is seen


def test_roles_are_ranked_and_unknown_ones_count_as_the_default() -> None:
    assert sharing_rank("Access Denied") == 0
    assert sharing_rank("Moderator") < sharing_rank("Administrator")
    assert sharing_rank("moderator") == sharing_rank("Downloader")


def test_scopes_are_required_by_name() -> None:
    key = Principal(tenant="t", scopes=frozenset({Scope.READ}))
    require(key, Scope.READ)
    with pytest.raises(Forbidden) as caught:
        require(key, Scope.WRITE)
    assert caught.value.role_needed == "write"
    require(Principal(tenant="t", scopes=frozenset({Scope.ADMIN})), Scope.PURGE)
