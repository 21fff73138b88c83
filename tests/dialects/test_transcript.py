"""The transcript runner itself: what it reads, what it compares, what it remembers."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tallystick.dialects import transcript
from tallystick.dialects.transcript import AnswerDifference, RecordedAnswer, compare, parse
from tallystick.errors import Malformed

TWO = """
# A comment, and a blank line.

PUT /v0/users/{{name}}
Content-Type: application/json

{"a": 1}
HTTP 201
ETag: "{{ref:hex16}}"
!Location

###
GET /v0/users/{{name}}

HTTP 200

{"a": 1, "ref": "{{ref}}"}
"""


def answer(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> RecordedAnswer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RecordedAnswer(status, headers or {}, content)


def expecting(body: str, headers: str = "") -> transcript.Exchange:
    (exchange,) = parse(f"GET /\n\nHTTP 200\n{headers}\n{body}")
    return exchange


def test_transcript_is_read_exchange_by_exchange() -> None:
    put, get = parse(TWO)
    assert (put.line, put.method, put.target) == (4, "PUT", "/v0/users/{{name}}")
    assert put.headers == (("Content-Type", "application/json"),)
    assert (put.body, put.status) == ('{"a": 1}', 201)
    assert put.expected == (("ETag", '"{{ref:hex16}}"'),)
    assert put.absent == ("Location",)
    assert (get.line, get.status, get.body) == (13, 200, "")
    assert get.answer == '{"a": 1, "ref": "{{ref}}"}'


@pytest.mark.parametrize(
    "text",
    ["get /x\n\nHTTP 200\n", "GET /x\n\n{}\n", "GET /x\nnonsense\n\nHTTP 200\n", "GET\nHTTP 200"],
)
def test_what_is_no_transcript_is_malformed_with_its_line(text: str) -> None:
    with pytest.raises(Malformed, match=r"name:\d+:"):
        parse(text, "name")


@pytest.mark.parametrize(
    ("template", "body"),
    [
        ('{"a": 1, "b": [true, null, "x"]}', {"b": [True, None, "x"], "a": 1}),
        ('{"id": "{{uuid}}"}', {"id": "00000000-0000-7000-8000-000000000000"}),
        ('{"at": {{ms}}, "n": {{number}}}', {"at": 1400000000000, "n": -1.5e-9}),
        ('"{{hex24}} and {{int}}"', f"{'a' * 24} and -7"),
        ("{{known}}", 7),
        ('{"x": "{{known}}"}', {"x": "7"}),
        ("", b""),
        ("plain {{int}}", b"plain 12"),
    ],
)
def test_answer_as_expected_passes(template: str, body: object) -> None:
    compare(expecting(template), answer(body), {"known": "7"})


@pytest.mark.parametrize(
    ("template", "body"),
    [
        ('{"a": 1}', {"a": 1, "b": 2}),
        ('{"a": 1, "b": 2}', {"a": 1}),
        ('{"a": 1}', {"a": True}),
        ('{"a": 1}', {"a": 1.0}),
        ('{"a": 1}', {"a": "1"}),
        ("[1]", [1, 2]),
        ('{"at": {{ms}}}', {"at": "1400000000000"}),
        ('{"at": {{ms}}}', {"at": None}),
        ('{"at": {{ms}}}', {"at": True}),
        ('{"id": "{{uuid}}"}', {"id": "x"}),
        ('{"id": "{{uuid}}"}', {"id": 7}),
        ("{{known}}", 8),
        ("{{nothing}}", 8),
        ("", {"a": 1}),
        ('{"a": 1}', b""),
        ("plain", b"plain text"),
    ],
)
def test_answer_that_differs_is_told(template: str, body: object) -> None:
    with pytest.raises(AnswerDifference):
        compare(expecting(template), answer(body), {"known": "7"})


def test_headers_are_there_or_not_and_match() -> None:
    exchange = expecting("{}", "ETag: {{known}}\n!Location\n")
    compare(exchange, answer({}, headers={"etag": "7"}), {"known": "7"})
    for wrong in ({}, {"etag": "8"}, {"etag": "7", "location": "/"}):
        with pytest.raises(AnswerDifference):
            compare(exchange, answer({}, headers=wrong), {"known": "7"})
    with pytest.raises(AnswerDifference, match="expected status 200, got 404"):
        compare(exchange, answer({}, 404), {})


def test_named_holes_are_remembered_at_once() -> None:
    known: dict[str, str] = {}
    compare(expecting('{"a": {{n:int}}, "b": {{n}}}'), answer({"a": 5, "b": 5}), known)
    assert known == {"n": "5"}
    with pytest.raises(AnswerDifference):
        compare(expecting('{"a": {{m:int}}, "b": {{m}}}'), answer({"a": 5, "b": 6}), known)


def test_missing_variables_are_those_nobody_gives() -> None:
    exchanges = parse(TWO + "###\nGET /{{ref}}/{{other}}\n\nHTTP 200\n")
    assert transcript.missing_variables(exchanges, {}) == {"name", "other"}
    assert transcript.missing_variables(exchanges, {"name": "x", "other": "y"}) == set()


def test_server_that_is_not_there_is_a_failure_of_each_exchange() -> None:
    results = list(transcript.run(parse(TWO), "http://127.0.0.1:1", {"name": "x"}, source="s"))
    assert [str(result).startswith("s:") for result in results] == [True, True]
    assert all(result is not None and "no answer" in result.difference for result in results)
    (first, _) = transcript.run(parse(TWO), "http://127.0.0.1:1", {})
    assert first is not None
    assert "{{name}} has no value" in first.difference
