"""Nothing in the repository tells on which machine, or from where, it was made."""

from __future__ import annotations

import re
from pathlib import Path

from tests.house.tree import committed_files
from tests.support.needs import ROOT

# Recorded input keeps whatever its source wrote.
RECORDED = ("tests/vectors/",)
MACHINE_PATH = re.compile(r"(?<![\w.}>-])/(?:work|home|root|Users)/[\w.-]+")
REGISTRY = re.compile(
    # What has a path behind it and google. before it, or /x/ behind it, is a Go module's name.
    r"(?:pypi|pythonhosted|npmjs|yarnpkg|(?<!google\.)golang|crates|debian)\.(?:org|com|io)\b(?!/x/)"
    r"|--(?:extra-)?index"
)


def lines(pattern: re.Pattern[str]) -> list[str]:
    """Return where a pattern occurs in the text files of the repository."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {found[0]}"
        for path in committed_files()
        if not path.relative_to(ROOT).as_posix().startswith(RECORDED)
        for number, line in enumerate(text(path).splitlines(), start=1)
        if (found := pattern.search(line))
    ]


def text(path: Path) -> str:
    """Return what a file says, nothing if it is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def test_no_path_of_a_machine_is_committed() -> None:
    assert lines(MACHINE_PATH) == []


def test_no_registry_is_named() -> None:
    assert lines(REGISTRY) == []
