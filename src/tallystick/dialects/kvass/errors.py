"""Errors as Kvass tells them: a status and a JSON object with code, message and description.

Source: wire specification 2.6.
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
    RequestError: 400,
    Unauthenticated: 401,
    QuotaExceeded: 403,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    Conflict: 409,
    TooLarge: 413,
    IdempotencyMismatch: 422,
    RateLimited: 429,
    Pushback: 503,
    StoreError: 503,
    TallystickError: 500,
}

_CHALLENGE = 'Bearer realm="kvass"'


def status_of(error: TallystickError) -> int:
    """Return the HTTP status of an error."""
    return errors.row_of(STATUS, error)


def body_of(error: TallystickError) -> Json:
    """Return the text of an error for a client; the operator's troubles stay unnamed."""
    status = status_of(error)
    message = errors.message_of(error, status)
    return {
        "code": status,
        "message": message,
        "description": message,
        "error": {
            "type": error.code,
            "exception_description": error.hint or message,
            "params": _params(error),
        },
    }


def answer(request: Request, error: TallystickError) -> ErrorAnswer:
    """Return the answer to an error."""
    return ErrorAnswer(status_of(error), json_text.encode(body_of(error)), _CHALLENGE)


def _params(error: TallystickError) -> Json:
    match error:
        case Malformed(path=str(path)) if path:
            return {path: error.message}
        case TooLarge():
            return {"limit": error.limit}
        case InvalidQuery(position=int(position)):
            return {"position": position}
    return {}
