"""The parameters of the native API's lists, as questions to the indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from typing import TypeVar

from starlette.datastructures import QueryParams
from starlette.responses import Response

from tallystick import limits
from tallystick.errors import Malformed
from tallystick.followers.consistency import as_indexed
from tallystick.ledger.payload_paths import PayloadPaths
from tallystick.query.expr import Everything, Expr, Sort
from tallystick.query.native_fields import NativeFields
from tallystick.query.native_filter import FILTER_PARAMETERS, NativeFilter, from_words, to_ms
from tallystick.query.order import DISTANCE, RELEVANCE
from tallystick.query.question import Find, Over

T = TypeVar("T")

COMPLETE_TO = "Tally-Complete-To"
"""Header with the number of entries of the log that an answer takes into account."""

_FIND_PARAMETERS = FILTER_PARAMETERS | {
    "order", "sort", "limit", "cursor", "offset", "total", "view", "explain", "consistency",
}  # fmt: skip


def question(
    paths: PayloadPaths,
    tenant: str,
    params: QueryParams,
    visible: Expr,
    *,
    more: frozenset[str] = frozenset(),
) -> Find:
    """Return what a request's parameters ask for; `more` names those that mean something else.

    Who does not see everything is not told which payload fields there are: any may be asked for.

    Raises: Malformed naming the parameter, InvalidQuery.
    """
    check_names(params, _FIND_PARAMETERS | more)
    over = one_of(params, "view", {"default": Over.EVENTS, "log": Over.LOG}, "default")
    descending = one_of(params, "order", {"desc": True, "asc": False}, "desc")
    fields = fields_of(paths, tenant, visible)
    return Find(
        where=filter_of(params).where(fields),
        over=over,
        sort=_sort(fields, params, over, descending),
        limit=whole(params, "limit", limits.LIST_LIMIT, 1, limits.LIST_LIMIT_MAX),
        offset=whole(params, "offset", 0, 0, 10**9),
        total=flag(params, "total"),
    )


def answer_as_of(params: QueryParams, answer: Callable[[], Response]) -> Response:
    """Return what `answer` makes of current indexes, or of indexes as they are if so asked.

    Raises: Malformed.
    """
    if not one_of(params, "consistency", {"current": False, "indexed": True}, "current"):
        return answer()
    with as_indexed() as extent:
        response = answer()
    response.headers[COMPLETE_TO] = str(extent.complete_to or 0)
    return response


def check_names(params: Iterable[str], known: Set[str]) -> None:
    """Reject unknown parameters, so that a typo is an error rather than another answer.

    Raises: Malformed naming the first.
    """
    unknown = sorted(set(params) - known)
    if unknown:
        raise Malformed(
            f"unknown parameter {unknown[0]!r}",
            path=unknown[0],
            hint=f"known parameters: {', '.join(sorted(known))}",
        )


def filter_of(params: QueryParams) -> NativeFilter:
    """Return the filter that a request's parameters make.

    Raises: Malformed naming the parameter.
    """

    return from_words({name: params.getlist(name) for name in FILTER_PARAMETERS})


def fields_of(paths: PayloadPaths, tenant: str, visible: Expr) -> NativeFields:
    """Return the fields that a tenant's events have, as far as the caller may know them."""
    if not isinstance(visible, Everything):
        return NativeFields()
    return NativeFields(
        lambda path: paths.is_known(tenant, path),
        lambda path: paths.nearest(tenant, path),
    )


def _sort(
    fields: NativeFields, params: QueryParams, over: Over, descending: bool
) -> tuple[Sort, ...]:
    text = params.get("sort")
    if text is None:
        field = "index" if over is Over.LOG else "occurred_ms"
        return (Sort(field, descending=descending),)
    sorts: list[Sort] = []
    for part in text.split(","):
        name = part.strip().removeprefix("-")
        if not name:
            raise Malformed("sort is a list such as -occurred_at,data.total", path="sort")
        field = name if name in (RELEVANCE, DISTANCE) else fields.named(name)
        sorts.append(Sort(field, descending=part.strip().startswith("-")))
    return tuple(sorts)


def time(params: QueryParams, name: str) -> int | None:
    """Return a time in a parameter: RFC 3339, a day, or milliseconds since 1970.

    Raises: Malformed.
    """
    text = params.get(name)
    return None if text is None else to_ms(text, name)


def one_of(params: QueryParams, name: str, values: Mapping[str, T], default: str) -> T:
    """Return what a word in a parameter stands for.

    Raises: Malformed.
    """
    text = params.get(name, default)
    if text not in values:
        raise Malformed(f"{name} is one of {', '.join(values)}", path=name)
    return values[text]


def flag(params: QueryParams, name: str) -> bool:
    """Return a parameter that is `true` or `false`, false unless given.

    Raises: Malformed.
    """
    return one_of(params, name, {"true": True, "false": False}, "false")


def whole(params: QueryParams, name: str, default: int | None, low: int, high: int) -> int:
    """Return a whole number between bounds; without a default it must be given.

    Raises: Malformed.
    """
    text = params.get(name)
    if text is None and default is not None:
        return default
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 17):
        raise Malformed(f"{name} is a whole number from {low} to {high}", path=name)
    if not low <= int(text) <= high:
        raise Malformed(f"{name} is a whole number from {low} to {high}", path=name)
    return int(text)
