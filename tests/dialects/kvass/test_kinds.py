"""The kinds in the OpenAPI document of Kvass."""

from __future__ import annotations

from tallystick.dialects.kvass.kinds import KINDS
from tests.dialects.kvass.conftest import DOCUMENT


def test_document_lists_the_kinds() -> None:
    assert DOCUMENT.content["components"]["schemas"]["Kind"]["enum"] == list(KINDS)
