"""How Cloud Foundry tells of errors: a number, a name and a sentence.

Version 2 and version 3 wrap them differently. Numbers that the original answers with status 500
although the request was at fault are answered with 400 here. Source: wire specification of Cloud
Foundry 6 and 11.
"""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request

from tallystick import errors, json_text
from tallystick.dialects.cloudfoundry import responses
from tallystick.dialects.errors import ErrorAnswer, row_of
from tallystick.errors import Forbidden, InvalidQuery, NotFound, TallystickError, Unauthenticated
from tallystick.events.event import Json


class InvalidAuthToken(Unauthenticated):
    """The token cannot be read, has expired, or was not issued here."""


class InsufficientScope(Forbidden):
    """The token has no scope that allows reading."""


class Immutable(Forbidden):
    """Events are kept as they were recorded: none is changed or deleted."""


class BadOrder(InvalidQuery):
    """A list cannot be ordered by this."""


class NoSuchEvent(NotFound):
    """There is no event with this guid."""


class NoSuchOrganization(NotFound):
    """There is no organization with this guid."""


class NoSuchSpace(NotFound):
    """There is no space with this guid."""


class NoSuchApp(NotFound):
    """There is no app with this guid."""


class ControllerError(NamedTuple):
    """Status, number, name and sentence; `{}` in the sentence is the error's own message."""

    status: int
    code: int
    name: str
    sentence: str


# The first class of an error's ancestry that stands here decides.
V2: dict[type[TallystickError], ControllerError] = {
    InvalidAuthToken: ControllerError(401, 1000, "CF-InvalidAuthToken", "Invalid Auth Token"),
    errors.TokenExpired: ControllerError(401, 1000, "CF-InvalidAuthToken", "Invalid Auth Token"),
    Unauthenticated: ControllerError(401, 10002, "CF-NotAuthenticated", "Authentication error"),
    InsufficientScope: ControllerError(
        403, 10007, "CF-InsufficientScope",
        "Your token lacks the necessary scopes to access this resource.",
    ),
    Immutable: ControllerError(
        403, 10003, "CF-NotAuthorized",
        "You are not authorized to perform the requested action: {}",
    ),
    Forbidden: ControllerError(
        403, 10003, "CF-NotAuthorized",
        "You are not authorized to perform the requested action",
    ),
    NoSuchEvent: ControllerError(404, 230002, "CF-EventNotFound", "Event could not be found: {}"),
    NoSuchOrganization: ControllerError(
        404, 30003, "CF-OrganizationNotFound", "The organization could not be found: {}"
    ),
    NoSuchSpace: ControllerError(
        404, 40004, "CF-SpaceNotFound", "The app space could not be found: {}"
    ),
    NoSuchApp: ControllerError(404, 100004, "CF-AppNotFound", "The app could not be found: {}"),
    NotFound: ControllerError(404, 10000, "CF-NotFound", "Unknown request"),
    errors.MethodNotAllowed: ControllerError(404, 10000, "CF-NotFound", "Unknown request"),
    BadOrder: ControllerError(400, 10012, "CF-OrderByParameterInvalid", "Cannot order by: {}"),
    InvalidQuery: ControllerError(
        400, 10005, "CF-BadQueryParameter", "The query parameter is invalid: {}"
    ),
    errors.Malformed: ControllerError(
        400, 1001, "CF-MessageParseError", "Request invalid due to parse error: {}"
    ),
    errors.TooLarge: ControllerError(413, 1004, "CF-BadRequest", "Bad request: {}"),
    errors.IdempotencyMismatch: ControllerError(422, 10008, "CF-UnprocessableEntity", "{}"),
    errors.Conflict: ControllerError(409, 10008, "CF-UnprocessableEntity", "{}"),
    errors.QuotaExceeded: ControllerError(403, 10003, "CF-NotAuthorized", "{}"),
    errors.RateLimited: ControllerError(429, 10013, "CF-RateLimitExceeded", "Rate Limit Exceeded"),
    errors.Pushback: ControllerError(503, 10015, "CF-ServiceUnavailable", "{}"),
    errors.StoreError: ControllerError(500, 10011, "CF-DatabaseError", "Database error"),
    errors.RequestError: ControllerError(400, 10004, "CF-InvalidRequest", "The request is invalid"),
    TallystickError: ControllerError(500, 10001, "UnknownError", "An unknown error occurred."),
}  # fmt: skip

V3: dict[type[TallystickError], ControllerError] = V2 | {
    InsufficientScope: V2[Forbidden],
    NoSuchEvent: ControllerError(404, 10010, "CF-ResourceNotFound", "Event not found"),
    NoSuchOrganization: ControllerError(
        404, 10010, "CF-ResourceNotFound", "Organization not found"
    ),
    NoSuchSpace: ControllerError(404, 10010, "CF-ResourceNotFound", "Space not found"),
    NoSuchApp: ControllerError(404, 10010, "CF-ResourceNotFound", "App not found"),
}


def answer_to(error: TallystickError, *, v3: bool = False) -> ControllerError:
    """Return how an error is answered, its sentence complete."""
    table = V3 if v3 else V2
    found = row_of(table, error)
    return found._replace(sentence=found.sentence.replace("{}", _message(error)))


def v2_body(answer: ControllerError) -> Json:
    """Return the body of an error of version 2."""
    return {
        "description": answer.sentence,
        "error_code": answer.name,
        "code": answer.code,
    }


def v3_body(answer: ControllerError) -> Json:
    """Return the body of an error of version 3."""
    error = {"code": answer.code, "title": answer.name, "detail": answer.sentence}
    return {"errors": [error]}


def answer(request: Request, error: TallystickError) -> ErrorAnswer:
    """Return the answer to an error, in the shape of the version asked."""
    if request.url.path.startswith("/v3"):
        row = answer_to(error, v3=True)
        text, media_type = json_text.encode(v3_body(row)), responses.V3_TYPE
    else:
        row = answer_to(error)
        text, media_type = responses.v2_text(request, v2_body(row)) + b"\n", responses.V2_TYPE
    return ErrorAnswer(row.status, text, media_type=media_type, store_retry_s=None)


def _message(error: TallystickError) -> str:
    match error:
        case errors.UnsupportedField():
            # The original names the key alone.
            return error.field
        case errors.Malformed() if error.path:
            return f"{error.message} (at {error.path})"
    return error.message
