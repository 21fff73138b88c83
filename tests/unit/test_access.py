"""What file-sharing roles show, compared with a walk from the file outwards."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import access
from tallystick.access import SHARING_ROLES, Grant, Principal, Scope
from tallystick.event import Event, Op, Resource, View
from tallystick.query.expr import Everything, Nothing
from tallystick.query.match import matches

FOLDERS = ("1", "2", "3")
ROLES = (*SHARING_ROLES, "Owner of all", "space_manager")
PLACES = (
    "tenant:*",
    "workspace:7",
    "workspace:8",
    *(f"folder:{folder}" for folder in FOLDERS),
    "file:9",
)


def view_of(
    *, actor: str = "someone", workspace: str = "7", folders: tuple[str, ...] = (), target: Resource
) -> View:
    scopes = (Resource("workspace", workspace), *(Resource("folder", id) for id in folders))
    event = Event(
        tenant="t",
        index=0,
        id="",
        kind="file.read",
        op=Op.RECORD,
        occurred_ms=0,
        recorded_ms=0,
        dialect="onehub",
        actor=Resource("user", actor),
        target=target,
        scopes=scopes,
    )
    return View(event=event, first=event, revision=0, revised_ms=0)


def principal_of(
    grants: Mapping[str, str], *, own_events_only: bool = False, aliases: tuple[str, ...] = ()
) -> Principal:
    return Principal(
        tenant="t",
        scopes=frozenset({Scope.READ}),
        user="me",
        aliases=aliases,
        grants=tuple(Grant(scope, role) for scope, role in grants.items()),
        own_events_only=own_events_only,
    )


def rank_by_walking(grants: Mapping[str, str], view: View) -> int:
    """Return the rank of the first grant met on the way out from the target; 0 without one."""
    event = view.first
    assert event.target is not None
    inwards = ["tenant:*", *(f"{scope.type}:{scope.id}" for scope in event.scopes)]
    inwards.append(f"{event.target.type}:{event.target.id}")
    for place in reversed(inwards):
        role = grants.get(place)
        if role is not None and role != "space_manager":
            known = role if role in SHARING_ROLES else "Downloader"
            return SHARING_ROLES.index(known)
    return 0


grants_of = st.dictionaries(st.sampled_from(PLACES), st.sampled_from(ROLES))
targets = st.sampled_from([Resource("file", "9"), Resource("file", "10"), Resource("folder", "3")])
views = st.builds(
    view_of,
    actor=st.sampled_from(["me", "someone", "my-alias"]),
    workspace=st.sampled_from(["7", "8"]),
    folders=st.permutations(FOLDERS[:2]).map(tuple) | st.just(()) | st.just(("2",)),
    target=targets,
)


@given(grants=grants_of, view=views)
def test_the_most_specific_grant_decides(grants: Mapping[str, str], view: View) -> None:
    rank = rank_by_walking(grants, view)
    principal = principal_of(grants)
    assert matches(access.visible(principal), view) == (rank > 0)
    assert matches(access.reachable(principal), view) == (rank > 0)
    moderator = SHARING_ROLES.index("Moderator")
    assert matches(access.moderated(principal), view) == (rank >= moderator)


@given(grants=grants_of, view=views)
def test_lower_roles_may_be_kept_to_their_own_events(grants: Mapping[str, str], view: View) -> None:
    rank = rank_by_walking(grants, view)
    assert view.first.actor is not None
    own = view.first.actor.id in ("me", "my-alias")
    principal = principal_of(grants, own_events_only=True, aliases=("my-alias",))
    sees_all = rank >= SHARING_ROLES.index("Moderator")
    assert matches(access.visible(principal), view) == (sees_all or (rank > 0 and own))
    assert matches(access.reachable(principal), view) == (rank > 0)


def test_who_has_no_grant_sees_nothing() -> None:
    assert access.visible(principal_of({})) == Nothing()


@pytest.mark.parametrize("scopes", [set(), {Scope.WRITE}, {Scope.PURGE}])
def test_who_may_not_read_sees_nothing(scopes: set[Scope]) -> None:
    assert access.visible(Principal(tenant="t", scopes=frozenset(scopes))) == Nothing()


def test_a_programs_key_sees_everything() -> None:
    principal = Principal(tenant="t", scopes=frozenset({Scope.READ}), key="k")
    assert access.visible(principal) == Everything()
    assert access.moderated(principal) == Everything()


def test_many_workspaces_are_one_condition() -> None:
    """A page over twenty workspaces asks the index for one set of terms, not for twenty."""
    principal = principal_of({f"workspace:{n}": "Viewer" for n in range(20)})
    assert type(access.visible(principal)).__name__ == "In"


@pytest.mark.parametrize(
    ("role", "rank"), [("Access Denied", 0), ("Viewer", 1), ("viewer", 3), ("", 3)]
)
def test_unknown_role_names_count_as_the_default_role(role: str, rank: int) -> None:
    assert access.sharing_rank(role) == rank
