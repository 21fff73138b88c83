"""Plain English: phrases that make a sentence hard to read may only become fewer.

The counts are of all text in the product and its documents. When you remove some, lower the
number; nothing may raise it.
"""

from __future__ import annotations

import re

import pytest

from tests.house.tree import committed_files
from tests.support.needs import ROOT

WHERE = ("src/", "docs/", "README.md", "CHANGELOG.md", "CONTRIBUTING.md")
ENDINGS = (".py", ".md", ".sql", ".json", ".yaml")

COUNTS = {
    r"\bwhoever\b": 0,
    r"\btold of\b": 0,
    r"\banew\b": 0,
    r"\blikewise\.": 0,
    r"\bis no \w+ here\b": 0,
    r"\bthat there (?:is|are)\b": 0,
    r"\bthere is nothing at\b": 0,
}
"""Phrase, and how often it may stand in all."""


@pytest.mark.parametrize("phrase", COUNTS)
def test_phrase_becomes_rarer(phrase: str) -> None:
    pattern = re.compile(phrase, re.IGNORECASE)
    places = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in committed_files()
        if path.relative_to(ROOT).as_posix().startswith(WHERE) and path.suffix in ENDINGS
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        for _ in pattern.finditer(line)
    ]
    assert len(places) <= COUNTS[phrase], places
