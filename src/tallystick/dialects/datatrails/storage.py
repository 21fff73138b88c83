"""The public log as the storage service showed it: errors in XML, and searches by tags.

The vendor's program ends a walk over massifs at this very 404, and asks for tags to learn which
logs grew. Pure. Source: wire specification of DataTrails 4.5 and its addendum.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from starlette.requests import Request
from starlette.responses import Response

from tallystick.dialects.errors import ErrorAnswer
from tallystick.errors import InvalidQuery, NotFound, TallystickError

ROOT = "/verifiabledata"
CONTAINER = "merklelogs"
LAST_ID, FIRST_INDEX = "lastid", "firstindex"

_XML = '<?xml version="1.0" encoding="utf-8"?>'
_TYPE = "application/xml"
_CONDITIONS_MAX = 10
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)
_CONDITION = re.compile(
    r"""\s*(?:"(?P<quoted>[^"]{1,128})"|(?P<bare>@?\w{1,128}))\s*(?P<operator>>=|<=|=|>|<)"""
    r"""\s*'(?P<value>[^']{0,256})'\s*\Z""",
    re.ASCII,
)
# What each error is called there, and what it says of itself.
_ERRORS: dict[type[TallystickError], tuple[int, str, str]] = {
    NotFound: (404, "BlobNotFound", "The specified blob does not exist."),
    InvalidQuery: (
        400,
        "InvalidQueryParameterValue",
        "Value for one of the query parameters specified in the request URI is invalid.",
    ),
}


class TagCondition(NamedTuple):
    """One condition of a search: a tag, an operator and a text."""

    tag: str
    operator: str
    value: str

    def holds(self, value: str | None) -> bool:
        """Tell whether a tag's value satisfies it; texts compare by code points."""
        if value is None:
            return False
        match self.operator:
            case "=":
                return value == self.value
            case ">":
                return value > self.value
            case ">=":
                return value >= self.value
            case "<":
                return value < self.value
        return value <= self.value


class ContainerBlob(NamedTuple):
    """A file of the log: its path in the container, and its tags."""

    name: str
    tags: dict[str, str]


class TagSearch(NamedTuple):
    """A search by tags, as its answer repeats it."""

    endpoint: str
    where: str
    conditions: Sequence[TagCondition]


def conditions_of(where: str | None) -> list[TagCondition]:
    """Return the conditions of a `where` parameter; all of them must hold.

    Raises: InvalidQuery.
    """
    parts = _AND.split(where or "")
    if len(parts) > _CONDITIONS_MAX:
        raise InvalidQuery(f"where may have {_CONDITIONS_MAX} conditions")
    conditions: list[TagCondition] = []
    for part in parts:
        match = _CONDITION.match(part)
        if match is None:
            raise InvalidQuery("where is written like \"lastid\">='018e…' AND \"firstindex\"='…'")
        tag = match["quoted"] or match["bare"]
        conditions.append(TagCondition(tag, match["operator"], match["value"]))
    return conditions


def satisfies(conditions: Iterable[TagCondition], blob: ContainerBlob) -> bool:
    """Tell whether a file is one that a search asks for."""
    known = {**blob.tags, "@container": CONTAINER}
    return all(condition.holds(known.get(condition.tag)) for condition in conditions)


def found_response(search: TagSearch, blobs: Iterable[ContainerBlob], following: str) -> Response:
    """Return the answer to a search: each file with the tags that were asked about."""
    asked = {condition.tag for condition in search.conditions}
    rows = "".join(_row(blob, asked) for blob in blobs)
    marker = f"<NextMarker>{escape(following)}</NextMarker>" if following else "<NextMarker />"
    text = (
        f"{_XML}<EnumerationResults ServiceEndpoint={quoteattr(search.endpoint)}>"
        f"<Where>{escape(search.where)}</Where><Blobs>{rows}</Blobs>{marker}</EnumerationResults>"
    )
    return Response(text, media_type=_TYPE, headers={"Cache-Control": "no-cache"})


def error_answer(request: Request, error: TallystickError) -> ErrorAnswer | None:
    """Return the storage service's answer to an error; None for one that it does not know."""
    path: str = request.scope["path"]
    if path != ROOT and not path.startswith(f"{ROOT}/"):
        return None
    known = next((_ERRORS[cls] for cls in type(error).__mro__ if cls in _ERRORS), None)
    if known is None:
        return None
    status, code, message = known
    id = request.scope["state"].get("request_id")
    told = message if id is None else f"{message}\nRequestId:{id}"
    text = f"{_XML}<Error><Code>{code}</Code><Message>{escape(told)}</Message></Error>"
    headers = {"x-ms-error-code": code}
    return ErrorAnswer(status, text.encode(), media_type=_TYPE, store_retry_s=None, headers=headers)


def _row(blob: ContainerBlob, asked: set[str]) -> str:
    tags = "".join(
        f"<Tag><Key>{escape(tag)}</Key><Value>{escape(value)}</Value></Tag>"
        for tag, value in blob.tags.items()
        if tag in asked
    )
    return (
        f"<Blob><Name>{escape(blob.name)}</Name><ContainerName>{CONTAINER}</ContainerName>"
        f"<Tags><TagSet>{tags}</TagSet></Tags></Blob>"
    )
