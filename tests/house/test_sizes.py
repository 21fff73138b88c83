"""Modules and functions stay small enough to be read in one sitting."""

from __future__ import annotations

from tests.house.tree import functions, line_count, modules

MODULE_LINES_MAX = 450
FUNCTION_LINES_MAX = 60

# What may be longer, each with the reason why it would be worse if it were cut.
LONG_MODULES: dict[str, str] = {
    "evidence/verify.py": "it travels in every bundle, alone, and is read there as one file",
}
LONG_FUNCTIONS: dict[str, str] = {}


def test_modules_are_small() -> None:
    long = {name for name in modules() if line_count(name) > MODULE_LINES_MAX}
    assert long == LONG_MODULES.keys(), {name: line_count(name) for name in long}


def test_functions_are_small() -> None:
    lengths = {
        f"{name}:{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for name, tree in modules().items()
        for function in functions(tree)
    }
    long = {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX}
    assert long.keys() == LONG_FUNCTIONS.keys(), long
