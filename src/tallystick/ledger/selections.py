"""Pages whose events are read as they are asked for, so that large ones are not all in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

import msgspec

from tallystick.events.event import View
from tallystick.limits import SLICE_BYTES
from tallystick.log.views import views_of
from tallystick.query.expr import Everything, Expr, all_of
from tallystick.query.question import Find, Found, Hit, Plan
from tallystick.store.base import Store

FirstViews = Callable[[Sequence[int]], Mapping[int, View]]
"""Reads the first of some entries, one at least, as many as are not long together."""


class Page(NamedTuple):
    """A page of views with the rows they stand in."""

    views: Sequence[View]
    hits: Sequence[Hit]
    more: bool
    total: int | None
    plan: Plan


Row = tuple[View, Hit]
"""A view with the row of the index it stands in."""


class PageSlice(NamedTuple):
    """Some rows of a page, one after the other; of those that were asked for, some may be gone."""

    rows: Sequence[Row]
    is_last: bool


class Selection(NamedTuple):
    """A page of which only the first slice is in memory: the others are read by iterating."""

    slices: Iterator[PageSlice]
    is_short: bool
    """Whether the first slice is all."""
    is_empty: bool
    """Whether no row is left of those that were found."""
    found: int
    """How many rows the index found."""
    more: bool
    total: int | None
    plan: Plan


def bound(question: Find, visible: Expr) -> Find:
    """Return a question about what a caller may see."""
    if isinstance(visible, Everything):
        return question
    where = all_of((question.where, visible))
    return msgspec.structs.replace(question, where=where, visible=visible)


def selection_of(first_views: FirstViews, found: Found, shows: Callable[[View], bool]) -> Selection:
    """Return a selection of rows that an index found, without those that are no longer shown."""
    slices = _slices(first_views, found, shows)
    first = next(slices, PageSlice((), is_last=True))
    return Selection(
        chain((first,), slices), first.is_last, first.is_last and not first.rows,
        len(found.hits), found.more, found.total, found.plan,
    )  # fmt: skip


def selection_at(
    store: Store, tenant: str, indexes: Sequence[int], shows: Callable[[View], bool]
) -> Selection:
    """Return a selection of entries that a caller may see, in the order of `indexes`."""
    hits = [Hit(index, (index,)) for index in indexes]
    found = Found(hits, more=False, total=None, plan=Plan("log", "it is known where they stand"))
    return selection_of(partial(first_views, store, tenant), found, shows)


def first_views(
    store: Store, tenant: str, indexes: Sequence[int], max_bytes: int = SLICE_BYTES
) -> Mapping[int, View]:
    """Return the first of some entries that have `max_bytes` together, one at least."""
    rows = store.rows_within(tenant, indexes, max_bytes)
    views = views_of(store, tenant, list(rows.values()), max_bytes)
    return {view.index: view for view in views}


def views_in_slices(first: FirstViews, indexes: Sequence[int]) -> Iterator[Mapping[int, View]]:
    """Yield entries as readers see them, as many at a time as `first` reads."""
    at = 0
    while at < len(indexes):
        views = first(indexes[at:])
        at += max((n for n, i in enumerate(indexes[at:], 1) if i in views), default=1)
        yield views


def _slices(
    first_views: FirstViews, found: Found, shows: Callable[[View], bool]
) -> Iterator[PageSlice]:
    hits, views = found.hits, found.views
    while hits:
        if hits[0].index not in views:
            views = first_views([hit.index for hit in hits])
        end = max((n for n, hit in enumerate(hits, 1) if hit.index in views), default=len(hits))
        part, hits = hits[:end], hits[end:]
        # What was taken away since the index was asked is simply no longer there.
        rows = [(view, hit) for hit in part if (view := views.get(hit.index)) and shows(view)]
        yield PageSlice(rows, is_last=not hits)
