"""Onehub's statuses, and how it names the parameter."""

from __future__ import annotations

import pytest

from tallystick import errors
from tallystick.dialects.onehub.errors import body_of, status_of
from tallystick.errors import TallystickError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Malformed(path="verbs"), 422),
        (errors.InvalidQuery(), 422),
        (errors.TokenExpired(), 401),
        (errors.Forbidden(), 403),
        (errors.NotFound(), 404),
        (errors.MethodNotAllowed(), 405),
        (errors.TooLarge(limit=5), 413),
        (errors.IdempotencyMismatch(), 422),
        (errors.PreconditionFailed(), 409),
        (errors.RateLimited(), 429),
        (errors.FollowerBehind(), 503),
        (errors.StoreFailed(), 503),
        (errors.StoreCorrupt(), 503),
        (errors.Unexpected(), 500),
    ],
)
def test_statuses_are_those_of_the_documents(error: TallystickError, status: int) -> None:
    assert status_of(error) == status


def test_a_parameter_is_named() -> None:
    error = errors.Malformed("verbs are words", path="verbs")
    assert body_of(error) == {"error": "verbs are words", "errors": {"verbs": ["verbs are words"]}}
