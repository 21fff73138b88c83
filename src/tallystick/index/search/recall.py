"""Views again, for what the search index cannot decide by itself.

The search index keeps no documents. Where it cannot be exact it asks for the views of a few
candidates and decides by what a query means over plain values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from tallystick.events.dialect_rules import Rules
from tallystick.events.event import View
from tallystick.followers.follow import tenant_uuid
from tallystick.index.document import searched_terms, seen_by
from tallystick.ledger.selections import first_views, views_in_slices
from tallystick.query.values import Terms
from tallystick.store.base import Store


class Recall:
    """Gives views as they are seen now, with the terms that dialects derive from them."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store = store
        self._rules = rules
        self._uuids: dict[str, str] = {}

    def __call__(self, tenant: str, indexes: Sequence[int]) -> Iterator[tuple[View, Terms]]:
        """Yield the views at `indexes`, in that order, without those that do not exist.

        A document is recalled as the item it was indexed as. Of large events only a few are in
        memory at a time.
        """
        for views in views_in_slices(partial(first_views, self._store, tenant), indexes):
            for view in views.values():
                yield view, self._terms(tenant, view)

    def _terms(self, tenant: str, view: View) -> Terms:
        seen = seen_by(self._rules, view, frozenset({view.index}))
        return searched_terms(self._rules, view, self._uuid_of(tenant), seen)

    def _uuid_of(self, tenant: str) -> str:
        uuid = self._uuids.get(tenant)
        if uuid is None:
            uuid = self._uuids[tenant] = tenant_uuid(self._store, tenant)
        return uuid
