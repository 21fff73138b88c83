"""Every error of ours has an answer in Onehub's shape."""

from __future__ import annotations

import pytest

from tallystick import errors
from tallystick.dialects.onehub.errors import body_of, error_response, status_of
from tallystick.errors import TallystickError
from tests.dialects.errors import every_error, request_to


@pytest.mark.row("H-26")
@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_has_an_answer(error: TallystickError) -> None:
    answer = error_response(request_to("/activity"), error)
    assert answer.status_code == status_of(error)
    assert 400 <= answer.status_code < 600
    body = body_of(error)
    assert isinstance(body["error"], str)
    assert body["error"]
    if answer.status_code >= 500:
        assert "secret detail" not in body["error"]
    else:
        assert "secret detail" in body["error"]


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


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (errors.Unauthenticated(), "www-authenticate", 'Bearer realm="onehub"'),
        (errors.MethodNotAllowed(allowed=("GET", "HEAD")), "allow", "GET, HEAD"),
        (errors.RateLimited(retry_after_s=7.4), "retry-after", "7"),
        (errors.StoreBusy(retry_after_s=0.1), "retry-after", "1"),
        (errors.StoreFailed(), "retry-after", "5"),
    ],
)
def test_headers_say_what_to_do_next(error: TallystickError, name: str, value: str) -> None:
    assert error_response(request_to("/activity"), error).headers[name] == value


def test_a_parameter_is_named() -> None:
    error = errors.Malformed("verbs are words", path="verbs")
    assert body_of(error) == {"error": "verbs are words", "errors": {"verbs": ["verbs are words"]}}
