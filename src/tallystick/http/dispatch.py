"""What every request gets on its way: an id, and an answer of the API whose path it is."""

from __future__ import annotations

import itertools
import secrets

from starlette.exceptions import HTTPException
from starlette.routing import Match, Route, Router
from starlette.types import Scope

from tallystick.errors import (
    Malformed,
    MethodNotAllowed,
    NotFound,
    TallystickError,
)
from tallystick.http.body import header

APPEND = ("POST", "/v1/events")
_REQUEST_ID_CHARS_MAX = 128

# Unique without asking the system for random bytes at every request.
_REQUEST_ID_PREFIX = secrets.token_hex(8)
_request_numbers = itertools.count(1)


def request_id_of(scope: Scope) -> str:
    """Return the caller's request id if it is a plain token, else a new one."""
    given = header(scope, b"x-request-id")
    if given is not None and 0 < len(given) <= _REQUEST_ID_CHARS_MAX:
        text = given.decode("latin-1")
        if text.isascii() and text.replace("-", "").replace("_", "").isalnum():
            return text
    return f"{_REQUEST_ID_PREFIX}{next(_request_numbers):012x}"


def error_of(error: HTTPException, router: Router, scope: Scope) -> TallystickError:
    if error.status_code == 404:
        return NotFound("no such path")
    if error.status_code == 405:
        return MethodNotAllowed(allowed=_methods_at(router, scope))
    return Malformed(error.detail)


def _methods_at(router: Router, scope: Scope) -> tuple[str, ...]:
    """Return the methods that a path has; the routes of several may share it."""
    methods = {APPEND[0]} if scope["path"] == APPEND[1] else set()
    for route in router.routes:
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return tuple(sorted(methods))
