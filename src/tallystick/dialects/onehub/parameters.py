"""The parameters of the two lists, from wherever clients put them to a question. Pure.

They come in the query string, in a JSON body or in a form body, of a GET too; the query string
wins. Source: seed Onehub, "Request Body"; wire specification 1.3 and 1.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from tallystick import json_text
from tallystick.dialects.onehub import timestamps
from tallystick.dialects.onehub.wire import DIALECT, ID_MAX, VERBS
from tallystick.errors import Malformed
from tallystick.identity.access import Principal
from tallystick.query.expr import Eq, Everything, Expr, In, Not, Nothing, Range, all_of
from tallystick.query.question import Find

PER_PAGE = 30
PER_PAGE_MAX = 100

_FIELDS_MAX = 20_000
_OFFSET_MAX = 1 << 53
_ARRAYS = ("workspaces", "verbs")
_SCALARS = ("filter_self", "actor", "start_time", "end_time", "offset", "page", "per_page")
_ELEMENT = re.compile(r"(?P<name>[a-z]+)\[[^\[\]]*\]\Z")
_NO_LETTER = re.compile(r"[\W\d_]")
_PLAIN = {
    **{_NO_LETTER.sub("", name): name for name in (*_ARRAYS, *_SCALARS)},
    **{name.removesuffix("s"): name for name in _ARRAYS},
}
"""Known parameters by their letters, arrays by their singular too."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}\Z")
_FLAGS = {
    **dict.fromkeys(("true", "t", "1", "on", "yes"), True),
    **dict.fromkeys(("false", "f", "0", "off", "no"), False),
}
_FORM = "application/x-www-form-urlencoded"

Given = Mapping[str, Sequence[Any]]
"""The values given for each parameter, texts or JSON values."""


class PageParameters(NamedTuple):
    """Which part of a list is asked for."""

    offset: int
    per_page: int


def given_in(query: str, body: bytes, content_type: str) -> Given:
    """Return all parameters of a request.

    Raises: Malformed for a body that is neither JSON nor a form.
    """
    given = dict(_in_body(body, content_type)) if body.strip() else {}
    return {**given, **_in_form(query)}


def to_filter(given: Given, zone: tzinfo, principal: Principal) -> Expr:
    """Return what the parameters keep, apart from workspaces.

    Raises: Malformed, naming the parameter.
    """
    return all_of(
        (
            _in_verbs(given),
            _by_actor(given),
            _without_self(given, principal),
            _within_times(given, zone),
        )
    )


def in_workspaces(given: Given) -> Expr:
    """Return the events of the workspaces asked for; those that do not exist have none.

    Raises: Malformed.
    """
    asked = [_integer(value, "workspaces") for value in _several(given, "workspaces")]
    if not asked:
        return Everything()
    known = tuple(id for id in dict.fromkeys(asked) if 0 <= id <= ID_MAX)
    return In(f"{DIALECT}.workspace", known) if known else Nothing()


def to_page(given: Given) -> PageParameters:
    """Return which part is asked for: by offset, or by the number of a page.

    Raises: Malformed, naming the parameter.
    """
    per_page = _whole(given, "per_page", 1, PER_PAGE_MAX)
    if per_page is None:
        per_page = PER_PAGE
    page = _whole(given, "page", 1, None)
    offset = _whole(given, "offset", 0, None)
    if offset is None:
        offset = 0 if page is None else (page - 1) * per_page
    return PageParameters(offset, per_page)


def to_question(where: Expr, page: PageParameters) -> Find:
    """Return the question for a page, newest first."""
    # No log is as long; its end is as empty as anything beyond.
    offset = min(page.offset, _OFFSET_MAX)
    return Find(where=where, dialect=DIALECT, limit=page.per_page, offset=offset, total=True)


def _in_verbs(given: Given) -> Expr:
    verbs = [str(value) for value in _several(given, "verbs")]
    for verb in verbs:
        if verb not in VERBS:
            raise Malformed(f"{verb[:64]!r} is no verb; known: {', '.join(VERBS)}", path="verbs")
    return In(f"{DIALECT}.verb", tuple(dict.fromkeys(verbs))) if verbs else Everything()


def _by_actor(given: Given) -> Expr:
    value = _single(given, "actor")
    if value is None:
        return Everything()
    actor = _integer(value, "actor")
    return Eq(f"{DIALECT}.user", actor) if 0 <= actor <= ID_MAX else Nothing()


def _without_self(given: Given, principal: Principal) -> Expr:
    value = _single(given, "filter_self")
    flag = _FLAGS.get(str(value).lower()) if value is not None else False
    if flag is None:
        raise Malformed("filter_self is true or false", path="filter_self")
    if not flag or principal.user is None:
        return Everything()
    return Not(In("actor", tuple(f"user:{id}" for id in (principal.user, *principal.aliases))))


def _within_times(given: Given, zone: tzinfo) -> Expr:
    start, end = (_moment(given, name, zone) for name in ("start_time", "end_time"))
    if start is None and end is None:
        return Everything()
    low, high = start and start.ms, end and end.last_ms
    if low is not None and high is not None and low > high:
        return Nothing()
    return Range("occurred_ms", low, high)


def _moment(given: Given, name: str, zone: tzinfo) -> timestamps.Moment | None:
    value = _single(given, name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Malformed(f"{name} is a time as text", path=name)
    return timestamps.parse(value, zone, name)


def _several(given: Given, name: str) -> list[Any]:
    """Return the values of an array in any of its spellings; empty ones do not count."""
    found: list[Any] = []
    for value in given.get(name, ()):
        if isinstance(value, dict):
            # An array of PHP whose keys do not count up from 0.
            value = list(value.values())
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                found += filter(None, (part.strip() for part in item.split(",")))
            elif item is not None:
                found.append(item)
    return found


def _single(given: Given, name: str) -> Any:
    """Return the value of a scalar, the last one given; None for an empty one."""
    values = given.get(name) or (None,)
    value = values[-1]
    if isinstance(value, list | dict):
        raise Malformed(f"{name} is a single value", path=name)
    return None if isinstance(value, str) and not value.strip() else value


def _whole(given: Given, name: str, low: int, high: int | None) -> int | None:
    value = _single(given, name)
    if value is None:
        return None
    number = _integer(value, name)
    if number < low or (high is not None and number > high):
        upper = "up" if high is None else f"to {high}"
        raise Malformed(f"{name} is an integer from {low} {upper}", path=name)
    return number


def _integer(value: Any, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.match(value.strip()):
        return int(value)
    raise Malformed(f"{name} takes integers", path=name)


def _in_form(text: str) -> Given:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise Malformed("too many parameters") from None
    return _by_name(pairs)


def _in_body(body: bytes, content_type: str) -> Given:
    if content_type.partition(";")[0].strip().lower() == _FORM:
        try:
            return _in_form(body.decode("utf-8"))
        except UnicodeDecodeError:
            raise Malformed("the form is not UTF-8") from None
    return _by_name(json_text.decode_object(body).items())


def _by_name(pairs: Iterable[tuple[str, Any]]) -> Given:
    """Group values by the name of their parameter.

    Raises: Malformed for a spelling of a known parameter that is none of those taken: to ignore it
    would answer another question.
    """
    given: dict[str, list[Any]] = {}
    for spelling, value in pairs:
        given.setdefault(_name_of(spelling), []).append(value)
    return given


def _name_of(spelling: str) -> str:
    """Return the parameter that a spelling names; an unknown one goes by its own name.

    Elements of an array are spelled `name[]` (Rails), `name[0]` (PHP, qs) or `name[key]`.
    """
    if spelling in _ARRAYS or spelling in _SCALARS:
        return spelling
    element = _ELEMENT.match(spelling)
    if element is not None and element["name"] in _ARRAYS:
        return element["name"]
    meant = _PLAIN.get(_NO_LETTER.sub("", re.split(r"[\[.]", spelling, maxsplit=1)[0].lower()))
    if meant is None:
        return spelling
    taken = f"{meant}, {meant}[] or {meant}[0]" if meant in _ARRAYS else meant
    raise Malformed(f"unknown spelling {spelling[:64]!r}; write {taken}", path=meant)
