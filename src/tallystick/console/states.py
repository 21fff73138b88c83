"""The state of a resource at a time: its document then, or what its events say of it together."""

from __future__ import annotations

from typing import NamedTuple

from tallystick.events.event import Json, Op, Resource
from tallystick.events.references import to_text
from tallystick.ledger.ledger import Ledger
from tallystick.query.expr import Eq, Expr, Range, Sort, all_of
from tallystick.query.question import Find, Over

EVENTS_MAX = 500
"""Events that a state is put together from at most; the latest ones count."""


class StateThen(NamedTuple):
    """What was known of a resource at a time."""

    members: Json
    is_document: bool
    events: int
    """How many events it was put together from."""
    is_partial: bool
    """Whether there are earlier events that were not read."""


def state_at(
    ledger: Ledger, tenant: str, resource: Resource, at_ms: int | None, visible: Expr
) -> StateThen | None:
    """Return the state at a time, now for None; None where nothing is known.

    An item has the document that was put last. Of anything else the members of `data` count, the
    latest value of each.
    """
    about = Eq("target", to_text(resource.type, resource.id))
    when: list[Expr] = []
    if at_ms is not None:
        when.append(Range("occurred_ms", None, at_ms, high_inclusive=True))
    newest = (Sort("index", descending=True),)
    documents = Find(
        where=all_of((about, Eq("op", Op.DOCUMENT.value), *when)),
        over=Over.LOG,
        sort=newest,
        limit=1,
    )
    found = ledger.find(tenant, documents, visible).views
    if found:
        document = found[0].first
        gone = document.kind.endswith(".delete")
        return StateThen({} if gone else document.data, True, 1, False)
    events = Find(where=all_of((about, *when)), limit=EVENTS_MAX)
    page = ledger.find(tenant, events, visible, max_bytes=4 * 1024 * 1024)
    if not page.views:
        return None
    members: Json = {}
    for view in reversed(page.views):
        members.update(view.event.data)
    return StateThen(members, False, len(page.views), page.more)
