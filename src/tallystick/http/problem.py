"""Errors of the native API as RFC 9457 problem documents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import Response

from tallystick import json_text
from tallystick.dialects.errors import STORE_RETRY_AFTER_S, ErrorAnswer, respond, row_of
from tallystick.errors import (
    Conflict,
    Forbidden,
    IdempotencyMismatch,
    InvalidQuery,
    Malformed,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
    Pushback,
    QuotaExceeded,
    RateLimited,
    RequestError,
    TallystickError,
    TooLarge,
    Unauthenticated,
    UnderHold,
    Unexpected,
    UnsupportedField,
    UnsupportedMediaType,
    UnsupportedOperator,
)
from tallystick.http.compression import CODINGS

CONTENT_TYPE = "application/problem+json"
CHALLENGE = 'Bearer realm="tallystick"'

# The first class of an error's ancestry that stands here decides.
STATUS: dict[type[TallystickError], int] = {
    UnsupportedMediaType: 415,
    Malformed: 400,
    InvalidQuery: 400,
    TooLarge: 413,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    IdempotencyMismatch: 422,
    PreconditionFailed: 412,
    Conflict: 409,
    RateLimited: 429,
    QuotaExceeded: 402,
    RequestError: 400,
    Pushback: 503,
    Unexpected: 500,
    TallystickError: 503,
}


def status_of(error: TallystickError) -> int:
    """Return the HTTP status of an error."""
    return row_of(STATUS, error)


def problem(error: TallystickError, request_id: str) -> dict[str, object]:
    """Return the problem document of an error.

    Shape: `type` is stable and documented in `docs/errors.md`; `pointer`, `position`, `limit`,
    `allowed`, `hold` stand only where they apply.
    """
    document: dict[str, object] = {
        "type": f"urn:tallystick:error:{error.code}",
        "title": (type(error).__doc__ or error.code).split("\n", 1)[0],
        "status": status_of(error),
        "detail": error.message,
        "request_id": request_id,
    }
    if error.hint is not None:
        document["hint"] = error.hint
    document.update(_extras(error))
    return document


def _extras(error: TallystickError) -> dict[str, object]:
    match error:
        case Malformed() if error.path is not None:
            return {"pointer": error.path}
        case TooLarge():
            extras = {"limit": error.limit, "actual": error.actual, "pointer": error.path}
            return {name: value for name, value in extras.items() if value is not None}
        case UnsupportedField():
            place = {} if error.position is None else {"position": error.position}
            return {"field": error.field, "allowed": error.allowed, **place}
        case UnsupportedOperator():
            return {
                "operator": error.operator, "allowed": error.allowed, "position": error.position
            }  # fmt: skip
        case InvalidQuery() if error.position is not None:
            return {"position": error.position}
        case Forbidden() if error.role_needed is not None:
            return {"role_needed": error.role_needed}
        case UnderHold() if error.hold is not None:
            return {"hold": error.hold}
        case RateLimited() | Pushback():
            return {"retry_after_s": error.retry_after_s}
    return {}


def problem_response(request: Request, error: TallystickError, request_id: str) -> Response:
    """Return the response to an error."""
    return respond(request, error, answer(error, request_id))


def answer(error: TallystickError, request_id: str) -> ErrorAnswer:
    """Return the answer to an error."""
    text = json_text.encode(problem(error, request_id))
    return ErrorAnswer(status_of(error), text, CHALLENGE, CONTENT_TYPE, headers=_headers(error))


def _headers(error: TallystickError) -> dict[str, str]:
    if isinstance(error, UnsupportedMediaType):
        # RFC 7694: the codings that are accepted.
        return {"Accept-Encoding": ", ".join(CODINGS)}
    if not isinstance(error, RequestError | Pushback):
        return {"Retry-After": str(STORE_RETRY_AFTER_S)}
    return {}


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
