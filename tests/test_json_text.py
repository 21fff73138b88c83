"""JSON at the door: what is refused is named."""

from __future__ import annotations

import msgspec
import pytest

from tallystick.errors import Malformed
from tallystick.json_text import decode, decode_as


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (rb'{"a":"\ud800"}', "a surrogate without its other half (byte 6)"),
        (rb'"\uD83D\u0041"', "a surrogate without its other half (byte 1)"),
        (rb'"\\\ud800\ud800"', "a surrogate without its other half (byte 3)"),
        (rb'"\udc00"', "invalid utf-16 surrogate pair"),
        (b'{"a":NaN}', "NaN and Infinity are no numbers (byte 5)"),
        (b"[1,-Infinity]", "NaN and Infinity are no numbers (byte 4)"),
        (b'{"a":01}', "invalid number (byte 6)"),
        (b'{"a":', "it ends too early"),
        (b" \n", "it is empty"),
        (b'{"a":1} x', "trailing characters (byte 9)"),
        (b'"\xed\xa0\x80"', "it is not UTF-8 (byte 1)"),
        (b'{"a":"\xff"}', "it is not UTF-8 (byte 6)"),
        (b"\xff\xfe{\x00}\x00", "it is not UTF-8 (byte 0)"),
    ],
    ids=[
        "lone", "before-a-letter", "after-a-backslash", "low", "nan", "infinity", "octal", "cut",
        "empty", "more", "surrogate-bytes", "not-utf-8", "utf-16",
    ],
)  # fmt: skip
def test_what_is_no_json_is_named(text: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as refusal:
        decode(text)
    assert refusal.value.message.startswith("the body is not JSON: ")
    assert reason in refusal.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [(rb'"\ud83d\ude00"', "\U0001f600"), (rb'"\\ud800"', "\\ud800"), (rb'"\u0000"', "\0")],
    ids=["pair", "escaped-backslash", "nul"],
)
def test_what_is_json_is_read(text: bytes, value: str) -> None:
    assert decode(text) == value


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    parts: list[int | None] = []
    flag: bool = False
    more: dict[str, Shape] = {}


@pytest.mark.parametrize(
    ("text", "reason", "pointer"),
    [
        ('{"id":1}', "a whole number where a string is expected", "/id"),
        (
            '{"id":"","parts":[1,0.5]}',
            "a number where a whole number or null is expected",
            "/parts/1",
        ),
        ('{"id":"","flag":"yes"}', "a string where true or false is expected", "/flag"),
        ("[]", "an array where an object is expected", ""),
        ('{"id":"","more":{"x":{}}}', "the member 'id' is missing", "/more/..."),
        ('{"id":"","a/b~":1}', "unknown member 'a/b~'", "/a~1b~0"),
    ],
    ids=["other", "either", "flag", "whole", "missing", "unknown"],
)
def test_what_has_another_shape_is_named(text: str, reason: str, pointer: str) -> None:
    with pytest.raises(Malformed) as refusal:
        decode_as(msgspec.json.Decoder(Shape), text.encode())
    assert (refusal.value.message, refusal.value.path) == (reason, pointer)
