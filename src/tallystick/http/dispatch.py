"""What every request gets on its way: an id, and an answer of the API whose path it is."""

from __future__ import annotations

import itertools
import secrets

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match, Route, Router
from starlette.types import Message, Scope, Send

from tallystick.dialects.base import Dialect
from tallystick.errors import (
    Malformed,
    MethodNotAllowed,
    NotFound,
    TallystickError,
)
from tallystick.http.body import header
from tallystick.http.metrics import Metrics

APPEND = ("POST", "/v1/events")
_REQUEST_ID_CHARS_MAX = 128

# Unique without asking the system for random bytes at every request.
_REQUEST_ID_PREFIX = secrets.token_hex(8)
_request_numbers = itertools.count(1)


class Answer:
    """Passes an answer on, adding what every answer carries, and counts it."""

    __slots__ = ("_metrics", "_request_id", "_scope", "_send", "owner", "started")

    def __init__(
        self,
        send: Send,
        request_id: str,
        owner: Dialect | None,
        scope: Scope,
        metrics: Metrics,
    ) -> None:
        self._send = send
        self._request_id = request_id
        self.owner = owner
        self._scope = scope
        self._metrics = metrics
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = message["headers"] = list(message.get("headers", ()))
            headers.append((b"x-content-type-options", b"nosniff"))
            if self.owner is None:
                headers.append((b"x-request-id", self._request_id.encode("latin-1")))
                name = "native"
            else:
                name = self.owner.name
                extra = self.owner.headers(Request(self._scope))
                headers += [(k.encode("latin-1"), v.encode("latin-1")) for k, v in extra.items()]
                if self._scope["path"].startswith(f"/extensions/{name}/"):
                    headers.append((b"x-tallystick-extension", name.encode("latin-1")))
            self._metrics.count_request(name, message["status"])
        await self._send(message)


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
        return NotFound("there is nothing at this path")
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
