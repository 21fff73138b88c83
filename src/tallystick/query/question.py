"""What can be asked of the indexes: shapes of questions and answers, and the `Reader` protocol.

The ledger asks, `index` answers, the composition root joins them; neither imports the other.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from tallystick.events.event import View
from tallystick.query.aggregate import Aggregate, AggregateResult
from tallystick.query.expr import NEWEST_FIRST, Everything, Expr, Sort


class Over(enum.StrEnum):
    """Which entries a question is about."""

    EVENTS = "events"
    """Ordinary events as a reader sees them: not retracted, revisions folded in."""
    ITEMS = "items"
    """The latest document of each resource that was not deleted."""
    BOTH = "both"
    """Events and items together."""
    LOG = "log"
    """Every entry, as recorded."""


class Find(msgspec.Struct, frozen=True, kw_only=True):
    """A question for a page of entries.

    `dialect` restricts events to what that dialect shows. `visible` is what the asker may see: it
    is part of `where` already, and relevance counts words in nothing else. `after` is the position
    of the last row of the previous page, as a `Found.position` gave it; `offset` counts rows to
    skip instead.
    """

    where: Expr = Everything()
    visible: Expr = Everything()
    over: Over = Over.EVENTS
    dialect: str = "native"
    sort: tuple[Sort, ...] = NEWEST_FIRST
    limit: int = 50
    offset: int = 0
    after: tuple[Any, ...] | None = None
    total: bool = False


class Hit(NamedTuple):
    """One row of a page."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    position: tuple[Any, ...]
    """Its sort values and index: what `Find.after` of the next page takes."""
    score: float | None = None
    distance_m: float | None = None


class Plan(NamedTuple):
    """Which index answers a question, and why."""

    index: str  # type: ignore[assignment]  # a tuple has a method of that name
    reason: str


class Found(NamedTuple):
    """A page of rows; `more` tells whether rows follow, `total` is exact when asked for."""

    hits: Sequence[Hit]
    more: bool
    total: int | None
    plan: Plan
    views: Mapping[int, View] = {}
    """The first entries of the page by index, where they were wanted and came along."""


class ResourceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a resource from the events and documents it appears in.

    `document` is the index of its latest live document entry, if it is an item.
    """

    type: str
    id: str
    name: str | None
    document: int | None
    parents: tuple[tuple[str, str], ...] = ()
    first_ms: int
    last_ms: int
    last_index: int
    count: int


class ResourceQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A question for a page of resources, in the order of their ids.

    Bounds are ids; `live` keeps those that are items now (True), or all ever seen (None).
    """

    type: str
    name: str | None = None
    parent: tuple[str, str] | None = None
    low: str | None = None
    low_inclusive: bool = True
    high: str | None = None
    high_inclusive: bool = True
    live: bool | None = None
    limit: int = 50


class Reader(Protocol):
    """Answers questions from indexes that have caught up with the log.

    Every method waits until what was in the log when it was called is indexed, and raises
    FollowerBehind when that takes longer than a few seconds: never a stale answer.
    """

    def find(self, tenant: str, question: Find, *, entry_bytes: int = 0) -> Found:
        """Return a page of entries.

        The views of the first ones, until they have `entry_bytes`, come along from where those cost
        no further question.
        Raises: InvalidQuery for what no index can answer, FollowerBehind.
        """

    def shows(self, question: Find, view: View) -> bool:
        """Tell whether a row found for a question may still be shown.

        What it names may have been taken away since the index was asked. Waits for nothing.
        """

    def count(self, tenant: str, where: Expr, *, dialect: str = "native") -> int:
        """Return how many events match, exactly."""

    def aggregate(
        self, tenant: str, question: Find, requests: Sequence[Aggregate]
    ) -> Sequence[AggregateResult]:
        """Return one result a request over everything that the question matches."""

    def resource(self, tenant: str, type: str, id: str) -> ResourceSummary | None:
        """Return what is known of one resource."""

    def resources(self, tenant: str, question: ResourceQuery) -> list[ResourceSummary]:
        """Return a page of resources."""

    def history(self, tenant: str, type: str, id: str, *, limit: int, offset: int) -> list[int]:
        """Return the indexes of a resource's document entries, newest first."""

    def known_path(self, tenant: str, path: str) -> bool:
        """Tell whether any event ever had a value at the payload path."""

    def suggest_path(self, tenant: str, path: str) -> Sequence[str]:
        """Return the known paths nearest to one that is not."""

    def explain(self, tenant: str, question: Find) -> Plan:
        """Return which index would answer, and why."""
