"""Every error of the product has an answer in the shape of both versions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tallystick import errors
from tallystick.dialects.cloudfoundry import errors as cf
from tallystick.errors import TallystickError

SPECIAL: dict[type[TallystickError], TallystickError] = {
    errors.UnsupportedField: errors.UnsupportedField(field="actor"),
    errors.UnsupportedOperator: errors.UnsupportedOperator(operator="=="),
    errors.TooLarge: errors.TooLarge("q may hold 256 conditions", limit=256),
}


def classes(root: type[TallystickError] = TallystickError) -> Iterator[type[TallystickError]]:
    """Yield a class and all below it that the product or this dialect declares."""
    if root.__module__ in (errors.__name__, cf.__name__):
        yield root
    for child in root.__subclasses__():
        yield from classes(child)


ALL = sorted(set(classes()), key=lambda cls: cls.__name__)


@pytest.mark.row("C-55")
@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("is_v3", [False, True])
def test_every_class_has_an_answer(cls: type[TallystickError], is_v3: bool) -> None:
    error = SPECIAL.get(cls) or cls("a reason")
    answer = cf.answer_to(error, v3=is_v3)
    fault_of_caller = isinstance(error, errors.RequestError)
    assert (400 <= answer.status < 500) is fault_of_caller
    assert "{}" not in answer.sentence
    body = cf.v3_body(answer)["errors"][0] if is_v3 else cf.v2_body(answer)
    assert isinstance(body["code"], int)


@pytest.mark.row("C-55", "C-56", "C-57", "C-58", "C-59", "C-60", "C-61", "C-77")
@pytest.mark.parametrize(
    ("error", "status", "code", "name", "sentence"),
    [
        (errors.Unauthenticated("x"), 401, 10002, "CF-NotAuthenticated", "Authentication error"),
        (cf.InvalidAuthToken("x"), 401, 1000, "CF-InvalidAuthToken", "Invalid Auth Token"),
        (errors.TokenExpired("x"), 401, 1000, "CF-InvalidAuthToken", "Invalid Auth Token"),
        (
            cf.InsufficientScope("x"), 403, 10007, "CF-InsufficientScope",
            "Your token lacks the necessary scopes to access this resource.",
        ),
        (
            errors.Forbidden("x"), 403, 10003, "CF-NotAuthorized",
            "You are not authorized to perform the requested action",
        ),
        (
            errors.UnsupportedField("x", field="actor"), 400, 10005, "CF-BadQueryParameter",
            "The query parameter is invalid: actor",
        ),
        (
            errors.InvalidQuery("page must be >= 1"), 400, 10005, "CF-BadQueryParameter",
            "The query parameter is invalid: page must be >= 1",
        ),
        (
            cf.BadOrder("actor"), 400, 10012, "CF-OrderByParameterInvalid",
            "Cannot order by: actor",
        ),
        (
            cf.NoSuchEvent("G"), 404, 230002, "CF-EventNotFound", "Event could not be found: G"
        ),
        (
            cf.NoSuchSpace("G"), 404, 40004, "CF-SpaceNotFound",
            "The app space could not be found: G",
        ),
        (errors.NotFound("x"), 404, 10000, "CF-NotFound", "Unknown request"),
        (errors.MethodNotAllowed("x"), 404, 10000, "CF-NotFound", "Unknown request"),
        (errors.RateLimited("x"), 429, 10013, "CF-RateLimitExceeded", "Rate Limit Exceeded"),
        (errors.StoreFailed("x"), 500, 10011, "CF-DatabaseError", "Database error"),
        (errors.Unexpected("x"), 500, 10001, "UnknownError", "An unknown error occurred."),
    ],
)  # fmt: skip
def test_documented_answers_of_version_2(
    error: TallystickError, status: int, code: int, name: str, sentence: str
) -> None:
    assert cf.answer_to(error) == (status, code, name, sentence)
    assert list(cf.v2_body(cf.answer_to(error))) == ["description", "error_code", "code"]


@pytest.mark.row("C-74")
def test_version_3_has_words_of_its_own() -> None:
    assert cf.answer_to(cf.NoSuchEvent("G"), v3=True) == (
        404, 10010, "CF-ResourceNotFound", "Event not found"
    )  # fmt: skip
    assert cf.answer_to(cf.InsufficientScope("x"), v3=True)[:3] == (403, 10003, "CF-NotAuthorized")
    assert cf.v3_body(cf.answer_to(cf.InvalidAuthToken("x"), v3=True)) == {
        "errors": [{"code": 1000, "title": "CF-InvalidAuthToken", "detail": "Invalid Auth Token"}]
    }


def test_offending_member_is_named() -> None:
    answer = cf.answer_to(errors.Malformed("type must not be empty", path="/entity/type"))
    assert answer.sentence == (
        "Request invalid due to parse error: type must not be empty (at /entity/type)"
    )


def test_braces_in_a_message_stay_what_they_are() -> None:
    assert cf.answer_to(errors.InvalidQuery("{} {0}")).sentence.endswith(": {} {0}")
