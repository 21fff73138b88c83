"""Lists and searches of Kvass are answered from lists of exact terms, never by scanning."""

from __future__ import annotations

import pytest

from tallystick.dialects.kvass.parameters import to_question
from tests.dialects.kvass.conftest import Company


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"page": "5", "size": "100"},
        {"sort": "created"},
        {"sort": "-company"},
        {"from_date": "0", "to_date": "1567172963"},
        {"query": "order"},
        {"query": "order.created", "from_date": "0"},
        {"query": "5964a0ead57ba2036750a3b4"},
    ],
    ids=str,
)
def test_pages_and_totals_come_from_lists(company: Company, given: dict[str, str]) -> None:
    question = to_question(given, search="query" in given)
    plan = company.server.node.index.reader.explain(company.tenant, question)
    assert plan.index == "views"


@pytest.mark.parametrize("sort", ["kind", "_id", "-data.object_type", "-created,kind"])
def test_other_orders_come_from_the_search_index(company: Company, sort: str) -> None:
    plan = company.server.node.index.reader.explain(
        company.tenant, to_question({"sort": sort}, search=False)
    )
    assert plan.index == "search"
