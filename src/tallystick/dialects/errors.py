"""The one responder for errors: an API hands over what its table says, and HTTP's headers follow.

A table has a row for some classes of our errors; an error answers by the first class of its
ancestry that stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from tallystick.errors import (
    MethodNotAllowed,
    Pushback,
    RateLimited,
    StoreError,
    TallystickError,
    Unauthenticated,
)

STORE_RETRY_AFTER_S = 5

RowT = TypeVar("RowT")


class ErrorAnswer(NamedTuple):
    """What an API's table says of one error."""

    status: int
    body: bytes
    challenge: str | None = None
    """How to log in; None where the API says that in no header."""
    media_type: str = "application/json"
    store_retry_s: int | None = STORE_RETRY_AFTER_S
    """When to try again after an error of the store; None where the API does not say."""
    headers: Mapping[str, str] = {}
    """Headers of the API's own; they win over those of HTTP."""


def respond(request: Request, error: TallystickError, answer: ErrorAnswer) -> Response:
    """Return the response to an error."""
    headers = {**http_headers(error, answer), **answer.headers}
    response = Response(answer.body, answer.status, headers, answer.media_type)
    if request.method == "HEAD":
        # The headers, the length among them, stay those of a GET.
        response.body = b""
    return response


def http_headers(error: TallystickError, answer: ErrorAnswer) -> dict[str, str]:
    """Return the headers that HTTP wants with an error."""
    match error:
        case Unauthenticated() if answer.challenge is not None:
            return {"WWW-Authenticate": answer.challenge}
        case MethodNotAllowed() if answer.status == 405 and error.allowed:
            return {"Allow": ", ".join(error.allowed)}
        case RateLimited() | Pushback():
            return {"Retry-After": str(max(1, round(error.retry_after_s)))}
        case StoreError() if answer.store_retry_s is not None:
            return {"Retry-After": str(answer.store_retry_s)}
    return {}


def row_of(table: Mapping[type[TallystickError], RowT], error: TallystickError) -> RowT:
    """Return the row of the first class of an error's ancestry that stands in a table."""
    return next(table[cls] for cls in type(error).__mro__ if cls in table)


def message_of(error: TallystickError, status: int) -> str:
    """Return the text of an error for a client; the operator's troubles stay unnamed."""
    return error.message if status < 500 else (type(error).__doc__ or "").split("\n", 1)[0]
