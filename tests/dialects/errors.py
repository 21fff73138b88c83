"""One error of every class, to see whether a dialect has an answer for each."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request

from tallystick import errors
from tallystick.errors import TallystickError

_ARGUMENTS: dict[str, Any] = {"limit": 5, "field": "data.x", "operator": "~", "path": "data"}


def every_error() -> list[TallystickError]:
    """Return an error of every class of the tree, with something in it that is for logs only."""
    return [_instance(cls) for cls in _classes(TallystickError)]


def request_to(path: str, method: str = "GET") -> Request:
    """Return a request without headers."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [],
        "query_string": b"",
        "state": {},
    }
    return Request(scope)


def _classes(cls: type[TallystickError]) -> Iterator[type[TallystickError]]:
    if cls.__module__ == errors.__name__:
        yield cls
    for child in cls.__subclasses__():
        yield from _classes(child)


def _instance(cls: type[TallystickError]) -> TallystickError:
    taken = inspect.signature(cls).parameters
    given = {name: value for name, value in _ARGUMENTS.items() if name in taken}
    return cls("secret detail", **given)
