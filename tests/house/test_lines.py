"""Lines of JSON end with a line feed and nothing else: a string may hold U+2028 or U+0085."""

from __future__ import annotations

import ast

from tests.house.tree import committed_files
from tests.support.needs import ROOT

_SPLITTERS = ("iter_lines", "aiter_lines")


def test_answers_are_split_at_line_feeds_only() -> None:
    """HTTPX splits text at every line end that Unicode knows; use `lines_of`."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in committed_files()
        if path.suffix == ".py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in _SPLITTERS
    ]
    assert found == []
