"""The text of answers: indented as version 2 wrote it, or compact; and the headers they carry.

Source: seed, "Headers" and "Body" (its Content-Length counts this very layout); wire specification
of Cloud Foundry 3.2 and 5.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tallystick import json_text
from tallystick.dialects.answers import COMPACT, Layout
from tallystick.errors import InvalidQuery

V2_TYPE = "application/json;charset=utf-8"
V3_TYPE = "application/json; charset=utf-8"

_EMPTY = re.compile(rb"([{\[])([}\]])(?=,?$)", re.MULTILINE)
_NO_TOKEN = re.compile(r"[^A-Za-z0-9_-]")
_TOKEN_CHARS_MAX = 255
_PARAMETERS_MAX = 1000


def indented(value: object) -> bytes:
    """Return JSON text indented by two blanks, with an empty object or array on three lines.

    Shape: the middle one of the three is empty; no newline ends the text.
    """
    text = msgspec.json.format(json_text.encode(value), indent=2)

    def opened(empty: re.Match[bytes]) -> bytes:
        line = text[text.rfind(b"\n", 0, empty.start()) + 1 : empty.start()]
        blanks = line[: len(line) - len(line.lstrip(b" "))]
        return b"%b\n\n%b%b" % (empty[1], blanks, empty[2])

    # Only an empty object or array ends a line with a closing bracket after an opening one: a
    # string ends with its quote.
    return _EMPTY.sub(opened, text)


def v2_text(request: Request, value: object) -> bytes:
    """Return the text of an answer of version 2: indented unless the request says otherwise."""
    return json_text.encode(value) if _is_plain(request) else indented(value)


def v2_response(request: Request, value: object, status: int = 200) -> Response:
    """Return an answer of version 2: indented unless the request says `pretty=false`."""
    return Response(v2_text(request, value), status, media_type=V2_TYPE)


def rows_layout(request: Request) -> Layout:
    """Return how the rows of a list stand in an answer of version 2."""
    return COMPACT if _is_plain(request) else _INDENTED


def compact_response(value: object, status: int = 200) -> Response:
    """Return an answer of version 3, or of no version."""
    return Response(json_text.encode(value), status, media_type=V3_TYPE)


def parameters(request: Request) -> list[tuple[str, str]]:
    """Return the decoded parameters of a request in the order given.

    Raises: InvalidQuery when there are too many.
    """
    text = request.scope["query_string"].decode("utf-8", "replace")
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_PARAMETERS_MAX)
    except ValueError:
        raise InvalidQuery(f"a request may have {_PARAMETERS_MAX} parameters") from None


def headers(request: Request) -> Mapping[str, str]:
    """Return what every answer carries: an id of the request, built on the caller's if it has one.

    Shape: a UUID, or what is plain in the caller's id, `::` and a UUID.
    """
    given = request.headers.get("x-vcap-request-id") or request.headers.get("x-request-id") or ""
    token = _NO_TOKEN.sub("", given)[:_TOKEN_CHARS_MAX]
    own = str(uuid.uuid4())
    return {"X-VCAP-Request-ID": f"{token}::{own}" if token else own}


def _is_plain(request: Request) -> bool:
    return request.query_params.get("pretty", "true") in ("false", "0")


def _indented_row(value: object) -> bytes:
    # No line feed stands within a string. A line that is empty stays so.
    deeper = indented(value).replace(b"\n", b"\n    ")
    return deeper.replace(b"\n    \n", b"\n\n")


# Only a number in a list stands on a line of its own, and no list here has any.
_INDENTED = Layout(b"-0", b"\n    -0\n", b"\n    ", b",\n    ", b"\n", _indented_row)
