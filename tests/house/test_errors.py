"""The tree of errors is drawn as it is, and the native API has an answer for each."""

from __future__ import annotations

import inspect
import re
from typing import Any

from tallystick import errors
from tallystick.dialects.errors import respond
from tallystick.http.problem import answer, problem, status_of
from tests.dialects.errors import request_to


def classes() -> list[type[errors.TallystickError]]:
    return [
        cls for _, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.TallystickError)
    ]  # fmt: skip


def made(cls: type[errors.TallystickError]) -> errors.TallystickError:
    needed: dict[str, Any] = {"field": "f", "operator": "o", "limit": 1}
    wanted = inspect.signature(cls).parameters
    return cls("message", **{name: needed[name] for name in needed if name in wanted})


def test_the_drawn_tree_names_every_class_below_its_parent() -> None:
    assert errors.__doc__ is not None
    parents: dict[str, str | None] = {}
    stack: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        if not line.startswith("    "):
            continue
        indent = len(line) - len(line.lstrip())
        names = re.findall(r"\b[A-Z][A-Za-z]+\b", line if indent >= 8 else line.split("(")[0])
        known = [name for name in names if hasattr(errors, name)]
        while stack and stack[-1][0] >= indent:
            stack.pop()
        for name in known:
            parents[name] = stack[-1][1] if stack else None
        stack.append((indent, known[0]))
    assert parents == {
        cls.__name__: None if cls is errors.TallystickError else cls.__mro__[1].__name__
        for cls in classes()
    }


def test_every_error_has_a_code_of_its_own_and_a_sentence() -> None:
    codes = [cls.code for cls in classes()]
    assert len(set(codes)) == len(codes)
    for cls in classes():
        assert (cls.__doc__ or "").split("\n")[0].endswith("."), cls


def test_every_error_has_a_native_answer() -> None:
    for cls in classes():
        error = made(cls)
        document = problem(error, "request")
        assert document["status"] == status_of(error)
        assert 400 <= status_of(error) <= 503
        assert (status_of(error) == 500) == (cls is errors.Unexpected)
        if status_of(error) in (429, 503):
            assert (
                int(
                    respond(request_to("/v1"), error, answer(error, "request")).headers[
                        "Retry-After"
                    ]
                )
                >= 1
            )
