"""Version 3: audit events, strict parameters, absolute links."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from tallystick.dialects.cloudfoundry import v3, wire
from tallystick.dialects.cloudfoundry.listing import Paging
from tallystick.errors import InvalidQuery, Malformed
from tallystick.events.event import View
from tallystick.query.expr import RECORDED_ORDER, Sort
from tallystick.query.match import matches
from tests.dialects.cloudfoundry.samples import draft_of, resource, view_of

BASE = "https://events.example.com"
EVENT = view_of(draft_of(resource("event-17")))


def parse(query: str) -> v3.V3Listing:
    """Return what a query string asks for."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return v3.parse(pairs, v3.EVENT_FILTERS, v3.EVENT_ORDERS)


def holds(query: str, view: View = EVENT) -> bool:
    """Tell whether an event passes the filters of a query string."""
    expr = v3.where(parse(query), lambda guids: [0] if "event-17" in guids else [])
    derived = {f"cloudfoundry.{name}": value for name, value in wire.derived(view).items()}
    return matches(expr, view, derived)


@pytest.mark.row("C-73")
def test_resource() -> None:
    assert v3.from_event(EVENT, BASE) == {
        "guid": "event-17",
        "created_at": "2014-06-20T00:18:46Z",
        "updated_at": "2014-06-20T00:18:46Z",
        "type": "audit.app.update",
        "actor": {"guid": "user-1", "type": "user", "name": "dev@example.com"},
        "target": {"guid": "app-1", "type": "app", "name": "shop"},
        "data": {"request": {"memory": 256}},
        "space": {"guid": "space-1"},
        "organization": {"guid": "org-1"},
        "links": {"self": {"href": f"{BASE}/v3/audit_events/event-17"}},
    }


@pytest.mark.row("C-73")
def test_event_outside_a_space_has_null_there() -> None:
    shown = v3.from_event(view_of(draft_of(resource(space_guid="", organization_guid=""))), BASE)
    assert (shown["space"], shown["organization"]) == (None, None)


def test_event_of_version_3_reads_back_through_version_2() -> None:
    shown = v3.from_event(EVENT, BASE)
    again = view_of(draft_of(v3.to_v2(shown)))
    assert v3.from_event(again, BASE) == shown


@pytest.mark.parametrize("event", [{}, {"actor": None}, {"actor": {}, "target": {}, "space": 7}])
def test_what_is_no_event_of_version_3_is_refused(event: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        v3.to_v2(event)


@pytest.mark.row("C-73")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", True),
        ("types=app.crash,audit.app.update", True),
        ("types=app.crash", False),
        ("types=audit.app.update%2Cx", True),
        ("types=audit.app.update%252Cx", False),
        ("types=", False),
        ("target_guids=app-1", True),
        ("target_guids[not]=app-1", False),
        ("target_guids[not]=app-2,app-3", True),
        ("space_guids=space-1&organization_guids=org-1", True),
        ("space_guids=space-1&organization_guids=org-2", False),
        ("guids=other,event-17", True),
        ("guids=other", False),
        ("created_ats=2014-06-20T00:18:46Z", True),
        ("created_ats=2014-06-20T00:18:45Z,2014-06-20T00:18:47Z", False),
        ("created_ats[gt]=2014-06-20T00:18:46Z", False),
        ("created_ats[gte]=2014-06-20T00:18:46Z", True),
        ("created_ats[lt]=2014-06-20T00:18:46Z", False),
        ("created_ats[lte]=2014-06-20T00:18:46Z", True),
        ("created_ats[gt]=2014-06-20T00:18:45Z&created_ats[lt]=2014-06-20T00:18:47Z", True),
        ("updated_ats%5Bgt%5D=2014-06-20T00:18:45Z", True),
        ("types=app.crash&types=audit.app.update", True),
        ("types=app.crash, audit.app.update", True),
        ("types=%20audit.app.update%20,app.crash", True),
        ("types=audit.app.update,", True),
        ("types=audit.app%20.update", False),
        ("types=%2520audit.app.update", False),
        ("target_guids=x , app-1", True),
        ("target_guids[not]=x , app-1", False),
        ("space_guids=x,+space-1&organization_guids=+org-1", True),
        ("guids=other, event-17", True),
        ("created_ats=2014-06-20T00:18:45Z, 2014-06-20T00:18:46Z", True),
        ("created_ats=2014-06-20T00:18:46Z+,", True),
        ("updated_ats[lte]= 2014-06-20T00:18:46Z", True),
    ],
)
def test_filters(query: str, expected: bool) -> None:
    assert holds(query) is expected


@pytest.mark.row("C-29")
def test_fraction_of_a_second_does_not_matter() -> None:
    view = view_of(draft_of(resource(timestamp="2014-06-20T00:18:46.7Z")))
    assert holds("created_ats=2014-06-20T00:18:46Z", view)
    assert not holds("created_ats[gt]=2014-06-20T00:18:46Z", view)
    assert holds("created_ats[lte]=2014-06-20T00:18:46Z", view)


@pytest.mark.row("C-73")
def test_comma_within_a_value_is_escaped_twice() -> None:
    view = view_of(draft_of(resource(actee="a,b")))
    assert holds("target_guids=a%252Cb", view)
    assert not holds("target_guids=a%2Cb", view)


VALID = (
    "'page', 'per_page', 'order_by', 'created_ats', 'updated_ats', 'guids', 'types',"
    " 'target_guids', 'space_guids', 'organization_guids'"
)
SPELLING = " has an invalid timestamp format. Timestamps should be formatted as"


@pytest.mark.row("C-74")
@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("q=x", f"Unknown query parameter(s): 'q'. Valid parameters are: {VALID}"),
        ("b=1&a=1", f"Unknown query parameter(s): 'a', 'b'. Valid parameters are: {VALID}"),
        ("page=0", "Page must be a positive integer"),
        ("page=x", "Page must be a positive integer"),
        ("per_page=0", "Per page must be a positive integer"),
        ("per_page=5001", "Per page must be between 1 and 5000"),
        ("order_by=type", "Order by can only be: 'created_at', 'updated_at'"),
        ("order_by=--created_at", "Order by can only be: 'created_at', 'updated_at'"),
        ("created_ats=2014-06-20", f"Created ats{SPELLING} 'YYYY-MM-DDThh:mm:ssZ'"),
        ("created_ats=2014-06-31T00:00:00Z", f"Created ats{SPELLING} 'YYYY-MM-DDThh:mm:ssZ'"),
        ("updated_ats[lt]=now", f"Updated ats{SPELLING} 'YYYY-MM-DDThh:mm:ssZ'"),
        (
            "created_ats[gt]=2014-06-20T00:00:00Z,2014-06-21T00:00:00Z",
            "Created ats only accepts one value when using a relational operator",
        ),
        (
            "created_ats[ne]=2014-06-20T00:00:00Z",
            "Created ats Invalid relational operator: 'ne'",
        ),
        ("target_guids[gt]=x", "Target guids has an invalid operator"),
        ("types[not]=x", "Types has an invalid operator"),
        ("page[not]=1", "Page has an invalid operator"),
    ],
)
def test_bad_parameter_is_complained_of_in_the_original_words(query: str, complaint: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        holds(query)
    assert caught.value.message == complaint


@pytest.mark.row("C-73")
@pytest.mark.parametrize(
    ("query", "sort"),
    [
        ("", RECORDED_ORDER),
        ("order_by=created_at", (Sort("occurred_ms"),)),
        ("order_by=%2Bcreated_at", (Sort("occurred_ms"),)),
        ("order_by=+updated_at", (Sort("occurred_ms"),)),
        ("order_by=-created_at", (Sort("occurred_ms", descending=True),)),
    ],
)
def test_order(query: str, sort: tuple[Sort, ...]) -> None:
    assert v3.sort(parse(query)) == sort


@pytest.mark.row("C-73")
def test_envelope_links_to_all_pages() -> None:
    query = (
        "types=a%2Cb&created_ats[gt]=2014-06-20T00:00:00Z&order_by=-created_at&per_page=2&page=2"
    )
    envelope = v3.envelope(f"{BASE}/v3/audit_events", parse(query), 5, [])
    pagination = envelope["pagination"]
    assert (pagination["total_results"], pagination["total_pages"]) == (5, 3)
    for name, page in (("first", 1), ("previous", 1), ("next", 3), ("last", 3)):
        assert pagination[name]["href"] == (
            f"{BASE}/v3/audit_events?created_ats%5Bgt%5D=2014-06-20T00%3A00%3A00Z"
            f"&order_by=-created_at&page={page}&per_page=2&types=a%2Cb"
        )
    following = parse(urlsplit(pagination["next"]["href"]).query)
    assert following == parse(query)._replace(paging=Paging(3, 2, True))


@pytest.mark.row("C-73")
def test_envelope_of_nothing_has_one_page() -> None:
    pagination = v3.envelope("/v3/x", parse("order_by=created_at"), 0, [])["pagination"]
    assert pagination == {
        "total_results": 0,
        "total_pages": 1,
        "first": {"href": "/v3/x?order_by=%2Bcreated_at&page=1&per_page=50"},
        "last": {"href": "/v3/x?order_by=%2Bcreated_at&page=1&per_page=50"},
        "next": None,
        "previous": None,
    }
    assert "order_by" not in v3.page_url("/v3/x", parse(""), 1)
