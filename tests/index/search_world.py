"""A search index over a few events, and the same questions put to a plain list.

`Searched` writes views in several commits, so that there are several segments, and reads them
back. What it answers is compared with `matches`, `sort_views` and `aggregate` over the list.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tallystick.events.event import Event, Json, Op, Resource, View
from tallystick.followers.damage import Cursor
from tallystick.index.document import Document
from tallystick.index.opensearch.engine import Engine
from tallystick.index.opensearch.reader import OpenSearchReader
from tallystick.index.opensearch.writer import OpenSearchWriter
from tallystick.index.search import SearchReader, SearchWriter
from tallystick.query.aggregate import Aggregate, AggregateResult, StatsResult, aggregate
from tallystick.query.expr import Everything, Expr, Near, Sort
from tallystick.query.match import matches
from tallystick.query.order import Position, Scene, position_of, sort_views
from tallystick.query.question import Find, Found
from tallystick.query.values import NO_TERMS, Terms, Values
from tests.support.strategies import view_of

TENANT = "acme"
SEEN = ("native",)
NOW_MS = 1_700_000_000_000


def event(index: int, data: Json | None = None, **members: object) -> View:
    """Return an event, unlike the others in its index and time only."""
    defaults: dict[str, object] = {
        "tenant": TENANT,
        "index": index,
        "id": f"00000000-0000-4000-8000-{index:012x}",
        "kind": "order.created",
        "op": Op.RECORD,
        "occurred_ms": NOW_MS + index,
        "recorded_ms": NOW_MS + index,
        "dialect": "native",
        "data": data or {},
    }
    return view_of(Event(**{**defaults, **members}))  # type: ignore[arg-type]  # fields by name


def at(position: int) -> Cursor:
    """Return a cursor; what is marked there is for tests of its own."""
    return Cursor(position, b"")


def document(view: View, terms: Terms = NO_TERMS, *, fresh: bool = True) -> Document:
    """Return a view as an index is given it."""
    return Document((str(view.index),), view, SEEN, terms, fresh)


def item(index: int, key: str, data: Json) -> Document:
    """Return an item's latest document as an index is given it."""
    view = event(index, data, op=Op.DOCUMENT, kind="item.put", target=Resource("things", key))
    return Document((str(index), f"ithings\0{key}"), view, ("item",), NO_TERMS, False)


class Searched:
    """Views in an index of their own, and as a list."""

    def __init__(
        self,
        folder: Path,
        views: Sequence[View],
        *,
        terms: Mapping[int, Terms] | None = None,
        commits: int = 3,
        engine: Engine | None = None,
    ) -> None:
        """Write views to an index in a folder, or to that of an OpenSearch."""
        self._engine = engine
        self.views = {view.index: view for view in views}
        self._terms = terms or {}
        self._folder = folder
        self._write(views, 0, max(1, math.ceil(len(views) / commits)))
        self.reader: SearchReader | OpenSearchReader = (
            SearchReader(folder, self.recall)
            if engine is None
            else OpenSearchReader(engine, self.recall)
        )

    def add(self, views: Sequence[View]) -> None:
        """Take in further views, which go on where those that are there end."""
        start = len(self.views)
        self.views.update((view.index, view) for view in views)
        self._write(views, start, len(views))
        self.reader.refresh()

    def _write(self, views: Sequence[View], start: int, size: int) -> None:
        writer: SearchWriter | OpenSearchWriter = (
            SearchWriter(self._folder)
            if self._engine is None
            else OpenSearchWriter(self._engine, lambda: [TENANT])
        )
        for begin in range(0, len(views), size):
            part = views[begin : begin + size]
            documents = [document(view, self.terms_of(view)) for view in part]
            writer.apply(TENANT, documents, [], at(start + begin + len(part)))
            writer.commit()
        if self._engine is None:
            writer.close()

    def __enter__(self) -> Searched:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._engine is None:
            self.reader.close()

    def recall(self, tenant: str, indexes: Sequence[int]) -> list[tuple[View, Terms]]:
        """Return views as the log would give them."""
        assert tenant == TENANT
        return [(self.views[index], self._terms.get(index, NO_TERMS)) for index in indexes]

    def terms_of(self, view: View) -> Terms:
        """Return what is derived from a view."""
        return self._terms.get(view.index, NO_TERMS)

    # What the index answers

    def find(
        self,
        where: Expr = Everything(),
        *,
        sort: tuple[Sort, ...] = (),
        limit: int = 1000,
        offset: int = 0,
        after: Position | None = None,
    ) -> Found:
        """Return a page."""
        question = Find(where=where, sort=sort, limit=limit, offset=offset, after=after, total=True)
        return self.reader.find(TENANT, question, SEEN)

    def indexes(self, where: Expr, **options: object) -> list[int]:
        """Return the indexes on a page."""
        return [hit.index for hit in self.find(where, **options).hits]  # type: ignore[arg-type]

    def walk(self, where: Expr, sort: tuple[Sort, ...], limit: int) -> list[int]:
        """Return the indexes on all pages, each begun where the last one ended."""
        found: list[int] = []
        after: Position | None = None
        while True:
            page = self.find(where, sort=sort, limit=limit, after=after)
            found += [hit.index for hit in page.hits]
            if not page.more:
                return found
            after = page.hits[-1].position

    def aggregate(self, request: Aggregate, where: Expr = Everything()) -> AggregateResult:
        """Return an aggregate."""
        (found,) = self.reader.aggregate(TENANT, Find(where=where), SEEN, [request])
        return found

    # What a list answers

    def matching(self, where: Expr) -> list[View]:
        """Return what matches, in recorded order."""
        return [view for view in self.views.values() if matches(where, view, self.terms_of(view))]

    def sorted(self, where: Expr, sort: tuple[Sort, ...], near: Near | None = None) -> list[View]:
        """Return what matches in the order asked for."""
        scene = Scene(near=near)
        return sort_views(self.matching(where), sort, terms=self.terms_of, scene=scene)

    def positions(self, views: Iterable[View], sort: tuple[Sort, ...]) -> list[Position]:
        """Return where views stand in an order."""
        return [position_of(view, Values(view, self.terms_of(view)), sort) for view in views]

    def worked_out(self, request: Aggregate, where: Expr = Everything()) -> AggregateResult:
        """Return an aggregate over the list."""
        values = (Values(view, self.terms_of(view)) for view in self.matching(where))
        return aggregate(values, request)


def assert_same(found: AggregateResult, wanted: AggregateResult) -> None:
    """Check that two results are equal, sums of doubles up to rounding."""
    if not isinstance(found, StatsResult) or not isinstance(wanted, StatsResult):
        assert found == wanted
        return
    assert (found.value_count, found.min, found.max) == (
        wanted.value_count,
        wanted.min,
        wanted.max,
    )
    largest = max(abs(wanted.min or 0.0), abs(wanted.max or 0.0))
    for name, scale in (("sum", 1), ("mean", 1), ("sum_of_squares", 2), ("variance", 2)):
        a, b = getattr(found, name), getattr(wanted, name)
        assert (a is None) == (b is None), name
        if a is None or a == b:
            continue
        with_scale = 1e-9 * largest**scale if largest < 1e150 else math.inf
        assert math.isclose(a, b, rel_tol=1e-9, abs_tol=with_scale), name
