"""Parameters and envelope of version 2's lists."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.cloudfoundry import listing
from tallystick.dialects.cloudfoundry.errors import BadOrder
from tallystick.dialects.cloudfoundry.wire import Relations
from tallystick.errors import InvalidQuery


def parse(query: str) -> listing.V2Listing:
    """Return what a query string asks for."""
    return listing.parse(parse_qsl(query, keep_blank_values=True), listing.EVENT_ORDERS)


def envelope(query: str, total: int) -> dict[str, object]:
    """Return the envelope of a page without its resources."""
    return listing.envelope("/v2/events", parse(query), total, [], listing.EVENT_ORDER)


@pytest.mark.row("C-30", "C-31", "C-41")
def test_defaults() -> None:
    assert parse("").paging == (1, 50, False)


@pytest.mark.row("C-30", "C-31")
def test_page_and_size() -> None:
    asked = parse("page=3&results-per-page=100").paging
    assert (asked.page, asked.size, asked.offset) == (3, 100, 200)


@pytest.mark.row("C-37", "C-38")
@pytest.mark.parametrize(
    ("query", "descending"),
    [
        ("order=asc", False),
        ("order=desc", True),
        ("order-direction=desc", True),
        ("order=desc&order-direction=asc", False),
        ("order-direction=desc&order=asc", True),
        ("order-direction=asc&order-direction=desc", True),
    ],
)
def test_direction(query: str, descending: bool) -> None:
    assert parse(query).paging.descending is descending


@pytest.mark.row("C-58")
@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("results-per-page=101", "results_per_page must be <= 100"),
        ("results-per-page=0", "results_per_page must be >= 1"),
        ("results-per-page=ten", "results_per_page must be an integer but was 'ten'"),
        ("page=0", "page must be >= 1"),
        ("page=-1", "page must be an integer but was '-1'"),
        ("page=", "page must be an integer but was ''"),
        ("page=" + "9" * 5000, "page must be an integer but was '" + "9" * 64 + "'"),
        ("page=٣", "page must be an integer but was '٣'"),
        ("inline-relations-depth=4", "inline_relations_depth must be <= 3"),
        ("orphan-relations=2", "orphan_relations must be <= 1"),
        ("order-direction=DESC", "order_direction must be 'asc' or 'desc' but was 'DESC'"),
        ("order=up", "order_direction must be 'asc' or 'desc' but was 'up'"),
        ("order-direction=", "order_direction must be 'asc' or 'desc' but was ''"),
    ],
)
def test_bad_parameter_is_named(query: str, complaint: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse(query)
    assert caught.value.message == complaint


@pytest.mark.row("C-39", "C-40", "C-59")
def test_order_by_takes_two_columns_and_changes_nothing() -> None:
    for query in ("order-by=timestamp", "order-by=id", "order-by=timestamp&order-by=id"):
        assert parse(query).paging == parse("").paging
    with pytest.raises(BadOrder):
        parse("order-by=actor")


@pytest.mark.row("C-47")
def test_unknown_parameters_are_ignored() -> None:
    assert parse("colour=red&page=2&Q=x") == parse("page=2")


@pytest.mark.row("C-43", "C-44", "C-45")
@pytest.mark.parametrize(
    ("query", "urls", "inlined"),
    [
        ("", False, set()),
        ("inline-relations-depth=0", True, set()),
        ("inline-relations-depth=1", True, {"space", "organization"}),
        ("inline-relations-depth=3", True, {"space", "organization"}),
        ("inline-relations-depth=1&exclude-relations=space", True, {"organization"}),
        ("inline-relations-depth=1&include-relations=space", True, {"space"}),
        ("inline-relations-depth=1&include-relations=space,organization", True,
         {"space", "organization"}),
        ("inline-relations-depth=1&include-relations=space&exclude-relations=space,organization",
         True, set()),
        ("inline-relations-depth=1&exclude-relations=apps", True, {"space", "organization"}),
        ("inline-relations-depth=1&include-relations=apps", True, set()),
        ("inline-relations-depth=1&include-relations=", True, {"space", "organization"}),
        ("exclude-relations=space", False, set()),
    ],
)  # fmt: skip
def test_relations(query: str, urls: bool, inlined: set[str]) -> None:
    assert parse(query).relations == Relations(urls, frozenset(inlined))


@pytest.mark.row("C-2", "C-32", "C-36")
@pytest.mark.parametrize(
    ("page", "total", "pages", "previous", "following"),
    [
        (1, 0, 1, None, None),
        (1, 50, 1, None, None),
        (1, 51, 2, None, 2),
        (2, 51, 2, 1, None),
        (2, 101, 3, 1, 3),
        (9, 51, 2, 8, None),
    ],
)
def test_envelope(
    page: int, total: int, pages: int, previous: int | None, following: int | None
) -> None:
    def url(number: int | None) -> str | None:
        if number is None:
            return None
        return (
            "/v2/events?order-by=timestamp&order-by=id&order-direction=asc"
            f"&page={number}&results-per-page=50"
        )

    shown = envelope(f"page={page}", total)
    assert list(shown) == ["total_results", "total_pages", "prev_url", "next_url", "resources"]
    assert shown["total_results"] == total
    assert shown["total_pages"] == pages
    assert shown["prev_url"] == url(previous)
    assert shown["next_url"] == url(following)


@pytest.mark.row("C-33", "C-34")
def test_next_url_keeps_what_was_asked_sorted_by_name() -> None:
    query = (
        "results-per-page=10&q=type:audit.app.update&pretty=true&order=desc&colour=red"
        "&q=timestamp>=2014-06-19T17:18:46%2B02:00%3Bactee:a%26b&include-relations=space"
        "&inline-relations-depth=1&orphan-relations=1&exclude-relations=a,b"
    )
    assert envelope(query, 100)["next_url"] == (
        "/v2/events?exclude-relations=a,b&include-relations=space&inline-relations-depth=1"
        "&order-by=timestamp&order-by=id&order-direction=desc&orphan-relations=1&page=2"
        "&q=type:audit.app.update&q=timestamp%3E=2014-06-19T17:18:46%2B02:00%3Bactee:a%26b"
        "&results-per-page=10"
    )


@pytest.mark.row("C-46")
def test_orphans_are_an_empty_object_when_asked_for() -> None:
    assert envelope("orphan-relations=1", 0)["orphans"] == {}
    assert "orphans" not in envelope("orphan-relations=0", 0)


@pytest.mark.row("C-35")
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=3),
    st.booleans(),
    st.integers(1, 100),
)
def test_server_reads_its_own_next_url_back(q: list[str], descending: bool, size: int) -> None:
    pairs = [("q", text) for text in q] + [("results-per-page", str(size))]
    pairs.append(("order", "desc" if descending else "asc"))
    first = listing.parse(pairs, listing.EVENT_ORDERS)
    url = listing.page_url("/v2/events", first, 2, listing.EVENT_ORDER)
    assert url.isascii()
    parts = urlsplit(url)
    second = parse(parts.query)
    assert parts.path == "/v2/events"
    assert second.q == first.q
    assert second.paging == first.paging._replace(page=2)
