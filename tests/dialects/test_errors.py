"""Every error of ours has an answer in every API: a status, its shape, and HTTP's own headers."""

from __future__ import annotations

import json

import pytest

from tallystick import errors
from tallystick.dialects import DIALECTS
from tallystick.dialects.base import Dialect
from tallystick.errors import RequestError, TallystickError
from tests.dialects.errors import every_error, request_to

PATHS = {
    "orchestrate": "/v0/c/k",
    "kvass": "/events",
    "datatrails": "/archivist/v1/events",
    "cloudfoundry": "/v3/audit_events",
    "onehub": "/activity",
}
CHALLENGES = {
    "orchestrate": 'Basic realm="orchestrate.io"',
    "kvass": 'Bearer realm="kvass"',
    "datatrails": "Bearer",
    "cloudfoundry": None,
    "onehub": 'Bearer realm="onehub"',
}
each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


@pytest.mark.row("H-26", "K-25")
@each_dialect
@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_has_an_answer(dialect: Dialect, error: TallystickError) -> None:
    """The caller's faults are explained; the operator's troubles stay unnamed."""
    answer = dialect.error(request_to(PATHS[dialect.name]), error)
    assert 400 <= answer.status < 600
    assert (answer.status < 500) is isinstance(error, RequestError)
    assert json.loads(answer.body)
    if answer.status >= 500 and not isinstance(error, errors.Pushback):
        assert b"secret detail" not in answer.body


@each_dialect
def test_headers_say_what_to_do_next(dialect: Dialect) -> None:
    request = request_to(PATHS[dialect.name])

    def header(error: TallystickError, name: str) -> str | None:
        return dialect.error_response(request, error).headers.get(name)

    assert header(errors.Unauthenticated(), "www-authenticate") == CHALLENGES[dialect.name]
    allow = header(errors.MethodNotAllowed(allowed=("GET", "HEAD")), "allow")
    # The controller answers 404 to a method that it does not know.
    assert allow == (None if dialect.name == "cloudfoundry" else "GET, HEAD")
    assert header(errors.MethodNotAllowed(), "allow") is None
    assert header(errors.RateLimited(retry_after_s=7.4), "retry-after") in ("7", "8")
    assert header(errors.StoreBusy(retry_after_s=0.1), "retry-after") == "1"
    says_when = dialect.name not in ("datatrails", "cloudfoundry")
    assert header(errors.StoreFailed(), "retry-after") == ("5" if says_when else None)


@each_dialect
def test_error_to_a_head_has_the_length_and_no_body(dialect: Dialect) -> None:
    path = PATHS[dialect.name]
    whole = dialect.error_response(request_to(path), errors.NotFound())
    head = dialect.error_response(request_to(path, "HEAD"), errors.NotFound())
    assert head.body == b""
    assert head.headers["content-length"] == whole.headers["content-length"]
