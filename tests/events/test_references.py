"""The text of a resource: both ways, escapes, and texts that name none."""

from __future__ import annotations

import pytest

from tallystick.events.references import canonical, nested_pair, parse, to_text


@pytest.mark.parametrize(
    ("type", "id", "text"),
    [("order", "7", "order:7"), ("a:b", "c:d", "a%3Ab:c:d"), ("100%", "x", "100%25:x")],
)
def test_text_leads_back_to_the_resource(type: str, id: str, text: str) -> None:
    assert to_text(type, id) == text
    assert parse(text) == (type, id)
    assert canonical(text) == text


@pytest.mark.parametrize("text", ["", "order", "order:", ":7", "%"])
def test_text_that_lacks_type_or_id_names_no_resource(text: str) -> None:
    assert parse(text) is None
    assert canonical(text) == text


def test_resource_has_one_spelling() -> None:
    assert canonical("a%3ab:c") == "a%3Ab:c"
    assert canonical("50%:x") == "50%25:x"


def test_pair_of_nested_resources_is_unambiguous() -> None:
    assert nested_pair("a:1", "b:2") == "a:1>b:2"
    assert nested_pair("a>b:1", "c:2") == "a%3Eb:1>c:2"
