"""A class is found by its name: no two public classes of the product share one."""

from __future__ import annotations

import ast

from tests.house.tree import modules


def test_names_of_classes_are_unique() -> None:
    places: dict[str, list[str]] = {}
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
