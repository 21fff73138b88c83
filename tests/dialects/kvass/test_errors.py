"""Kvass's statuses, and how it names a parameter that is wrong."""

from __future__ import annotations

import pytest

from tallystick import errors
from tallystick.dialects.kvass.errors import body_of, status_of
from tallystick.errors import TallystickError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Malformed(path="size"), 400),
        (errors.InvalidQuery(position=3), 400),
        (errors.TokenExpired(), 401),
        (errors.Forbidden(), 403),
        (errors.NotFound(), 404),
        (errors.MethodNotAllowed(), 405),
        (errors.PreconditionFailed(), 409),
        (errors.TooLarge(limit=5), 413),
        (errors.IdempotencyMismatch(), 422),
        (errors.RateLimited(), 429),
        (errors.FollowerBehind(), 503),
        (errors.StoreFailed(), 503),
        (errors.Unexpected(), 500),
    ],
)
def test_statuses_are_those_of_the_documents(error: TallystickError, status: int) -> None:
    assert status_of(error) == status


def test_what_is_wrong_is_named() -> None:
    assert body_of(errors.Malformed("too few", path="size", hint="send more"))["error"] == {
        "type": "malformed",
        "exception_description": "send more",
        "params": {"size": "too few"},
    }
    assert body_of(errors.InvalidQuery(position=3))["error"]["params"] == {"position": 3}
    assert body_of(errors.TooLarge(limit=5))["error"]["params"] == {"limit": 5}
