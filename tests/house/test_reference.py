"""The generated reference pages say what the program says."""

from __future__ import annotations

import pytest

from tests.docs.reference import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_page_is_current(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == PAGES[name](), "run `make docs`"


def test_no_other_page_claims_to_be_generated() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)
