"""Event content is printed as Go's encoder prints it, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.datatrails.merklelog import gojson, leaf
from tallystick.errors import Malformed
from tests.dialects.datatrails import independent_verifier, vectors

_ROWS = vectors.load("events_v1.json")["serialization"]
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_DICT = st.dictionaries(_TEXT, _TEXT, max_size=4)
ATTRIBUTES = st.dictionaries(_TEXT, _TEXT | _DICT | st.lists(_DICT, max_size=3), max_size=5)


@pytest.mark.row("D-70")
@pytest.mark.parametrize("row", _ROWS, ids=[row["name"] for row in _ROWS])
def test_published_serialization_is_reproduced(row: dict[str, Any]) -> None:
    event = row["event"]
    members = (event.get("attributes"), event.get("trails"), event.get("event_type"))
    assert leaf.serialized(*members).decode() == row["serialized"]


@pytest.mark.row("D-70")
@given(ATTRIBUTES)
def test_any_content_reads_back_equal_and_agrees_with_a_second_printer(value: Any) -> None:
    text = gojson.encode(value)
    assert json.loads(text) == value
    assert text == independent_verifier.go_json(value).encode()
    assert not set("<>&\u2028\u2029") & set(text.decode())


@pytest.mark.row("D-70")
def test_member_names_sort_by_their_utf8_bytes() -> None:
    # UTF-16 order would put the second before the first.
    assert (
        gojson.encode({"\U0001f600": "", "\uffee": ""}) == '{"\uffee":"","\U0001f600":""}'.encode()
    )


def test_lone_surrogate_is_refused() -> None:
    with pytest.raises(Malformed):
        gojson.encode({"k": "\ud800"})


@pytest.mark.parametrize("text", ["a\bb", "\f", "\udfff"])
def test_text_with_two_spellings_is_refused_by_name(text: str) -> None:
    with pytest.raises(Malformed, match=r"attributes\.k contains U\+") as caught:
        gojson.check_text(text, "attributes.k")
    assert caught.value.path == "attributes.k"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\b\f")))
def test_all_other_text_is_accepted(text: str) -> None:
    gojson.check_text(text, "k")


def test_every_character_is_spelled_as_another_encoder_spells_it() -> None:
    characters = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    text = "".join(characters)
    spelled = json.dumps(text, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        spelled = spelled.replace(character, f"\\u{ord(character):04x}")
    assert gojson.encode(text) == spelled.encode()
