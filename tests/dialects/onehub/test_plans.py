"""Feeds and trails of Onehub are answered from lists of exact terms, whatever the roles."""

from __future__ import annotations

from datetime import UTC

import msgspec
import pytest

from tallystick.dialects.onehub import parameters
from tallystick.identity import access
from tallystick.identity.access import Grant, Principal, Scope
from tallystick.query.expr import Eq, all_of
from tests.dialects.onehub.conftest import Share

GRANTS = {
    "account": [Grant("tenant:*", "Viewer")],
    "twenty workspaces": [Grant(f"workspace:{n}", "Viewer") for n in range(20)],
    "one without": [Grant("tenant:*", "Viewer"), Grant("workspace:1", "Access Denied")],
    "nested folders": [
        Grant("workspace:1", "Access Denied"),
        Grant("folder:10", "Moderator"),
        Grant("folder:20", "Access Denied"),
        Grant("file:5", "Viewer"),
    ],
}


@pytest.mark.parametrize("own_events_only", [False, True])
@pytest.mark.parametrize("name", GRANTS)
@pytest.mark.parametrize(
    "query",
    [
        "",
        "filter_self=true&workspaces=1,2,3&verbs=read,upload",
        "actor=5&start_time=2016-01-18T11:16:53Z&offset=300000",
    ],
)
def test_pages_and_totals_come_from_lists(
    share: Share, name: str, query: str, own_events_only: bool
) -> None:
    principal = Principal(
        tenant=share.tenant,
        scopes=frozenset({Scope.READ}),
        user="481",
        grants=tuple(GRANTS[name]),
        own_events_only=own_events_only,
    )
    given = parameters.given_in(query, b"", "")
    asked = parameters.to_filter(given, UTC, principal)
    reader = share.server.node.index.reader
    for where in (parameters.in_workspaces(given), Eq("target", "file:5")):
        question = parameters.to_question(all_of((where, asked)), parameters.to_page(given))
        bound = all_of((question.where, access.visible(principal)))
        plan = reader.explain(share.tenant, msgspec.structs.replace(question, where=bound))
        assert plan.index == "views", plan.reason
