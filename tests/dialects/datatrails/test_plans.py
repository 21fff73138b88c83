"""All eight properties are filtered by through indexes, most of them through lists."""

from __future__ import annotations

from uuid import UUID

import pytest

from tallystick.dialects.datatrails import filters
from tallystick.dialects.datatrails.rendering import DIALECT
from tallystick.query.expr import RECORDED_ORDER
from tallystick.query.question import Find
from tests.dialects.datatrails.conftest import Account

LISTED = [
    "",
    "trails/any(t: t eq 'Clouseau')",
    "not trails/any(t: t eq 'Clouseau' or t eq 'a/b')",
    "event_type eq 'Safety Conformance'",
    "event_type ne ''",
    "created_by eq '112758ce-a8cb-4924-8df8-fcba1e31f8b0'",
    "origin_tenant ne 'tenant/x'",
    "created_at ge 1736421833577 and created_at lt '1736421833578'",
    "ledger_entry/index lt 123",
    "ledger_entry/idtimestamp gt '0196cf103fe5064c00'",
    "trails/any(t: t eq 'Clouseau') and event_type eq 'x' and not (created_at gt 1)",
]
SEARCHED = [
    "ledger_entry/content_hash eq '0e9ba3f1'",
    "trails/any(t: t gt 'Clouseau')",
]


@pytest.mark.parametrize(
    ("text", "index"),
    [*((text, "views") for text in LISTED), *((text, "search") for text in SEARCHED)],
)
def test_every_property_is_answered_by_an_index(account: Account, text: str, index: str) -> None:
    wanted = filters.parse_filter(text, tenant_uuid=UUID(account.uuid), committed=2)
    question = Find(
        where=wanted.expr, dialect=DIALECT, sort=RECORDED_ORDER, limit=20, offset=40, total=True
    )
    plan = account.server.node.index.reader.explain(account.tenant, question)
    assert plan.index == index, plan.reason
