"""One way to log: structlog, with events in snake case, and no print outside the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.house.tree import modules

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield every call of a module."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def event_of(call: ast.Call) -> object:
    """Return the event that a call logs; None for a call that logs nothing."""
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in LEVELS:
        return None
    if not isinstance(function.value, ast.Name) or function.value.id != "_log":
        return None
    event = call.args[0] if call.args else None
    return event.value if isinstance(event, ast.Constant) else "computed: " + ast.unparse(call)


def test_events_are_in_snake_case() -> None:
    events = {
        f"{name}:{call.lineno}": event
        for name, tree in modules().items()
        for call in calls(tree)
        if (event := event_of(call)) is not None
    }
    assert len(events) > 20
    assert {at: e for at, e in events.items() if not SNAKE_CASE.fullmatch(str(e))} == {}


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{name}:{call.lineno}"
        for name, tree in modules().items()
        if not name.startswith("cli/")
        for call in calls(tree)
        if isinstance(call.func, ast.Name) and call.func.id == "print"
    ]
    assert printing == []
