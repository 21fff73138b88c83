"""How DataTrails says that something went wrong: HTTP status, gRPC code and body.

The table has a row for each class that can reach a caller; a subclass without its own row
answers as its parent does. Source: wire specification of DataTrails 2.5 and 2.6.
"""

from __future__ import annotations

from typing import NamedTuple

from tallystick import errors
from tallystick.errors import TallystickError
from tallystick.events.event import Json


class Answer(NamedTuple):
    """An error as it goes out."""

    status: int
    headers: dict[str, str]
    body: Json


class Code(NamedTuple):
    """HTTP status and gRPC code of an error class."""

    status: int
    grpc: int


CODES: dict[type[TallystickError], Code] = {
    errors.TallystickError: Code(500, 13),
    errors.RequestError: Code(400, 3),
    errors.Malformed: Code(400, 3),
    errors.InvalidQuery: Code(400, 3),
    errors.UnsupportedField: Code(400, 3),
    errors.UnsupportedOperator: Code(400, 3),
    # The documented codes of a create request know no 413.
    errors.TooLarge: Code(400, 3),
    errors.Unauthenticated: Code(401, 16),
    errors.TokenExpired: Code(401, 16),
    errors.Forbidden: Code(403, 7),
    errors.NotFound: Code(404, 5),
    errors.MethodNotAllowed: Code(405, 12),
    errors.Conflict: Code(409, 10),
    errors.UnderHold: Code(409, 9),
    errors.PreconditionFailed: Code(412, 9),
    errors.IdempotencyMismatch: Code(422, 6),
    errors.RateLimited: Code(429, 8),
    errors.QuotaExceeded: Code(402, 12),
    errors.Pushback: Code(503, 14),
    errors.StoreBusy: Code(503, 14),
    errors.SequencerFull: Code(503, 14),
    errors.FollowerBehind: Code(503, 14),
    errors.VerificationError: Code(500, 15),
    errors.BadSignature: Code(500, 15),
    errors.BadInclusionProof: Code(500, 15),
    errors.BadConsistencyProof: Code(500, 15),
    errors.ContentMismatch: Code(500, 15),
    errors.MalformedNote: Code(500, 15),
    errors.MalformedReceipt: Code(500, 15),
    errors.StoreError: Code(500, 13),
    errors.StoreCorrupt: Code(500, 15),
    errors.StoreFailed: Code(503, 14),
    errors.SchemaMismatch: Code(500, 13),
    errors.StoreLocked: Code(503, 14),
    errors.SettingsError: Code(500, 13),
    errors.Unexpected: Code(500, 13),
}

RATE_LIMIT_RESET = "Archivist-Rate-Limit-Reset"
_TYPE = "type.googleapis.com/google.rpc."
_SHORTEST_RESET_S = 0.001
"""The client retries only when told to wait for more than nothing."""


def answer(
    error: TallystickError, *, request_id: str | None = None, tenant: str | None = None
) -> Answer:
    """Return what a caller gets for `error`.

    What the operator must mend is not described to the caller: 5xx bodies carry the general
    sentence of the error's class.
    """
    code = code_of(type(error))
    message = error.message if code.status < 500 else _general_message(error)
    if isinstance(error, errors.QuotaExceeded):
        message = f"{message}: Payment Required"
    details = _details(error, message, tenant)
    if request_id is not None:
        details.append({"@type": _TYPE + "RequestInfo", "requestId": request_id})
    body: Json = {"code": code.grpc, "message": message, "details": details}
    return Answer(code.status, _headers(error), body)


def code_of(kind: type[TallystickError]) -> Code:
    """Return the codes of an error class, or of its nearest ancestor in the table."""
    return next(CODES[ancestor] for ancestor in kind.__mro__ if ancestor in CODES)


def _general_message(error: TallystickError) -> str:
    return (type(error).__doc__ or "").split("\n", 1)[0]


def _headers(error: TallystickError) -> dict[str, str]:
    if isinstance(error, errors.RateLimited):
        wait_s = max(error.retry_after_s, _SHORTEST_RESET_S)
        return {RATE_LIMIT_RESET: f"{wait_s:.3f}", "Retry-After": str(_whole_seconds(wait_s))}
    if isinstance(error, errors.Pushback):
        return {"Retry-After": str(_whole_seconds(error.retry_after_s))}
    if isinstance(error, errors.Unauthenticated):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, errors.MethodNotAllowed) and error.allowed:
        return {"Allow": ", ".join(error.allowed)}
    return {}


def _whole_seconds(seconds: float) -> int:
    return max(1, -int(-seconds // 1))


def _details(error: TallystickError, message: str, tenant: str | None) -> list[Json]:
    field: str | None = None
    if isinstance(error, errors.Malformed | errors.TooLarge):
        field = error.path
    elif isinstance(error, errors.InvalidQuery):
        field = "filter"
    if field:
        violation = {"field": field, "description": message}
        return [{"@type": _TYPE + "BadRequest", "fieldViolations": [violation]}]
    if isinstance(error, errors.QuotaExceeded):
        quota = {"subject": tenant or "", "description": error.message}
        return [{"@type": _TYPE + "QuotaFailure", "violations": [quota]}]
    return []
