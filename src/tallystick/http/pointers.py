"""Where in a request's body an error is: the core names members, the native API points at them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tallystick.errors import Malformed, TooLarge


@contextmanager
def of_body(at: str = "") -> Iterator[None]:
    """Turn what errors name, such as `scopes[1].id`, into JSON pointers beneath `at`."""
    try:
        yield
    except (Malformed, TooLarge) as error:
        point_at(error, at)
        raise


def point_at(error: Malformed | TooLarge, at: str = "") -> None:
    """Let an error about a value of the body, at the pointer `at`, say where it is."""
    path = error.path
    if path and not path.startswith("/"):
        path = "/" + path.replace("[", ".").replace("]", "").replace(".", "/")
    error.path = at + path if path else at or path
