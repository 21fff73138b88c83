"""How DataTrails says that something went wrong: HTTP status, gRPC code and body.

The table has a row for each class that can reach a caller; a subclass without its own row
answers as its parent does. Source: wire specification of DataTrails 2.5 and 2.6.
"""

from __future__ import annotations

from typing import NamedTuple

from tallystick import errors, json_text
from tallystick.dialects.errors import ErrorAnswer
from tallystick.errors import TallystickError
from tallystick.events.event import Json


class DataTrailsCode(NamedTuple):
    """HTTP status and gRPC code of an error class."""

    status: int
    grpc: int


CODES: dict[type[TallystickError], DataTrailsCode] = {
    errors.TallystickError: DataTrailsCode(500, 13),
    errors.RequestError: DataTrailsCode(400, 3),
    errors.Malformed: DataTrailsCode(400, 3),
    errors.UnsupportedMediaType: DataTrailsCode(400, 3),
    errors.InvalidQuery: DataTrailsCode(400, 3),
    errors.UnsupportedField: DataTrailsCode(400, 3),
    errors.UnsupportedOperator: DataTrailsCode(400, 3),
    # The documented codes of a create request know no 413.
    errors.TooLarge: DataTrailsCode(400, 3),
    errors.Unauthenticated: DataTrailsCode(401, 16),
    errors.TokenExpired: DataTrailsCode(401, 16),
    errors.Forbidden: DataTrailsCode(403, 7),
    errors.NotFound: DataTrailsCode(404, 5),
    errors.MethodNotAllowed: DataTrailsCode(405, 12),
    errors.Conflict: DataTrailsCode(409, 10),
    errors.UnderHold: DataTrailsCode(409, 9),
    errors.PreconditionFailed: DataTrailsCode(412, 9),
    errors.IdempotencyMismatch: DataTrailsCode(422, 6),
    errors.RateLimited: DataTrailsCode(429, 8),
    errors.QuotaExceeded: DataTrailsCode(402, 12),
    errors.Pushback: DataTrailsCode(503, 14),
    errors.StoreBusy: DataTrailsCode(503, 14),
    errors.SequencerFull: DataTrailsCode(503, 14),
    errors.AnswersWaiting: DataTrailsCode(503, 14),
    errors.QueryTooSlow: DataTrailsCode(503, 14),
    errors.FollowerBehind: DataTrailsCode(503, 14),
    errors.VerificationError: DataTrailsCode(500, 15),
    errors.BadSignature: DataTrailsCode(500, 15),
    errors.BadInclusionProof: DataTrailsCode(500, 15),
    errors.BadConsistencyProof: DataTrailsCode(500, 15),
    errors.ContentMismatch: DataTrailsCode(500, 15),
    errors.MalformedNote: DataTrailsCode(500, 15),
    errors.MalformedReceipt: DataTrailsCode(500, 15),
    errors.StoreError: DataTrailsCode(500, 13),
    errors.StoreCorrupt: DataTrailsCode(500, 15),
    errors.StoreFailed: DataTrailsCode(503, 14),
    errors.SchemaMismatch: DataTrailsCode(500, 13),
    errors.StoreLocked: DataTrailsCode(503, 14),
    errors.SettingsError: DataTrailsCode(500, 13),
    errors.Unexpected: DataTrailsCode(500, 13),
}

RATE_LIMIT_RESET = "Archivist-Rate-Limit-Reset"
_TYPE = "type.googleapis.com/google.rpc."
_SHORTEST_RESET_S = 0.001
"""The client retries only when told to wait for more than nothing."""


def answer(
    error: TallystickError, *, request_id: str | None = None, tenant: str | None = None
) -> ErrorAnswer:
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
    text = json_text.encode(body)
    return ErrorAnswer(code.status, text, "Bearer", store_retry_s=None, headers=_headers(error))


def code_of(kind: type[TallystickError]) -> DataTrailsCode:
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
