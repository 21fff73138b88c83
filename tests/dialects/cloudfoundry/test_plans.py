"""Lists of events of both versions are answered from lists of exact terms, never by scanning."""

from __future__ import annotations

import pytest

from tallystick.dialects.cloudfoundry import query, v3
from tallystick.query.expr import Expr, Sort
from tallystick.query.question import Find, Plan
from tests.dialects.cloudfoundry.conftest import Deployment


def plan_of(deployment: Deployment, where: Expr, *sort: Sort) -> Plan:
    """Return how a page with its total is answered."""
    question = Find(where=where, dialect="cloudfoundry", sort=sort, limit=50, total=True)
    return deployment.server.node.index.reader.explain(deployment.tenant, question)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    "q",
    [
        (),
        ("type:audit.app.update",),
        ("type IN app.crash,audit.app.update",),
        ("type>audit.app.update",),
        ("actee:app-1",),
        ("actee IN app-1,app-2", "timestamp<2014-06-21"),
        ("space_guid:space-1", "type:app.crash"),
        ("organization_guid:org-1",),
        ("timestamp>=2014-06-19", "timestamp<=2014-06-21"),
    ],
    ids=str,
)
def test_pages_and_totals_of_version_2_come_from_lists(
    deployment: Deployment, q: tuple[str, ...], descending: bool
) -> None:
    where = query.to_expr(query.parse(q, query.EVENT_KEYS))
    plan = plan_of(deployment, where, Sort("occurred_ms", descending=descending))
    assert plan.index == "views", plan.reason


@pytest.mark.parametrize("q", ["actee>=app-1", "space_guid<space-2"])
def test_ranges_of_ids_come_from_the_search_index(deployment: Deployment, q: str) -> None:
    where = query.to_expr(query.parse((q,), query.EVENT_KEYS))
    assert plan_of(deployment, where, Sort("occurred_ms", descending=False)).index == "search"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page", "7"),
        ("order_by", "-created_at"),
        ("types", "app.crash,audit.app.update"),
        ("target_guids", "app-1,app-2"),
        ("space_guids", "space-1"),
        ("organization_guids", "org-1"),
        ("guids", "a,b"),
        ("created_ats", "2014-06-19T00:00:00Z,2014-06-20T00:00:00Z"),
        ("created_ats[gt]", "2014-06-19T00:00:00Z"),
        ("updated_ats[lte]", "2014-06-19T00:00:00Z"),
    ],
)
def test_pages_and_totals_of_version_3_come_from_lists(
    deployment: Deployment, name: str, value: str
) -> None:
    asked = v3.parse([(name, value)], v3.EVENT_FILTERS, v3.EVENT_ORDERS)
    where = v3.where(asked, lambda guids: range(len(guids)))
    plan = plan_of(deployment, where, *v3.sort(asked))
    assert plan.index == "views", plan.reason
