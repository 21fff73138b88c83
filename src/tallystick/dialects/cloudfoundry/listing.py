"""The parameters and the envelope of version 2's lists. Pure.

Both `order` (the seed's name) and `order-direction` (every client's) are taken; unknown
parameters are ignored. Source: seed, "Parameters" and sample body; wire specification of Cloud
Foundry 3.1 to 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from tallystick.dialects.cloudfoundry.errors import BadOrder
from tallystick.dialects.cloudfoundry.wire import RELATIONS, Relations
from tallystick.errors import InvalidQuery
from tallystick.events.event import Json

PAGE_SIZE = 50
PAGE_SIZE_MAX = 100
DEPTH_MAX = 3
EVENT_ORDERS = ("timestamp", "id")
EVENT_ORDER = ("timestamp", "id")
"""What a following page's `order-by` says: events always stand in this order."""

# No log has as many events; a page beyond is empty all the same.
_OFFSET_MAX = 1 << 40
_UNESCAPED = ":,=/?"

Pairs = Sequence[tuple[str, str]]


class Paging(NamedTuple):
    """Which page of a list is asked for, and in which direction."""

    page: int
    size: int
    descending: bool

    @property
    def offset(self) -> int:
        """How many rows come before the page."""
        return min((self.page - 1) * self.size, _OFFSET_MAX)


class V2Listing(NamedTuple):
    """What a request for a list asks for.

    `kept` are the parameters as given that the other pages' urls repeat.
    """

    q: tuple[str, ...]
    paging: Paging
    order_by: str | None
    relations: Relations
    orphans: bool
    kept: Pairs


def parse(pairs: Pairs, orders: tuple[str, ...]) -> V2Listing:
    """Return what the decoded parameters of a request ask for.

    Of a parameter that may stand only once, the last counts. `orders` are the values of
    `order-by`.
    Raises: InvalidQuery, BadOrder.
    """
    last = dict(pairs)
    order_by = last.get("order-by")
    if order_by is not None and order_by not in orders:
        raise BadOrder(order_by or "''")
    paging = Paging(
        page=_whole(last, "page", 1, low=1),
        size=_whole(last, "results-per-page", PAGE_SIZE, low=1, high=PAGE_SIZE_MAX),
        descending=_is_descending(last),
    )
    orphans = _whole(last, "orphan-relations", 0, low=0, high=1) == 1
    q = tuple(value for name, value in pairs if name == "q")
    kept = [(name, last[name]) for name in _KEPT if name in last]
    return V2Listing(q, paging, order_by, relations_of(pairs), orphans, kept)


def relations_of(pairs: Pairs) -> Relations:
    """Return which relations the parameters of a request ask to be shown.

    Raises: InvalidQuery.
    """
    last = dict(pairs)
    depth = last.get("inline-relations-depth")
    if depth is None:
        return Relations()
    inlined = frozenset[str]()
    if _whole(last, "inline-relations-depth", 0, low=0, high=DEPTH_MAX) > 0:
        inlined = frozenset(RELATIONS) - _names(last, "exclude-relations")
        if last.get("include-relations"):
            inlined &= _names(last, "include-relations")
    return Relations(urls=True, inlined=inlined)


def envelope(
    path: str, listing: V2Listing, total: int, resources: Sequence[Json], order: Sequence[str] = ()
) -> Json:
    """Return a page of a list; `order` is what its urls say of the order."""
    page, size, _ = listing.paging
    pages = max(1, -(-total // size))
    answer: Json = {
        "total_results": total,
        "total_pages": pages,
        "prev_url": page_url(path, listing, page - 1, order) if page > 1 else None,
        "next_url": page_url(path, listing, page + 1, order) if page < pages else None,
        "resources": resources,
    }
    return answer | {"orphans": {}} if listing.orphans else answer


def page_url(path: str, listing: V2Listing, page: int, order: Sequence[str]) -> str:
    """Return the path and query of another page, parameters in the order of their names."""
    pairs = [
        *listing.kept,
        *(("order-by", column) for column in order),
        ("order-direction", "desc" if listing.paging.descending else "asc"),
        ("page", str(page)),
        *(("q", text) for text in listing.q),
        ("results-per-page", str(listing.paging.size)),
    ]
    # The sort keeps the order of parameters that stand more than once.
    pairs.sort(key=lambda pair: pair[0])
    return f"{path}?" + "&".join(f"{name}={quote(text, safe=_UNESCAPED)}" for name, text in pairs)


_KEPT = (
    "exclude-relations",
    "include-relations",
    "inline-relations-depth",
    "orphan-relations",
)


def _is_descending(last: dict[str, str]) -> bool:
    direction = last.get("order-direction", last.get("order", "asc"))
    if direction not in ("asc", "desc"):
        raise InvalidQuery(f"order_direction must be 'asc' or 'desc' but was '{direction}'")
    return direction == "desc"


def _names(last: dict[str, str], name: str) -> frozenset[str]:
    return frozenset(last.get(name, "").split(",")) & frozenset(RELATIONS)


def _whole(
    last: dict[str, str], name: str, default: int, *, low: int, high: int | None = None
) -> int:
    text = last.get(name)
    if text is None:
        return default
    shown = name.replace("-", "_")
    digits = text.strip()
    # Longer ones stand for no page that exists, and Python refuses to read very long ones.
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise InvalidQuery(f"{shown} must be an integer but was '{text[:64]}'")
    if int(digits) < low:
        raise InvalidQuery(f"{shown} must be >= {low}")
    if high is not None and int(digits) > high:
        raise InvalidQuery(f"{shown} must be <= {high}")
    return int(digits)
