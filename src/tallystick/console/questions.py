"""What the address of a page of events asks for: the search, a time range, an order, columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from starlette.datastructures import QueryParams

from tallystick import limits, times
from tallystick.errors import Malformed
from tallystick.identity.access import Principal
from tallystick.identity.access import visible as visible_to
from tallystick.ledger.ledger import Ledger
from tallystick.query import cursor
from tallystick.query.expr import Everything, Expr, Range, Scalar, Sort, all_of
from tallystick.query.lucene import parse
from tallystick.query.lucene.scanner import number_of
from tallystick.query.native_fields import NativeFields
from tallystick.query.question import Find, Over

PAGE_EVENTS = 50
COLUMNS_MAX = 8

RANGES: Mapping[str, tuple[str, int]] = {
    "15m": ("Last 15 minutes", 15 * 60_000),
    "1h": ("Last hour", times.HOUR_MS),
    "6h": ("Last 6 hours", 6 * times.HOUR_MS),
    "24h": ("Last 24 hours", times.DAY_MS),
    "7d": ("Last 7 days", 7 * times.DAY_MS),
    "30d": ("Last 30 days", 30 * times.DAY_MS),
    "90d": ("Last 90 days", 90 * times.DAY_MS),
    "365d": ("Last year", 365 * times.DAY_MS),
}
"""Relative time ranges: what they are called, and how long they are."""

_KEPT = ("q", "range", "from", "to", "order", "view", "columns", "group", "tz")
_NAMES = frozenset(
    ("kind", "class", "op", "dialect", "subject", "id", "trail", "actor", "target", "scope")
)
_OR = re.compile(r"\bOR\b|\|\|")


class Asked(NamedTuple):
    """What the address of a page of events asks for."""

    q: str
    range: str
    from_ms: int | None
    to_ms: int | None
    oldest_first: bool
    is_log: bool
    columns: tuple[str, ...]
    group: str
    params: Mapping[str, str]
    """The parameters that lead to the same page again."""

    @property
    def over(self) -> Over:
        """Which entries are shown."""
        return Over.LOG if self.is_log else Over.EVENTS

    @property
    def sort(self) -> Sort:
        """In which order."""
        field = "index" if self.is_log else "occurred_ms"
        return Sort(field, descending=not self.oldest_first)

    @property
    def fingerprint(self) -> str:
        """What a cursor belongs to: not the time range, which moves with the clock."""
        return cursor.fingerprint((self.q, self.is_log, self.oldest_first))

    @property
    def is_narrowed(self) -> bool:
        """Tell whether some events are left out."""
        return bool(self.q or self.range or self.from_ms is not None or self.to_ms is not None)

    def changed(self, **changes: str | None) -> dict[str, str]:
        """Return the parameters with some of them changed or taken away."""
        params = {**self.params, **changes}
        return {name: value for name, value in params.items() if value}

    def within(self) -> Expr:
        """Return the time range as a condition."""
        if self.from_ms is None and self.to_ms is None:
            return Everything()
        return Range(
            "occurred_ms", self.from_ms, self.to_ms, low_inclusive=True, high_inclusive=False
        )


def asked_of(params: QueryParams, zone: ZoneInfo, now_ms: int) -> Asked:
    """Return what an address asks for.

    Raises: Malformed.
    """
    span = params.get("range", "")
    if span and span not in RANGES:
        raise Malformed(f"No time range is called {span!r}.", path="range")
    from_ms = moment(params.get("from", ""), zone, "from")
    to_ms = moment(params.get("to", ""), zone, "to")
    if span:
        from_ms, to_ms = now_ms - RANGES[span][1], None
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise Malformed("The time range ends before it begins.", path="to")
    kept = {name: params[name].strip() for name in _KEPT if params.get(name, "").strip()}
    if span:
        kept.pop("from", None)
        kept.pop("to", None)
    named = [*params.getlist("column"), *params.get("columns", "").split(",")]
    columns = tuple(dict.fromkeys(name.strip() for name in named if name.strip()))[:COLUMNS_MAX]
    if columns:
        kept["columns"] = ",".join(columns)
    return Asked(
        q=params.get("q", "").strip(), range=span, from_ms=from_ms, to_ms=to_ms,
        oldest_first=params.get("order") == "asc", is_log=params.get("view") == "log",
        columns=columns, group=params.get("group", "").strip(), params=kept,
    )  # fmt: skip


def moment(text: str, zone: ZoneInfo, path: str) -> int | None:
    """Return a time as it stands in an address: with an offset, or by the reader's clock."""
    if not text:
        return None
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 16:
        return times.checked_ms(int(text), path)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return times.checked_ms(times.to_ms(moment), path)
    except (ValueError, OverflowError):
        raise Malformed(f"{text[:40]!r} is not a time.", path=path) from None


class Questions:
    """Turns what is asked into questions to the ledger, as far as somebody may see."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def fields(self, principal: Principal) -> NativeFields:
        """Return the fields that a search may name."""
        if not isinstance(visible_to(principal), Everything):
            return NativeFields()
        tenant, paths = principal.tenant, self._ledger.paths
        return NativeFields(
            lambda path: paths.is_known(tenant, path), lambda path: paths.nearest(tenant, path)
        )

    def where(self, principal: Principal, asked: Asked, *more: Expr) -> Expr:
        """Return what is asked for as one condition.

        Raises: InvalidQuery with the position.
        """
        parts: list[Expr] = [asked.within(), *more]
        if asked.q:
            parts.append(parse(asked.q, self.fields(principal), default_operator="and"))
        return all_of(parts)

    def page(self, principal: Principal, asked: Asked, after: str | None) -> Find:
        """Return the question for a page of the list.

        Raises: InvalidQuery; Malformed for a cursor of another list.
        """
        return Find(
            where=self.where(principal, asked),
            over=asked.over,
            sort=(asked.sort,),
            limit=PAGE_EVENTS,
            after=cursor.decode(after, asked.fingerprint) if after else None,
        )


def clause(field: str, value: Scalar) -> str:
    """Return the piece of a search that asks for one value of a field."""
    if value is None:
        return f"{field}:null"
    if isinstance(value, bool):
        return f"{field}:{str(value).lower()}"
    if isinstance(value, int | float):
        return f"{field}:{value!r}"
    is_name = field in _NAMES or field.endswith((".type", ".id"))
    mark = '"' if is_name or "." not in field else "`"
    if value and value.replace("-", "").replace("_", "").replace(".", "").isalnum():
        plain = value.isascii() and value not in ("AND", "OR", "NOT", "TO")
        if plain and is_name and number_of(value) is None and not value.startswith("-"):
            return f"{field}:{value}"
    escaped = value.replace("\\", "\\\\").replace(mark, f"\\{mark}")
    return f"{field}:{mark}{escaped}{mark}"


def refined(q: str, piece: str, *, exclude: bool = False) -> str:
    """Return a search that asks for one thing more, or for one thing less if it asked already."""
    piece = f"NOT {piece}" if exclude else piece
    if not q:
        return piece
    if q == piece:
        return ""
    if q.endswith(f" AND {piece}"):
        return q.removesuffix(f" AND {piece}")
    if q.startswith(f"{piece} AND "):
        return q.removeprefix(f"{piece} AND ")
    if len(q.encode()) > limits.QUERY_BYTES:
        return q
    return f"({q}) AND {piece}" if _OR.search(q) else f"{q} AND {piece}"
