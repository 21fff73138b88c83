"""Parameters of Onehub: every spelling, every place, and what is refused."""

from __future__ import annotations

from datetime import UTC
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.onehub import parameters
from tallystick.errors import Malformed
from tallystick.identity.access import Principal, Scope
from tallystick.json_text import encode
from tallystick.query.expr import Eq, Everything, Expr, In, Not, Nothing, Range, all_of

FORM = "application/x-www-form-urlencoded"
ME = Principal(tenant="t", scopes=frozenset({Scope.READ}), user="481", aliases=("7",))


def filter_of(query: str = "", body: bytes = b"", content_type: str = "") -> Expr:
    given = parameters.given_in(query, body, content_type)
    return all_of((parameters.in_workspaces(given), parameters.to_filter(given, UTC, ME)))


def filter_and_page_of(query: str) -> None:
    filter_of(query)
    parameters.to_page(parameters.given_in(query, b"", ""))


@pytest.mark.row("H-4", "H-10")
@pytest.mark.parametrize(
    ("query", "workspaces"),
    [
        ("workspaces[]=4137&workspaces[]=4138", (4137, 4138)),
        ("workspaces%5B%5D=4137&workspaces%5B%5D=4138", (4137, 4138)),
        ("workspaces=4137&workspaces=4138", (4137, 4138)),
        ("workspaces=4137,4138", (4137, 4138)),
        ("workspaces=4137, 4138,", (4137, 4138)),
        ("workspaces=4137", (4137,)),
        ("workspaces=4137&workspaces[]=4138&workspaces=4137", (4137, 4138)),
        ("workspaces=%2B5", (5,)),
        ("workspaces[0]=5&workspaces[1]=6", (5, 6)),
        ("workspaces%5B0%5D=5&workspaces%5B1%5D=6", (5, 6)),
        ("workspaces[b]=5&workspaces[a]=6", (5, 6)),
        ("workspaces[10]=5,7&workspaces[]=6&workspaces=8", (5, 7, 6, 8)),
        ("workspaces[0]=", ()),
    ],
)
def test_arrays_are_taken_in_every_spelling(query: str, workspaces: tuple[int, ...]) -> None:
    expected = In("onehub.workspace", workspaces) if workspaces else Everything()
    assert filter_of(query) == expected
    assert filter_of(body=query.encode(), content_type=FORM) == expected


@pytest.mark.parametrize("ending", ["", "[]", "[0]", "[12]", "[k]", "[first one]"])
def test_every_array_is_taken_in_every_spelling(ending: str) -> None:
    assert filter_of(f"verbs{ending}=read") == In("onehub.verb", ("read",))
    assert filter_of(f"workspaces{ending}=5") == In("onehub.workspace", (5,))
    assert filter_of(body=encode({f"verbs{ending}": ["read"]})) == In("onehub.verb", ("read",))


@pytest.mark.parametrize(
    ("spelling", "path"),
    [
        ("workspaces[0][]", "workspaces"),
        ("workspaces[0", "workspaces"),
        ("workspaces]", "workspaces"),
        ("workspaces.0", "workspaces"),
        ("workspaces0", "workspaces"),
        ("Workspaces", "workspaces"),
        ("WORKSPACES[]", "workspaces"),
        ("workspace", "workspaces"),
        ("verb[]", "verbs"),
        ("verbs[][x]", "verbs"),
        ("actor[]", "actor"),
        ("actor[0]", "actor"),
        ("offset[k]", "offset"),
        ("startTime", "start_time"),
        ("end-time", "end_time"),
        ("filterSelf", "filter_self"),
        ("per_page ", "per_page"),
        ("Page", "page"),
    ],
)
def test_unknown_spellings_of_known_parameters_are_refused(spelling: str, path: str) -> None:
    for query, body in ((urlencode({spelling: "1"}), b""), ("", encode({spelling: 1}))):
        with pytest.raises(Malformed) as refusal:
            filter_of(query, body)
        assert refusal.value.path == path


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"workspaces": [4137, 4138]}', In("onehub.workspace", (4137, 4138))),
        (b'{"workspaces": ["4137", 4138]}', In("onehub.workspace", (4137, 4138))),
        (b'{"workspaces": 4137}', In("onehub.workspace", (4137,))),
        (b'{"workspaces": []}', Everything()),
        (b'{"workspaces": {"1": 4137, "x": 4138}}', In("onehub.workspace", (4137, 4138))),
        (b'{"workspaces": {}}', Everything()),
        (b'{"workspaces": null, "verbs": null, "actor": null, "offset": null}', Everything()),
        (b'{"verbs": ["read", "upload"]}', In("onehub.verb", ("read", "upload"))),
        (b'{"filter_self": false}', Everything()),
        (b'{"filter_self": true}', Not(In("actor", ("user:481", "user:7")))),
        (b'{"actor": 481}', Eq("onehub.user", 481)),
        (b"  ", Everything()),
    ],
)
@pytest.mark.row("H-9")
@pytest.mark.resolution("onehub-O1")
def test_parameters_come_in_a_json_body(body: bytes, expected: Expr) -> None:
    assert filter_of(body=body) == expected
    assert filter_of(body=body, content_type="application/json") == expected


@pytest.mark.resolution("onehub-O1")
def test_parameters_come_in_a_form_and_the_query_wins() -> None:
    form = urlencode([("verbs[]", "read"), ("verbs[]", "update"), ("actor", "5")]).encode()
    assert filter_of("actor=6", form, FORM) == all_of(
        (In("onehub.verb", ("read", "update")), Eq("onehub.user", 6))
    )
    assert filter_of("actor=6", b'{"actor": 5}') == Eq("onehub.user", 6)


@pytest.mark.resolution("onehub-O1")
@pytest.mark.parametrize("query", ["workspaces[]=1", "workspaces=1"])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"workspaces": [2]}', "application/json"),
        (b"workspaces[]=2", FORM),
        (b"workspaces=2&workspaces[]=3", FORM),
    ],
)
def test_the_query_wins_however_an_array_is_spelled(
    query: str, body: bytes, content_type: str
) -> None:
    assert filter_of(query, body, content_type) == In("onehub.workspace", (1,))


@pytest.mark.row("H-5")
def test_there_are_seven_verbs() -> None:
    verbs = ("create", "upload", "read", "download", "update", "delete", "invite")
    assert filter_of("verbs=" + ",".join(verbs)) == In("onehub.verb", verbs)


@pytest.mark.row("H-6")
@pytest.mark.parametrize("spelling", ["true", "1", "on", "yes", "t", "TRUE", "Yes"])
def test_filter_self_takes_many_spellings_of_true(spelling: str) -> None:
    assert filter_of(f"filter_self={spelling}") == Not(In("actor", ("user:481", "user:7")))


@pytest.mark.parametrize("spelling", ["false", "0", "off", "no", "F", ""])
def test_filter_self_takes_many_spellings_of_false(spelling: str) -> None:
    assert filter_of(f"filter_self={spelling}") == Everything()


def test_a_program_has_no_self_to_filter() -> None:
    program = Principal(tenant="t", scopes=frozenset({Scope.READ}))
    given = parameters.given_in("filter_self=true", b"", "")
    assert parameters.to_filter(given, UTC, program) == Everything()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("start_time=Thu, 01 Jan 1970 00:00:01 GMT", Range("occurred_ms", 1000, None)),
        ("end_time=Thu, 01 Jan 1970 00:00:01 GMT", Range("occurred_ms", None, 1999)),
        (
            "start_time=1970-01-01T00:00:01Z&end_time=1970-01-01T00:00:01Z",
            Range("occurred_ms", 1000, 1999),
        ),
        ("start_time=1970-01-01T00:00:02Z&end_time=1970-01-01T00:00:01Z", Nothing()),
        ("start_time=&end_time=", Everything()),
    ],
)
def test_times_are_bounds_of_whole_seconds(query: str, expected: Expr) -> None:
    assert filter_of(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("workspaces=" + "9" * 40, Nothing()),
        ("workspaces=-1,4137", In("onehub.workspace", (4137,))),
        ("actor=-1", Nothing()),
        ("actor=" + "9" * 40, Nothing()),
        ("workspaces=&verbs=&actor=", Everything()),
        ("unknown=1&unknown[0]=2&paging=3&myworkspaces[]=4", Everything()),
    ],
)
def test_ids_that_nothing_has_match_nothing(query: str, expected: Expr) -> None:
    assert filter_of(query) == expected


@pytest.mark.row("H-26")
@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("workspaces=a", "workspaces"),
        ("workspaces[]=1.5", "workspaces"),
        ("workspaces=1e3", "workspaces"),
        ("verbs=Read", "verbs"),
        ("verbs=read,eat", "verbs"),
        ("actor=bob", "actor"),
        ("actor=%D9%A4", "actor"),
        ("filter_self=maybe", "filter_self"),
        ("start_time=yesterday", "start_time"),
        ("end_time=1", "end_time"),
        ("offset=-1", "offset"),
        ("offset=1.5", "offset"),
        ("offset=x", "offset"),
        ("page=0", "page"),
        ("page=-2", "page"),
        ("per_page=0", "per_page"),
        ("per_page=101", "per_page"),
    ],
)
def test_malformed_parameters_are_refused_by_name(query: str, path: str) -> None:
    with pytest.raises(Malformed) as refusal:
        filter_and_page_of(query)
    assert refusal.value.path == path


@pytest.mark.parametrize(
    "body",
    [
        b'{"workspaces": [true]}',
        b'{"workspaces": [{}]}',
        b'{"workspaces": 1.5}',
        b'{"verbs": [1]}',
        b'{"filter_self": []}',
        b'{"filter_self": "perhaps"}',
        b'{"actor": {}}',
        b'{"actor": true}',
        b'{"start_time": 5}',
        b"[1]",
        b"{",
        b"\xff",
        b"[" * 10_000,
    ],
)
def test_malformed_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        filter_of(body=body)


def test_a_form_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(Malformed):
        filter_of(body=b"\xff=1", content_type=FORM)
    with pytest.raises(Malformed):
        filter_of("&".join("a=1" for _ in range(20_001)))


@pytest.mark.row("H-12")
@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("", (0, 30)),
        ("offset=1", (1, 30)),
        ("offset=60", (60, 30)),
        ("page=1", (0, 30)),
        ("page=3", (60, 30)),
        ("page=3&per_page=100", (200, 100)),
        ("page=3&offset=5", (5, 30)),
        ("offset=", (0, 30)),
        ("offset=" + "9" * 40, (int("9" * 40), 30)),
    ],
)
def test_pages_are_offsets(query: str, page: tuple[int, int]) -> None:
    assert parameters.to_page(parameters.given_in(query, b"", "")) == page


@given(
    st.dictionaries(
        st.sampled_from(
            ["workspaces", "verbs", "filter_self", "actor", "start_time", "offset", "per_page"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=4,
        ),
    )
)
def test_any_body_is_understood_or_refused(body: dict[str, object]) -> None:
    try:
        text = encode(body)
    except UnicodeEncodeError:
        return
    try:
        filter_of(body=text)
        parameters.to_page(parameters.given_in("", text, ""))
    except Malformed as refusal:
        assert refusal.path in body  # noqa: PT017  # both outcomes are right
