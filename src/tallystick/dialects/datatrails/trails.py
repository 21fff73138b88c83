"""Which trails a tenant has, how many events are in each, and which came last."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from tallystick.dialects.datatrails.filters import TARGET_TRAIL
from tallystick.dialects.datatrails.rendering import DIALECT
from tallystick.events.event import View
from tallystick.ledger.ledger import Ledger
from tallystick.query.aggregate import TopValues, TopValuesResult
from tallystick.query.expr import Eq, Expr, Sort, any_of
from tallystick.query.question import Find

_NEWEST = (Sort("index", descending=True),)


class Trail(NamedTuple):
    """One trail; `last` is the event recorded in it most recently."""

    name: str
    events: int
    last: View


def largest_trails(
    ledger: Ledger, tenant: str, visible: Expr, *, limit: int, offset: int
) -> list[Trail]:
    """Return trails by how many events the caller sees in them, the largest first.

    Raises: FollowerBehind.
    Cost: one aggregation, then one read of the lists a trail.
    """
    # Events that came without trails show one made of their target, which is listed apart.
    wanted = [TopValues(field, limit=offset + limit) for field in ("trail", TARGET_TRAIL)]
    question = Find(dialect=DIALECT, limit=0)
    counts: Counter[str] = Counter()
    for result in ledger.aggregate(tenant, question, wanted, visible):
        assert isinstance(result, TopValuesResult)
        counts.update({str(entry.value): entry.count for entry in result.entries})
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    found = [_trail(ledger, tenant, visible, name) for name in ordered[offset : offset + limit]]
    return [trail for trail in found if trail is not None]


def _trail(ledger: Ledger, tenant: str, visible: Expr, name: str) -> Trail | None:
    within = any_of((Eq("trail", name), Eq(TARGET_TRAIL, name)))
    question = Find(where=within, dialect=DIALECT, sort=_NEWEST, limit=1, total=True)
    page = ledger.find(tenant, question, visible)
    return Trail(name, page.total or 0, page.views[0]) if page.views else None
