"""JSON at the door: what is refused is named."""

from __future__ import annotations

import pytest

from tallystick.errors import Malformed
from tallystick.jsontext import decode


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
        (b'{"a":', "truncated"),
        (b'"\xed\xa0\x80"', "it is not UTF-8 (byte 1)"),
        (b'{"a":"\xff"}', "it is not UTF-8 (byte 6)"),
        (b"\xff\xfe{\x00}\x00", "it is not UTF-8 (byte 0)"),
    ],
    ids=[
        "lone", "before-a-letter", "after-a-backslash", "low", "nan", "infinity", "octal", "cut",
        "surrogate-bytes", "not-utf-8", "utf-16",
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
