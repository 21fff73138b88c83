"""Answers are indented exactly as the seed prints them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.cloudfoundry import responses
from tests.dialects.cloudfoundry.samples import SEED_CONTENT_LENGTH, seed_resources

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.sampled_from(["{}", "[]", " {}", "a: {},", '"{}', "\n[]\n"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "{}", "c: []"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.row("C-42", "C-54")
def test_seed_sample_has_the_content_length_printed_with_it() -> None:
    envelope = {
        "total_results": 3,
        "total_pages": 1,
        "prev_url": None,
        "next_url": None,
        "resources": seed_resources(),
    }
    body = responses.indented(envelope)
    assert len(body) == SEED_CONTENT_LENGTH
    assert b'"metadata": {\n\n        },\n' in body
    assert not body.endswith(b"\n")


def test_empty_values_take_three_lines_and_strings_stay() -> None:
    assert responses.indented({"a": [], "b": "{}", "c": [{}]}) == (
        b'{\n  "a": [\n\n  ],\n  "b": "{}",\n  "c": [\n    {\n\n    }\n  ]\n}'
    )


@given(VALUES)
def test_indenting_changes_blanks_only(value: Any) -> None:
    text = responses.indented(value)
    assert msgspec.json.decode(text) == msgspec.json.decode(msgspec.json.encode(value))
    assert "".join(json.dumps(json.loads(text)).split()) == "".join(
        json.dumps(json.loads(msgspec.json.encode(value))).split()
    )
