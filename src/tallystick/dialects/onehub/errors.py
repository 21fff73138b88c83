"""Errors as Onehub tells them: a sentence, and by parameter what is wrong with it.

Source: seed Onehub, "403"; wire specification 1.8.
"""

from __future__ import annotations

from starlette.requests import Request

from tallystick import json_text
from tallystick.dialects import errors
from tallystick.dialects.errors import ErrorAnswer
from tallystick.errors import (
    Conflict,
    Forbidden,
    IdempotencyMismatch,
    InvalidQuery,
    Malformed,
    MethodNotAllowed,
    NotFound,
    Pushback,
    QuotaExceeded,
    RateLimited,
    RequestError,
    StoreError,
    TallystickError,
    TooLarge,
    Unauthenticated,
)
from tallystick.events.event import Json

# The first class of an error's ancestry that stands here decides.
STATUS: dict[type[TallystickError], int] = {
    Malformed: 422,
    InvalidQuery: 422,
    Unauthenticated: 401,
    QuotaExceeded: 403,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    IdempotencyMismatch: 422,
    Conflict: 409,
    TooLarge: 413,
    RateLimited: 429,
    RequestError: 422,
    Pushback: 503,
    StoreError: 503,
    TallystickError: 500,
}

_CHALLENGE = 'Bearer realm="onehub"'


def status_of(error: TallystickError) -> int:
    """Return the HTTP status of an error."""
    return errors.row_of(STATUS, error)


def body_of(error: TallystickError) -> Json:
    """Return the text of an error for a client; the operator's troubles stay unnamed."""
    status = status_of(error)
    message = errors.message_of(error, status)
    body: Json = {"error": message}
    if isinstance(error, Malformed | TooLarge) and error.path:
        body["errors"] = {error.path: [message]}
    return body


def answer(request: Request, error: TallystickError) -> ErrorAnswer:
    """Return the answer to an error."""
    return ErrorAnswer(status_of(error), json_text.encode(body_of(error)), _CHALLENGE)
