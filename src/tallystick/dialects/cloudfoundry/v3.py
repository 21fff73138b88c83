"""Version 3: audit events as it shows them, its lists' parameters and envelope. Pure.

It shows the same events as version 2 and is stricter: unknown parameters are refused, times have
one spelling. Source: wire specification of Cloud Foundry 11.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

from tallystick.dialects.cloudfoundry import timestamps, wire
from tallystick.dialects.cloudfoundry.listing import Paging, Pairs
from tallystick.dialects.cloudfoundry.query import (
    ORGANIZATION_FIELD,
    SPACE_FIELD,
    within_second,
)
from tallystick.errors import InvalidQuery, Malformed
from tallystick.events.event import Json, View
from tallystick.query.expr import RECORDED_ORDER, Expr, In, Not, Sort, all_of, any_of

PAGE_SIZE = 50
PAGE_SIZE_MAX = 5000
EVENT_ORDERS = ("created_at", "updated_at")

_PAGING = ("page", "per_page", "order_by")
_LISTS = {
    "types": "kind",
    "target_guids": "target.id",
    "space_guids": SPACE_FIELD,
    "organization_guids": ORGANIZATION_FIELD,
}
_TIMES = ("created_ats", "updated_ats")
EVENT_FILTERS = (*_TIMES, "guids", *_LISTS)

_RELATIONS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z\Z", re.ASCII)


class V3Listing(NamedTuple):
    """What a request for a list asks for; `order` is a column and None where none was given."""

    paging: Paging
    order: str | None
    filters: dict[str, str]
    """Parameters other than those of paging, `name` or `name[operator]`, as given."""


def parse(pairs: Pairs, filters: Collection[str], orders: Sequence[str]) -> V3Listing:
    """Return what the decoded parameters of a request ask for; of a repeated one the last counts.

    Raises: InvalidQuery with the original's complaint.
    """
    last = dict(pairs)
    unknown = sorted(name for name in last if _base(name) not in (*_PAGING, *filters))
    if unknown:
        named, valid = (", ".join(f"'{name}'" for name in names) for names in (
            unknown, (*_PAGING, *filters)
        ))  # fmt: skip
        raise InvalidQuery(f"Unknown query parameter(s): {named}. Valid parameters are: {valid}")
    order, descending = _order(last.get("order_by"), orders)
    return V3Listing(
        paging=Paging(
            page=_whole(last.get("page"), "Page", 1),
            size=_size(last.get("per_page")),
            descending=descending,
        ),
        order=order,
        filters={name: text for name, text in last.items() if name not in _PAGING},
    )


def parse_any(pairs: Pairs) -> V3Listing:
    """Return what a request for a list of which nothing is known asks for: any filter and order.

    Raises: InvalidQuery for a page that is none.
    """
    last = dict(pairs)
    column = last.get("order_by", "").lstrip("+- ")
    return parse(pairs, [_base(name) for name in last], [column])


def where(listing: V3Listing, indexes_of: Callable[[Sequence[str]], Sequence[int]]) -> Expr:
    """Return what the filters of a list of audit events mean.

    `indexes_of` tells where the events with some guids stand.
    Raises: InvalidQuery.
    """
    return all_of(_filters(listing, indexes_of))


def lists(listing: V3Listing) -> dict[str, tuple[str, ...]]:
    """Return the filters of a list of resources, each with the values that it allows.

    Raises: InvalidQuery for a filter with an operator.
    """
    for name in listing.filters:
        if _operator(name) is not None:
            raise InvalidQuery(f"{_title(_base(name))} has an invalid operator")
    return {name: split(text) for name, text in listing.filters.items()}


def sort(listing: V3Listing) -> tuple[Sort, ...]:
    """Return the order of a list of audit events: as recorded, unless a time is asked for."""
    if listing.order is None:
        return RECORDED_ORDER
    return (Sort("occurred_ms", descending=listing.paging.descending),)


def split(text: str) -> tuple[str, ...]:
    """Return the values of a comma list; a comma within a value is escaped once more.

    Blanks around commas do not count, nor does what is empty at the end.
    """
    parts = [part.strip() for part in text.split(",")]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(unquote(part) for part in parts)


def from_event(view: View, base_url: str) -> Json:
    """Return an event as version 3 shows it; its times are always in UTC."""
    entity = wire.from_event(view)["entity"]
    guid = wire.guid_of(view.first)
    return {
        "guid": guid,
        "created_at": entity["timestamp"],
        "updated_at": entity["timestamp"],
        "type": entity["type"],
        "actor": _party(entity, "actor"),
        "target": _party(entity, "actee"),
        "data": entity["metadata"],
        "space": _reference(entity["space_guid"]),
        "organization": _reference(entity["organization_guid"]),
        "links": {"self": {"href": f"{base_url}/v3/audit_events/{guid}"}},
    }


def to_v2(event: Json) -> Json:
    """Return a resource of version 3, as another server shows it, in the shape of version 2.

    Raises: Malformed when it is not of that shape.
    """
    try:
        actor, target = event["actor"], event["target"]
        space, organization = event["space"] or {}, event["organization"] or {}
        return {
            "metadata": {"guid": event["guid"], "created_at": event["created_at"]},
            "entity": {
                "type": event["type"],
                "actor": actor["guid"],
                "actor_type": actor["type"],
                "actor_name": actor["name"],
                "actee": target["guid"],
                "actee_type": target["type"],
                "actee_name": target["name"],
                "timestamp": event["created_at"],
                "metadata": event["data"],
                "space_guid": space.get("guid", ""),
                "organization_guid": organization.get("guid", ""),
            },
        }
    except (KeyError, TypeError, AttributeError):
        raise Malformed("this is no audit event of version 3") from None


def envelope(url: str, listing: V3Listing, total: int, resources: Sequence[Json]) -> Json:
    """Return a page of a list; `url` is the absolute one of the list."""
    page, size, _ = listing.paging
    pages = max(1, -(-total // size))

    def link(number: int) -> Json | None:
        return {"href": page_url(url, listing, number)} if 1 <= number <= pages else None

    return {
        "pagination": {
            "total_results": total,
            "total_pages": pages,
            "first": link(1),
            "last": link(pages),
            "next": link(page + 1),
            "previous": {"href": page_url(url, listing, page - 1)} if page > 1 else None,
        },
        "resources": resources,
    }


def page_url(url: str, listing: V3Listing, page: int) -> str:
    """Return the absolute URL of another page: parameters by name, everything escaped."""
    pairs = {**listing.filters, "page": str(page), "per_page": str(listing.paging.size)}
    if listing.order is not None:
        pairs["order_by"] = ("-" if listing.paging.descending else "+") + listing.order
    escaped = (f"{quote(name, safe='')}={quote(pairs[name], safe='')}" for name in sorted(pairs))
    return f"{url}?" + "&".join(escaped)


def _filters(
    listing: V3Listing, indexes_of: Callable[[Sequence[str]], Sequence[int]]
) -> Iterator[Expr]:
    for name, text in listing.filters.items():
        base, operator = _base(name), _operator(name)
        if base in _TIMES:
            yield _times(base, operator, text)
        elif operator is not None and (base, operator) != ("target_guids", "not"):
            raise InvalidQuery(f"{_title(base)} has an invalid operator")
        elif base == "guids":
            yield In("index", tuple(indexes_of(split(text))))
        else:
            found = In(_LISTS[base], split(text))
            yield found if operator is None else Not(found)


def _times(base: str, operator: str | None, text: str) -> Expr:
    if operator is None:
        return any_of(within_second(_time(base, one), ":") for one in split(text))
    if operator not in _RELATIONS:
        raise InvalidQuery(f"{_title(base)} Invalid relational operator: '{operator}'")
    if "," in text:
        raise InvalidQuery(
            f"{_title(base)} only accepts one value when using a relational operator"
        )
    return within_second(_time(base, text.strip()), _RELATIONS[operator])


def _time(base: str, text: str) -> int:
    try:
        if _TIME.match(text):
            return timestamps.from_text(text)
    except Malformed:
        pass
    raise InvalidQuery(
        f"{_title(base)} has an invalid timestamp format."
        " Timestamps should be formatted as 'YYYY-MM-DDThh:mm:ssZ'"
    )


def _base(name: str) -> str:
    return name.partition("[")[0] if name.endswith("]") else name


def _operator(name: str) -> str | None:
    return name.partition("[")[2][:-1] if name.endswith("]") else None


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _order(text: str | None, orders: Sequence[str]) -> tuple[str | None, bool]:
    if text is None or text == "":
        return None, False
    # A plus sign that nobody escaped arrives as a blank.
    column = text.removeprefix("-") if text[0] == "-" else text.lstrip("+ ")
    if column not in orders:
        allowed = ", ".join(f"'{name}'" for name in orders)
        raise InvalidQuery(f"Order by can only be: {allowed}")
    return column, text[0] == "-"


def _size(text: str | None) -> int:
    size = _whole(text, "Per page", PAGE_SIZE)
    if size > PAGE_SIZE_MAX:
        raise InvalidQuery(f"Per page must be between 1 and {PAGE_SIZE_MAX}")
    return size


def _whole(text: str | None, shown: str, default: int) -> int:
    if text is None:
        return default
    # Longer ones stand for no page that exists, and Python refuses to read very long ones.
    if not (text.isascii() and text.isdigit() and len(text) <= 18) or int(text) < 1:
        raise InvalidQuery(f"{shown} must be a positive integer")
    return int(text)


def _party(entity: Json, name: str) -> Json:
    return {
        "guid": entity[name],
        "type": entity[f"{name}_type"],
        "name": entity[f"{name}_name"],
    }


def _reference(guid: str) -> Json | None:
    return {"guid": guid} if guid else None
