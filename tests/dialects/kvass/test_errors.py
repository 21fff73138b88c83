"""Every error of ours has an answer in Kvass's shape."""

from __future__ import annotations

import pytest

from tallystick import errors
from tallystick.dialects.kvass.errors import body_of, error_response, status_of
from tallystick.errors import TallystickError
from tests.dialects.errors import every_error, request_to


@pytest.mark.row("K-25")
@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_has_an_answer(error: TallystickError) -> None:
    answer = error_response(request_to("/events"), error)
    body = body_of(error)
    assert answer.status_code == status_of(error) == body["code"]
    assert 400 <= answer.status_code < 600
    assert body["error"]["type"] == error.code
    if answer.status_code >= 500:
        assert "secret detail" not in bytes(answer.body).decode()
    else:
        assert body["message"] == body["description"] == "secret detail"


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


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (errors.Unauthenticated(), "www-authenticate", 'Bearer realm="kvass"'),
        (errors.MethodNotAllowed(allowed=("GET", "HEAD")), "allow", "GET, HEAD"),
        (errors.SequencerFull(retry_after_s=7.4), "retry-after", "7"),
        (errors.StoreFailed(), "retry-after", "5"),
    ],
)
def test_headers_say_what_to_do_next(error: TallystickError, name: str, value: str) -> None:
    assert error_response(request_to("/events"), error).headers[name] == value


def test_what_is_wrong_is_named() -> None:
    assert body_of(errors.Malformed("too few", path="size", hint="send more"))["error"] == {
        "type": "malformed",
        "exception_description": "send more",
        "params": {"size": "too few"},
    }
    assert body_of(errors.InvalidQuery(position=3))["error"]["params"] == {"position": 3}
    assert body_of(errors.TooLarge(limit=5))["error"]["params"] == {"limit": 5}
