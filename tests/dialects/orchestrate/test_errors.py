"""Every error class of ours has an answer in this API's shape, and leaks nothing."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from tallystick import errors
from tallystick.dialects.orchestrate.errors import CHALLENGE, CODES, Refusal, items_not_found, tell
from tallystick.errors import TallystickError

NEEDS_WORDS: dict[type[TallystickError], dict[str, Any]] = {
    errors.UnsupportedField: {"field": "x"},
    errors.UnsupportedOperator: {"operator": "x"},
    errors.TooLarge: {"limit": 1},
}

EXPECTED = {
    "Malformed": (400, "api_bad_request"),
    "UnsupportedMediaType": (400, "api_bad_request"),
    "InvalidQuery": (400, "search_query_malformed"),
    "UnsupportedField": (400, "search_query_malformed"),
    "UnsupportedOperator": (400, "search_query_malformed"),
    "TooLarge": (413, "request_too_large"),
    "Unauthenticated": (401, "security_unauthorized"),
    "TokenExpired": (401, "security_unauthorized"),
    "Forbidden": (403, "security_forbidden"),
    "NotFound": (404, "items_not_found"),
    "MethodNotAllowed": (405, "method_not_allowed"),
    "Conflict": (409, "write_conflict"),
    "PreconditionFailed": (412, "item_version_mismatch"),
    "IdempotencyMismatch": (409, "write_conflict"),
    "RateLimited": (429, "rate_limited"),
    "QuotaExceeded": (429, "rate_limited"),
    "RequestError": (400, "api_bad_request"),
    "Pushback": (503, "operation_timed_out"),
    "StoreBusy": (503, "operation_timed_out"),
    "SequencerFull": (503, "operation_timed_out"),
    "AnswersWaiting": (503, "operation_timed_out"),
    "QueryTooSlow": (503, "operation_timed_out"),
    "UnderHold": (409, "under_legal_hold"),
    "FollowerBehind": (503, "indexing_timeout"),
    "StoreError": (503, "operation_timed_out"),
    "StoreCorrupt": (503, "operation_timed_out"),
    "StoreFailed": (503, "operation_timed_out"),
    "SchemaMismatch": (503, "operation_timed_out"),
    "StoreLocked": (503, "operation_timed_out"),
    "VerificationError": (500, "internal_error"),
    "BadSignature": (500, "internal_error"),
    "BadInclusionProof": (500, "internal_error"),
    "BadConsistencyProof": (500, "internal_error"),
    "ContentMismatch": (500, "internal_error"),
    "MalformedNote": (500, "internal_error"),
    "MalformedReceipt": (500, "internal_error"),
    "SettingsError": (500, "internal_error"),
    "TallystickError": (500, "internal_error"),
    "Unexpected": (500, "internal_error"),
}


def classes() -> dict[str, type[TallystickError]]:
    found = inspect.getmembers(errors, inspect.isclass)
    return {name: cls for name, cls in found if issubclass(cls, TallystickError)}


@pytest.mark.row("O-6")
def test_table_has_every_class_and_no_other() -> None:
    assert classes().keys() == EXPECTED.keys()


@pytest.mark.row("O-6")
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_class_is_told_by_status_and_code(name: str) -> None:
    cls = classes()[name]
    error = cls("secret of ours", hint="try", **NEEDS_WORDS.get(cls, {}))
    told = tell(error)
    assert (told.status, told.body["code"]) == EXPECTED[name]
    assert told.body["message"] == CODES[told.body["code"]].message
    if told.status >= 500 or told.status == 401:
        assert "secret" not in str(told.body)


@pytest.mark.row("O-3")
def test_refused_credentials_are_challenged() -> None:
    assert CHALLENGE == 'Basic realm="orchestrate.io"'
    told = tell(errors.Unauthenticated())
    assert told.body == {
        "message": "Valid credentials are required.",
        "code": "security_unauthorized",
    }


@pytest.mark.row("O-6")
def test_missing_items_are_listed() -> None:
    told = tell(items_not_found("users", "kate"))
    assert told.status == 404
    assert told.body == {
        "message": "The requested items could not be found.",
        "code": "items_not_found",
        "details": {"items": [{"collection": "users", "key": "kate"}]},
    }


@pytest.mark.row("O-6")
@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_can_be_told(code: str) -> None:
    told = tell(Refusal(code, {"info": "x"}))
    assert told.status == CODES[code].status
    assert told.body["details"] == {"info": "x"}
