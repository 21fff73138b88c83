"""Every error class has its status, its gRPC code and the documented body."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tallystick import errors
from tallystick.dialects.datatrails.errors import CODES, answer, code_of
from tallystick.errors import TallystickError
from tallystick.events.event import Json

pytestmark = pytest.mark.row("D-58")


def _classes(root: type[TallystickError] = TallystickError) -> Iterator[type[TallystickError]]:
    yield root
    for child in root.__subclasses__():
        yield from _classes(child)


def body_of(error: TallystickError, **known: str) -> Json:
    """Return the body of the answer to an error."""
    body: Json = json.loads(answer(error, **known).body)
    return body


def test_every_class_of_the_tree_has_its_row() -> None:
    ours = {kind for kind in _classes() if kind.__module__ == errors.__name__}
    assert ours == set(CODES)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.Malformed(), 400, 3),
        (errors.TooLarge(limit=1), 400, 3),
        (errors.Unauthenticated(), 401, 16),
        (errors.QuotaExceeded(), 402, 12),
        (errors.Forbidden(), 403, 7),
        (errors.NotFound(), 404, 5),
        (errors.MethodNotAllowed(), 405, 12),
        (errors.RateLimited(), 429, 8),
        (errors.StoreCorrupt(), 500, 15),
        (errors.SettingsError(), 500, 13),
        (errors.SequencerFull(), 503, 14),
    ],
    ids=lambda value: getattr(value, "code", None),
)
def test_status_and_code_are_the_documented_ones(
    error: TallystickError, status: int, code: int
) -> None:
    body = body_of(error)
    assert (answer(error).status, body["code"]) == (status, code)
    assert list(body) == ["code", "message", "details"]
    assert body["message"].startswith(error.message)


def test_subclass_without_its_own_row_answers_as_its_parent() -> None:
    class Stricter(errors.NotFound):
        """Not found, and then some."""

    assert code_of(Stricter) == (404, 5)


@pytest.mark.parametrize(
    ("error", "field"),
    [
        (errors.Malformed("is a string", path="attributes.a"), "attributes.a"),
        (errors.TooLarge("is long", limit=1, path="trails[0]"), "trails[0]"),
        (errors.InvalidQuery("position 3: …", position=3), "filter"),
        (errors.UnsupportedField("position 3: …", field="x"), "filter"),
    ],
    ids=lambda value: getattr(value, "code", None),
)
def test_offending_member_is_named_in_the_details(error: TallystickError, field: str) -> None:
    assert body_of(error)["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": error.message}],
        }
    ]


def test_request_id_is_given_when_known() -> None:
    for error in (errors.NotFound(), errors.Malformed(path="")):
        assert body_of(error, request_id="r-1")["details"] == [
            {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "r-1"}
        ]
        assert body_of(error)["details"] == []


@pytest.mark.row("D-60")
def test_used_up_quota_names_the_tenant() -> None:
    body = body_of(errors.QuotaExceeded("no blobs are left"), tenant="tenant/x")
    assert body["message"] == "no blobs are left: Payment Required"
    assert body["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"subject": "tenant/x", "description": "no blobs are left"}],
        }
    ]


@pytest.mark.row("D-59")
@pytest.mark.parametrize(("wait_s", "reset"), [(1.5, "1.500"), (0.0, "0.001"), (30, "30.000")])
def test_rate_limit_says_when_to_come_back_and_never_zero(wait_s: float, reset: str) -> None:
    headers = answer(errors.RateLimited(retry_after_s=wait_s)).headers
    assert headers["Archivist-Rate-Limit-Reset"] == reset
    assert int(headers["Retry-After"]) >= max(wait_s, 1)


def test_pushback_says_when_to_come_back() -> None:
    found = answer(errors.StoreBusy(retry_after_s=1.2))
    assert found.headers == {"Retry-After": "2"}


def test_what_the_operator_must_mend_is_not_described_to_the_caller() -> None:
    found = body_of(errors.StoreCorrupt("entry 5 of tenant 'acme' does not decode"))
    assert found["message"] == "The store contradicts itself; nothing more is written."
