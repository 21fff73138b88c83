"""Patches of a JSON value: a list of operations, or a merge. Pure; the value given stays as it is.

Operations are those of RFC 6902 and five more (`inc`, `init`, `append`, `merge`, `patch`); a path
that begins with a slash is a JSON pointer, any other is member names joined by dots, and `/` is
the whole value. Merging is RFC 7396. Source: wire specification, section 4.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from tallystick import limits
from tallystick.dialects.orchestrate.errors import Refusal
from tallystick.errors import Malformed, TooLarge
from tallystick.events.diff import is_same
from tallystick.events.event import Json

OPERATIONS_MAX = limits.BATCH_EVENTS
COPIES_MAX = limits.EVENT_BYTES
"""Values that one patch may copy: more than an event can hold, so no honest patch needs more."""

_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")
_END = "-"
_ABSENT: Any = object()


class _Failed(Exception):
    """An operation cannot be carried out; `op` is the one within a nested patch, if any."""

    def __init__(self, info: str, *, op: Json | None = None, expected: Any = _ABSENT) -> None:
        super().__init__(info)
        self.info = info
        self.op = op
        self.expected = expected

    @property
    def is_test(self) -> bool:
        return self.op is not None and self.op.get("op") == "test"


class _Whole:
    """A value in a box, so that the whole of it can be replaced like any member.

    `budget` is how many more values may be copied: a few copies of copies would fill any memory.
    """

    def __init__(self, value: Any, budget: list[int]) -> None:
        self.budget = budget
        self.box: list[Any] = [self.copied(value)]

    def copied(self, value: Any) -> Any:
        """Return a copy of `value` that shares nothing with it."""
        self.budget[0] -= 1
        if self.budget[0] < 0:
            raise TooLarge("the patch copies too much", limit=COPIES_MAX)
        if isinstance(value, dict):
            return {name: self.copied(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self.copied(member) for member in value]
        return value


def apply_operations(value: Json, operations: Any) -> Json:
    """Return `value` with all operations applied, in order.

    Raises: Refusal patch_conflict naming the operation that fails; Malformed for an operation
    that is none; TooLarge. Either way nothing is applied.
    """
    if not isinstance(operations, list):
        raise Malformed("a patch is a list of operations")
    try:
        whole = _Whole(value, [COPIES_MAX])
        _apply_all(whole, _checked(operations, 0))
    except RecursionError:
        raise _too_deep() from None
    patched = whole.box[0]
    if not isinstance(patched, dict):
        raise Malformed("what is left of the value is no JSON object")
    return patched


def merged(value: Json, patch: Json) -> Json:
    """Return `value` with `patch` merged into it: null takes a member away.

    Raises: Malformed when either is nested too deep.
    """
    try:
        result = _merged(value, patch)
    except RecursionError:
        raise _too_deep() from None
    assert isinstance(result, dict), "an object merged into anything is an object"
    return result


def _merged(value: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for name, member in patch.items():
        if member is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), member)
    return result


def _apply_all(whole: _Whole, operations: list[Json]) -> None:
    for number, operation in enumerate(operations):
        try:
            _apply(whole, operation)
        except _Failed as failure:
            raise _conflict(failure, operation, number) from None


def _checked(operations: list[Any], depth: int) -> list[Json]:
    """Return the operations if each has the members it needs, those of nested patches included."""
    if len(operations) > OPERATIONS_MAX:
        raise TooLarge(
            f"a patch may have {OPERATIONS_MAX:,} operations",
            limit=OPERATIONS_MAX,
            actual=len(operations),
        )
    if depth > limits.JSON_DEPTH:
        raise Malformed(f"patches may be nested {limits.JSON_DEPTH} deep at most")
    for operation in operations:
        if not isinstance(operation, dict):
            raise Malformed("each operation of a patch is an object")
        name, path = operation.get("op"), operation.get("path")
        if not isinstance(name, str) or name not in _OPERATIONS:
            raise Malformed(f"there is no patch operation {name!r}")
        if not isinstance(path, str):
            raise Malformed(f"the operation {name!r} needs a path")
        if name in ("move", "copy") and not isinstance(operation.get("from"), str):
            raise Malformed(f"the operation {name!r} needs a from")
        if name in _NEED_VALUE and "value" not in operation:
            raise Malformed(f"the operation {name!r} needs a value")
        if name == "patch":
            nested = operation["value"]
            if not isinstance(nested, list):
                raise Malformed("the value of the operation 'patch' is a list of operations")
            _checked(nested, depth + 1)
    return operations


def _conflict(failure: _Failed, operation: Json, number: int) -> Refusal:
    details: Json = {"op": failure.op or operation, "opIndex": number, "info": failure.info}
    if failure.expected is not _ABSENT:
        details["expected"] = failure.expected
    return Refusal("patch_conflict", details)


def _apply(whole: _Whole, operation: Json) -> None:
    try:
        _OPERATIONS[operation["op"]](whole, _steps(operation["path"]), operation)
    except _Failed as failure:
        failure.op = failure.op or operation
        raise


# Paths


def _steps(path: str) -> list[str]:
    if path in ("", "/"):
        return []
    if not path.startswith("/"):
        return path.split(".")
    return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]


def _holder(whole: _Whole, steps: list[str]) -> tuple[Any, Any]:
    """Return the object or array that holds what `steps` lead to, and its name or place there."""
    holder: Any = whole.box
    place: Any = 0
    for step in steps:
        holder = _member(holder, place)
        if holder is _ABSENT:
            raise _Failed(f"there is nothing on the way to {'.'.join(steps)!r}")
        place = _place(holder, step)
    return holder, place


def _place(holder: Any, step: str) -> Any:
    if isinstance(holder, dict):
        return step
    if isinstance(holder, list):
        if step == _END:
            return len(holder)
        if _INDEX.match(step):
            return int(step)
        raise _Failed(f"{step!r} is no place in an array")
    raise _Failed(f"there is no member {step!r} in a plain value")


def _member(holder: Any, place: Any) -> Any:
    if isinstance(holder, dict):
        return holder.get(place, _ABSENT)
    return holder[place] if place < len(holder) else _ABSENT


def _found(whole: _Whole, steps: list[str]) -> Any:
    holder, place = _holder(whole, steps)
    value = _member(holder, place)
    if value is _ABSENT:
        raise _Failed(f"no member {'.'.join(steps)!r}")
    return value


def _set(whole: _Whole, steps: list[str], value: Any) -> None:
    """Put `value` in place of what `steps` lead to, or make it a new member."""
    holder, place = _holder(whole, steps)
    if isinstance(holder, list) and place >= len(holder):
        raise _Failed(f"there is no place {place} in an array of {len(holder)}")
    holder[place] = value


def _insert(whole: _Whole, steps: list[str], value: Any) -> None:
    """Do as `_set` does, but push the members of an array aside."""
    holder, place = _holder(whole, steps)
    if isinstance(holder, list) and holder is not whole.box:
        if place > len(holder):
            raise _Failed(f"there is no place {place} in an array of {len(holder)}")
        holder.insert(place, value)
    else:
        holder[place] = value


# Operations


def _add(whole: _Whole, steps: list[str], operation: Json) -> None:
    _insert(whole, steps, whole.copied(operation["value"]))


def _remove(whole: _Whole, steps: list[str], operation: Json) -> None:
    _found(whole, steps)
    holder, place = _holder(whole, steps)
    if holder is whole.box:
        raise _Failed("the whole value cannot be removed")
    del holder[place]


def _replace(whole: _Whole, steps: list[str], operation: Json) -> None:
    _found(whole, steps)
    _set(whole, steps, whole.copied(operation["value"]))


def _move(whole: _Whole, steps: list[str], operation: Json) -> None:
    source = _steps(operation["from"])
    if len(source) < len(steps) and steps[: len(source)] == source:
        raise _Failed("a value cannot be moved into itself")
    value = _found(whole, source)
    if source != steps:
        _remove(whole, source, operation)
        _insert(whole, steps, value)


def _copy(whole: _Whole, steps: list[str], operation: Json) -> None:
    _insert(whole, steps, whole.copied(_found(whole, _steps(operation["from"]))))


def _test(whole: _Whole, steps: list[str], operation: Json) -> None:
    try:
        actual = _found(whole, steps)
    except _Failed:
        actual = _ABSENT
    expected = operation.get("value", _ABSENT)
    if expected is _ABSENT:
        passed = actual is not _ABSENT
    else:
        passed = actual is not _ABSENT and is_same(actual, expected)
    if passed is bool(operation.get("negate", False)):
        raise _Failed("the test does not hold", expected=None if expected is _ABSENT else expected)


def _increment(whole: _Whole, steps: list[str], operation: Json) -> None:
    by = operation.get("value")
    if by is None:
        # Clients that add without an amount send null.
        by = 1
    if not _is_number(by):
        raise _Failed("only a number can be added")
    holder, place = _holder(whole, steps)
    value = _member(holder, place)
    if value is _ABSENT:
        value = 0
    if not _is_number(value):
        raise _Failed(f"there is no number at {'.'.join(steps)!r}")
    total = _sum(value, by)
    _set(whole, steps, total)


def _init(whole: _Whole, steps: list[str], operation: Json) -> None:
    if _member(*_holder(whole, steps)) is _ABSENT:
        _insert(whole, steps, whole.copied(operation["value"]))


def _append(whole: _Whole, steps: list[str], operation: Json) -> None:
    array = _found(whole, steps)
    if not isinstance(array, list):
        raise _Failed(f"there is no array at {'.'.join(steps)!r}")
    value = whole.copied(operation["value"])
    array.extend(value if isinstance(value, list) else [value])


def _merge(whole: _Whole, steps: list[str], operation: Json) -> None:
    value = _found(whole, steps)
    if not isinstance(value, dict) or not isinstance(operation["value"], dict):
        raise _Failed("only an object can be merged into an object")
    _set(whole, steps, whole.copied(_merged(value, operation["value"])))


def _patch(whole: _Whole, steps: list[str], operation: Json) -> None:
    inner = _Whole(_found(whole, steps), whole.budget)
    try:
        for nested in operation["value"]:
            _apply(inner, nested)
    except _Failed as failure:
        if failure.is_test and operation.get("conditional"):
            return
        raise
    _set(whole, steps, inner.box[0])


def _too_deep() -> Malformed:
    return Malformed(f"JSON may be nested {limits.JSON_DEPTH} deep at most")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sum(a: Any, b: Any) -> Any:
    try:
        total = a + b
    except OverflowError:
        raise _Failed("the sum is out of range") from None
    if isinstance(total, float) and not math.isfinite(total):
        raise _Failed("the sum is out of range")
    return total


_OPERATIONS: dict[str, Callable[[_Whole, list[str], Json], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
    "inc": _increment,
    "init": _init,
    "append": _append,
    "merge": _merge,
    "patch": _patch,
}
_NEED_VALUE = frozenset({"add", "replace", "init", "append", "merge", "patch"})
