"""Errors as this API tells them: a status, a code that clients compare, a message, details.

`CODES` is every answer there is; `_OF_CLASS` says which one each of our error classes becomes.
Source: wire specification, section 16.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tallystick.dialects.errors import row_of
from tallystick.errors import (
    Conflict,
    FollowerBehind,
    Forbidden,
    InvalidQuery,
    Malformed,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
    Pushback,
    QuotaExceeded,
    RateLimited,
    RequestError,
    StoreError,
    TallystickError,
    TooLarge,
    Unauthenticated,
    UnderHold,
    UnsupportedField,
    UnsupportedOperator,
)
from tallystick.events.event import Json

CHALLENGE = 'Basic realm="orchestrate.io"'


class OrchestrateCode(NamedTuple):
    """Status and message of an error code."""

    status: int
    message: str


CODES: dict[str, OrchestrateCode] = {
    "api_bad_request": OrchestrateCode(400, "The API request is malformed."),
    "search_param_invalid": OrchestrateCode(400, "A provided search query param is invalid."),
    "search_query_malformed": OrchestrateCode(400, "The search query provided is invalid."),
    "event_param_invalid": OrchestrateCode(400, "A provided event param is invalid."),
    "graph_param_invalid": OrchestrateCode(400, "A provided graph param is invalid."),
    "item_ref_malformed": OrchestrateCode(400, "The provided Item Ref is malformed."),
    "security_unauthorized": OrchestrateCode(401, "Valid credentials are required."),
    "security_forbidden": OrchestrateCode(403, "The credentials do not allow this."),
    "items_not_found": OrchestrateCode(404, "The requested items could not be found."),
    "relation_not_found": OrchestrateCode(
        404, "The requested graph relationship could not be found."
    ),
    "method_not_allowed": OrchestrateCode(405, "The method is not allowed for this resource."),
    "patch_conflict": OrchestrateCode(409, "The patch could not be applied to the item."),
    "write_conflict": OrchestrateCode(409, "The item cannot be changed in this way."),
    "under_legal_hold": OrchestrateCode(409, "The item or event is under a legal hold."),
    "item_version_mismatch": OrchestrateCode(412, "The version of the item does not match."),
    "item_already_present": OrchestrateCode(412, "The item is already present."),
    "request_too_large": OrchestrateCode(413, "The request is too large."),
    "rate_limited": OrchestrateCode(429, "Too many requests."),
    "internal_error": OrchestrateCode(500, "An internal error occurred."),
    "operation_timed_out": OrchestrateCode(503, "The operation timed out; try again."),
    "indexing_timeout": OrchestrateCode(503, "The search index is behind; try again."),
}

# The first class of an error's ancestry that stands here decides.
_OF_CLASS: dict[type[TallystickError], str] = {
    Malformed: "api_bad_request",
    InvalidQuery: "search_query_malformed",
    TooLarge: "request_too_large",
    Unauthenticated: "security_unauthorized",
    Forbidden: "security_forbidden",
    NotFound: "items_not_found",
    MethodNotAllowed: "method_not_allowed",
    PreconditionFailed: "item_version_mismatch",
    UnderHold: "under_legal_hold",
    Conflict: "write_conflict",
    RateLimited: "rate_limited",
    QuotaExceeded: "rate_limited",
    RequestError: "api_bad_request",
    FollowerBehind: "indexing_timeout",
    Pushback: "operation_timed_out",
    StoreError: "operation_timed_out",
    TallystickError: "internal_error",
}


class Refusal(RequestError):
    """The request is refused with a code of this API's own."""

    def __init__(self, code: str, details: Json | None = None) -> None:
        super().__init__(CODES[code].message)
        self.answer = code
        self.details = details


class Told(NamedTuple):
    """An error as this API tells it."""

    status: int
    body: Json


def tell(error: TallystickError) -> Told:
    """Return how an error is told; nothing of an error of ours but its kind."""
    if isinstance(error, Refusal):
        name, details = error.answer, error.details
    else:
        name, details = _code_of(error), _details(error)
    code = CODES[name]
    body: Json = {"message": code.message, "code": name}
    if details:
        body["details"] = details
    return Told(code.status, body)


def items_not_found(collection: str, key: str, **more: str) -> Refusal:
    """Return the error for an item, or something of an item, that is not there."""
    return Refusal("items_not_found", {"items": [{"collection": collection, "key": key, **more}]})


def _code_of(error: TallystickError) -> str:
    return row_of(_OF_CLASS, error)


def _details(error: TallystickError) -> Json:
    if not isinstance(error, RequestError) or isinstance(error, Unauthenticated):
        return {}
    details: Json = {"info": error.message}
    extras: dict[str, Any] = {}
    match error:
        case UnsupportedField():
            extras = {"position": error.position, "field": error.field}
        case UnsupportedOperator():
            extras = {"position": error.position, "operator": error.operator}
        case InvalidQuery():
            extras = {"position": error.position}
        case Malformed():
            extras = {"path": error.path}
        case TooLarge():
            extras = {"limit": error.limit, "path": error.path}
        case Forbidden():
            extras = {"scope": error.role_needed}
        case UnderHold():
            extras = {"hold": error.hold}
    extras["hint"] = error.hint
    return details | {name: value for name, value in extras.items() if value is not None}
