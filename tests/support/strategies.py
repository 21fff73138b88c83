"""Hypothesis strategies for events and queries, made so that queries often match.

`views()` gives the list of events of one tenant, dense in index; `exprs(views)` gives queries
whose literals are mostly taken from these events. Everything is drawn from small vocabularies
with ties, so that equal times, shared names and repeated words are common; some values are drawn
from the edges of what is allowed. A query over the lists these give means what
`tallystick.query.match` says.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Sequence

from hypothesis import strategies as st

from tallystick import limits
from tallystick.events.event import (
    Draft,
    Event,
    Json,
    Op,
    Resource,
    View,
    as_recorded,
    stored_event,
)
from tallystick.log.sequencer import Accepted
from tallystick.query.expr import (
    And,
    Boost,
    Box,
    Eq,
    Everything,
    Exists,
    Expr,
    Fuzzy,
    In,
    Near,
    Not,
    Nothing,
    Or,
    Phrase,
    Prefix,
    Range,
    Regex,
    Scalar,
    Sort,
    Term,
    Wildcard,
)
from tallystick.query.text import text_of, tokens_of
from tallystick.query.values import flatten, flatten_places

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000

KINDS = (
    "order.created",
    "order.created.again",
    "order.shipped",
    "orders",
    "audit.app.update",
    "file.view",
    "",
    "Zahlung.überwiesen",
)
TYPES = ("user", "order", "app", "space", "User")
IDS = ("1", "42", "alice", "bob", "john.smith", "a:b", "0042", "日本", "x" * 200)
NAMES = ("Alice", "alice", "Bob Smith", "Ärger & Söhne", "", "naïve café", "O'Neil", "Ωmega ΟΔΟΣ")
WORDS = (
    "the quick brown fox",
    "quick the fox",
    "fox",
    "brown brown fox",
    "Quick",
    "wi-fi",
    "WiFi",
    "foo_bar",
    "error 404",
    "404",
    "-5",
    "3.14",
    "true",
    "null",
    "TRUE",
    "用户删除了合同",
    "删除 用户2合同",
    "ลบผู้ใช้แล้ว",
    "사용자가 삭제했다",
    "Straße",
    "STRASSE",
    "cafe\u0301",
    "café",
    "हिन्दी",
    "日本語 テキスト",
    "İstanbul",
    "\u017f",
    "🎉 party",
    "",
    " ",
    "a\x00b",
    "line\nbreak",
    '"quoted" \\ *star* ?',
    "2024-05-01T10:00:00Z",
    "x" * 300,
)
NUMBERS: tuple[int | float, ...] = (
    0,
    1,
    -1,
    2,
    5,
    100,
    404,
    1.0,
    0.5,
    -0.5,
    3.14,
    99.99,
    1000000000000000.0,
    1e300,
    -0.0,
    2**53,
    2**53 + 1,
    float(2**53),
    2**63 - 1,
    -(2**63),
    2**64,
    NOW_MS,
)
MEMBERS = ("total", "name", "tags", "address", "city", "n", "a", "a.b", "b", "", "x y", "größe")
_PATHS = """
    data.total data.name data.tags data.address.city data.address data.n data.flag data. data.größe
    data.a data.a.b data.a.b.n data.missing data.place data.place.lat previous.total previous.a.b
    original.id actor.attributes.city target.attributes.n scope.attributes.name
"""
PATHS = (*_PATHS.split(), "data.x y")
_FIELDS = """
    index id kind class op occurred_ms recorded_ms dialect subject nested trail
    actor actor.type actor.id actor.name target target.type target.id target.name
    scope scope.type scope.id scope.name
"""
FIELDS = (*_FIELDS.split(), *PATHS)
DIALECTS = ("native", "orchestrate", "kvass", "datatrails", "cloudfoundry", "onehub")

_times = st.one_of(
    st.integers(0, 3).map(lambda n: NOW_MS + n),
    st.integers(-400, 400).map(lambda n: NOW_MS + n * DAY_MS),
    st.sampled_from((0, -1, limits.OCCURRED_MS_MIN, limits.OCCURRED_MS_MAX)),
    st.integers(limits.OCCURRED_MS_MIN, limits.OCCURRED_MS_MAX),
)


@functools.cache
def texts() -> st.SearchStrategy[str]:
    """Strings as they stand in payloads: mostly known ones, some of any Unicode."""
    anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    several = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
    return st.one_of(st.sampled_from(WORDS), several, anything)


@functools.cache
def numbers() -> st.SearchStrategy[int | float]:
    """Numbers as they stand in payloads: small ones, edges, any."""
    return st.one_of(
        st.sampled_from(NUMBERS),
        st.integers(-10, 10),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
    )


@functools.cache
def scalars() -> st.SearchStrategy[Scalar]:
    """Plain values of any type."""
    return st.one_of(texts(), numbers(), st.booleans(), st.none())


@functools.cache
def places() -> st.SearchStrategy[Json]:
    """Objects that are places, nearly are, or are not."""
    degrees = st.one_of(
        st.sampled_from((0, 90, -90, 179.9, -179.9, 180, 52.52, 13.4, 91, True, "1")),
        st.floats(-180, 180),
    )
    names = st.tuples(
        st.sampled_from(("lat", "latitude")), st.sampled_from(("lon", "long", "lng", "longitude"))
    )
    return st.builds(lambda n, a, b: {n[0]: a, n[1]: b}, names, degrees, degrees)


@functools.cache
def values() -> st.SearchStrategy[object]:
    """JSON values, nested a little."""
    return st.recursive(
        st.one_of(scalars(), places()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=3),
        ),
        max_leaves=6,
    )


@functools.cache
def payloads() -> st.SearchStrategy[Json]:
    """JSON objects as payloads, with members that queries ask for."""
    named = st.fixed_dictionaries(
        {},
        optional={
            "total": st.one_of(numbers(), st.sampled_from(NUMBERS), texts()),
            "name": texts(),
            "tags": st.lists(st.one_of(texts(), numbers()), max_size=3),
            "place": st.one_of(places(), st.lists(places(), max_size=2)),
            "n": st.sampled_from(NUMBERS),
            "flag": st.booleans(),
        },
    )
    others = st.dictionaries(st.sampled_from(MEMBERS), values(), max_size=3)
    return st.builds(lambda a, b: {**a, **b}, others, named)


@functools.cache
def resources() -> st.SearchStrategy[Resource]:
    """Resources that recur from one event to the next."""
    return st.builds(
        Resource,
        type=st.sampled_from(TYPES),
        id=st.sampled_from(IDS),
        name=st.none() | st.sampled_from(NAMES) | texts(),
        attributes=st.none() | st.dictionaries(st.sampled_from(MEMBERS), values(), max_size=2),
    )


@functools.cache
def drafts() -> st.SearchStrategy[Draft]:
    """Ordinary events on their way in."""
    return st.builds(
        Draft,
        kind=st.sampled_from(KINDS),
        occurred_ms=st.none() | _times,
        actor=st.none() | resources(),
        target=st.none() | resources(),
        scopes=st.lists(resources(), max_size=3, unique_by=lambda r: r.key).map(tuple),
        trails=st.lists(st.sampled_from(NAMES[:4]), max_size=2, unique=True).map(tuple),
        data=payloads(),
        previous=st.none() | payloads(),
        dialect=st.sampled_from(DIALECTS),
        original=st.none() | st.fixed_dictionaries({"id": st.sampled_from(IDS)}),
    )


def event_of(draft: Draft, index: int, recorded_ms: int) -> Event:
    """Return `draft` as the event at `index`, with an id made from the index."""
    id = draft.id or str(uuid.UUID(int=index + (7 << 76) + (8 << 60)))
    occurred_ms = recorded_ms if draft.occurred_ms is None else draft.occurred_ms
    return stored_event("t", draft, Accepted(index, id, recorded_ms, occurred_ms))


def view_of(event: Event, content: Event | None = None, revision: int | None = None) -> View:
    """Return `event` as a reader sees it, with the content of `content` if it was revised."""
    if content is None or revision is None:
        return as_recorded(event)
    folded = Event(
        tenant=event.tenant,
        index=event.index,
        id=event.id,
        kind=content.kind,
        op=Op.RECORD,
        occurred_ms=event.occurred_ms,
        recorded_ms=event.recorded_ms,
        dialect=event.dialect,
        actor=content.actor,
        target=content.target,
        scopes=content.scopes,
        trails=content.trails,
        data=content.data,
        previous=content.previous,
        original=content.original,
    )
    return View(
        event=folded, first=event, revision=revision, revised_ms=event.recorded_ms + revision
    )


_STEPS = st.sampled_from((0, 0, 1, 1000))
_ONE_IN_SIX = st.integers(0, 5).map(lambda n: n == 0)


@st.composite
def views(draw: st.DrawFn, max_size: int = 8, revised: bool = True) -> list[View]:
    """Draw the events of one tenant in recorded order, some of them revised."""
    drawn = draw(st.lists(drafts(), max_size=max_size))
    found: list[View] = []
    recorded_ms = NOW_MS
    for index, draft in enumerate(drawn):
        recorded_ms += draw(_STEPS)
        event = event_of(draft, index, recorded_ms)
        if revised and draw(_ONE_IN_SIX):
            content = event_of(draw(drafts()), index, recorded_ms)
            found.append(view_of(event, content, len(drawn) + index))
        else:
            found.append(view_of(event))
    return found


def exprs(about: Sequence[View] = (), max_leaves: int = 5) -> st.SearchStrategy[Expr]:
    """Queries whose fields and literals mostly come from `about`."""
    return st.recursive(
        leaves(about),
        lambda inner: st.one_of(
            st.lists(inner, min_size=0, max_size=3).map(lambda parts: And(tuple(parts))),
            st.lists(inner, min_size=0, max_size=3).map(lambda parts: Or(tuple(parts))),
            inner.map(Not),
            st.builds(Boost, inner, st.sampled_from((0.5, 1.0, 2.0, 10.0))),
        ),
        max_leaves=max_leaves,
    )


def leaves(about: Sequence[View] = ()) -> st.SearchStrategy[Expr]:
    """Queries of a single node."""
    found = {(field, repr(value)): (field, value) for v in about for field, value in flatten(v)}
    centres = [place for view in about for place in flatten_places(view)]
    return _leaf(list(found.values()), centres)


@functools.cache
def sorts() -> st.SearchStrategy[tuple[Sort, ...]]:
    """Orders by plain fields; relevance and distance are not among them."""
    return st.lists(st.builds(Sort, st.sampled_from(FIELDS), st.booleans()), max_size=2).map(tuple)


_FLAGS = st.booleans()
_VALUE_NODES = ("eq", "in", "range", "exists", "prefix", "whole", "whole_regex")
_WORD_NODES = ("term", "phrase", "fuzzy", "wildcard", "wildcards", "regex")
_PLACE_NODES = ("near", "box")
_NODES = st.sampled_from((*_VALUE_NODES, *_WORD_NODES, *_PLACE_NODES, "constant"))
_TEXT_FIELDS = st.sampled_from(("", "", None, "data"))
_MARGINS = st.sampled_from((0.0, 0.5, 10.0, -0.5))
_DISTANCES = st.sampled_from((0.0, 1.0, 1e3, 1e5, 5e6, 2.1e7))
_EDGES = st.sampled_from((-180, -90, -1, 0, 13.4, 52.52, 90, 180)) | st.floats(-180, 180)


@st.composite
def _leaf(
    draw: st.DrawFn,
    known: Sequence[tuple[str, Scalar]],
    centres: Sequence[tuple[str, tuple[float, float]]],
) -> Expr:
    """Draw a node; its literals come from `known` and `centres` three times in four."""
    node = draw(_NODES)
    from_events = draw(st.integers(0, 3)) > 0
    if node in _PLACE_NODES:
        return _place_node(draw, node, centres if from_events else ())
    if known and from_events:
        field, value = known[draw(st.integers(0, len(known) - 1))]
    else:
        field, value = draw(st.sampled_from(FIELDS)), draw(scalars())
    if node in _WORD_NODES:
        text_field = draw(_TEXT_FIELDS)
        return _word_node(draw, node, field if text_field == "" else text_field, text_of(value))
    return _value_node(draw, node, field, value)


def _value_node(draw: st.DrawFn, node: str, field: str, value: Scalar) -> Expr:
    text = text_of(value)
    match node:
        case "eq":
            return Eq(field, value)
        case "in":
            return In(field, (draw(scalars()), value, draw(scalars()))[draw(st.integers(0, 2)) :])
        case "range":
            return Range(
                field, _bound(draw, value), _bound(draw, value), draw(_FLAGS), draw(_FLAGS)
            )
        case "exists":
            return Exists(field)
        case "prefix":
            return Prefix(field, text[: draw(st.integers(0, min(len(text), 1100)))])
        case "whole":
            return Wildcard(field, _pattern(draw, text), whole=True)
        case "whole_regex":
            return Regex(field, draw(regexes(text)), whole=True)
    return Everything() if draw(_FLAGS) else Nothing()


def _word_node(draw: st.DrawFn, node: str, field: str | None, text: str) -> Expr:
    words = tokens_of(text) or ["fox"]
    start = draw(st.integers(0, len(words) - 1))
    run = words[start : start + draw(st.integers(1, 4))]
    if draw(_FLAGS):
        run = list(draw(st.permutations(run)))
    match node:
        case "term":
            return Term(field, run[0].upper() if draw(_FLAGS) else " ".join(run))
        case "phrase":
            slop = draw(st.integers(0, 4))
            return Phrase(field, text if draw(st.integers(0, 3)) == 0 else " ".join(run), slop)
        case "fuzzy":
            return Fuzzy(field, _misspelt(draw, run[0]), draw(st.integers(0, 2)))
        case "regex":
            return Regex(field, draw(regexes(run[0].upper() if draw(_FLAGS) else run[0])))
    return Wildcard(field, _pattern(draw, run[0] if node == "wildcard" else "-".join(run)))


@st.composite
def regexes(draw: st.DrawFn, text: str) -> str:
    """Draw a regular expression that often matches `text`, within its limits."""
    if not text:
        return ".*"
    pieces: list[str] = []
    for character in text[:60]:
        literal = character if character.isalnum() else f"\\{character}"
        spelt = f"[{literal}x-z]", f"[^{literal}]", f"({literal}|yy)", f"({literal}|q?)"
        pieces.append(draw(st.sampled_from((*[literal] * 12, *spelt, ".", "\\w", "\\D"))))
        pieces[-1] += draw(st.sampled_from(("",) * 14 + ("?", "*", "+", "{0,2}", "{2}", "{1,}")))
    cut = draw(st.integers(0, len(pieces)))
    ends = ("", ".*", "|.*" + "".join(pieces[:2]), "[a-z0-9 ]*")
    return "".join(pieces[:cut] if cut else pieces) + draw(st.sampled_from(ends))


def _place_node(
    draw: st.DrawFn, node: str, centres: Sequence[tuple[str, tuple[float, float]]]
) -> Expr:
    if centres:
        field, (latitude, longitude) = centres[draw(st.integers(0, len(centres) - 1))]
    else:
        field = draw(st.sampled_from(("data.place", "data", "data.address")))
        latitude, longitude = draw(st.floats(-90, 90)), draw(st.floats(-180, 180))
    if node == "near":
        return Near(field, latitude, longitude, draw(_DISTANCES))
    if draw(_FLAGS):
        north, south, east, west = (draw(_EDGES) for _ in "nsew")
    else:
        north, south = latitude + draw(_MARGINS), latitude - draw(_MARGINS)
        east, west = longitude + draw(_MARGINS), longitude - draw(_MARGINS)
    return Box(field, north=north, south=south, east=east, west=west)


def _bound(draw: st.DrawFn, value: Scalar) -> str | int | float | None:
    """Draw an end of a range: the value itself, another of its type, of any type, or open."""
    match draw(st.integers(0, 7)):
        case 0 | 1:
            bound = value
        case 2 | 3:
            bound = None
        case 4:
            bound = draw(scalars())
        case _:
            bound = draw(texts()) if isinstance(value, str) else draw(numbers())
    return None if isinstance(bound, bool) else bound


def _pattern(draw: st.DrawFn, text: str) -> str:
    """Draw a pattern made of `text` with some of it replaced by wildcards."""
    pattern = [_escaped(character) for character in text[:40]]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(pattern)))
        pattern[at : at + draw(st.integers(0, 2))] = draw(st.sampled_from(("?", "*", "", "x")))
    return draw(st.sampled_from(("", "*"))) + "".join(pattern) + draw(st.sampled_from(("", "*")))


def _misspelt(draw: st.DrawFn, word: str) -> str:
    """Draw a word a few edits away from `word`."""
    letters = list(word)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(letters)))
        match draw(st.sampled_from("ids")):
            case "i":
                letters.insert(at, draw(st.sampled_from("aeoxß1")))
            case "d":
                del letters[at : at + 1]
            case _:
                letters[at : at + 2] = reversed(letters[at : at + 2])
    return "".join(letters)


def _escaped(character: str) -> str:
    return "\\" + character if character in "*?\\" else character
