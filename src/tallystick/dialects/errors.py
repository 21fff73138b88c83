"""What most dialects tell of an error in the same way: HTTP's own headers, and the words."""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.errors import (
    MethodNotAllowed,
    Pushback,
    RateLimited,
    StoreError,
    TallystickError,
    Unauthenticated,
)

_STORE_RETRY_AFTER_S = 5


def status_in(table: Mapping[type[TallystickError], int], error: TallystickError) -> int:
    """Return the HTTP status of an error: that of the first class of its ancestry in a table."""
    return next(table[cls] for cls in type(error).__mro__ if cls in table)


def message_of(error: TallystickError, status: int) -> str:
    """Return the text of an error for a client; the operator's troubles stay unnamed."""
    return error.message if status < 500 else (type(error).__doc__ or "").split("\n", 1)[0]


def headers_of(error: TallystickError, challenge: str) -> dict[str, str]:
    """Return the headers that HTTP wants of an error; `challenge` says how to log in."""
    match error:
        case Unauthenticated():
            return {"WWW-Authenticate": challenge}
        case MethodNotAllowed() if error.allowed:
            return {"Allow": ", ".join(error.allowed)}
        case RateLimited() | Pushback():
            return {"Retry-After": str(max(1, round(error.retry_after_s)))}
        case StoreError():
            return {"Retry-After": str(_STORE_RETRY_AFTER_S)}
    return {}
