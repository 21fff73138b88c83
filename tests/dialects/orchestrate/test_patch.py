"""Patch operations and merges, on plain values."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.orchestrate import patch
from tallystick.dialects.orchestrate.errors import Refusal, tell
from tallystick.errors import Malformed, RequestError, TooLarge
from tallystick.events.diff import is_same
from tallystick.events.event import Json

USER: Json = {"name": "test", "age": 99, "tags": ["coder"], "info": {"email": "a@b.c"}}


def applied(*operations: Json, value: Json = USER) -> Json:
    before = copy.deepcopy(value)
    result = patch.apply_operations(value, list(operations))
    assert value == before, "the value given stays as it is"
    return result


def details_of(*operations: Json, value: Json = USER) -> Json:
    with pytest.raises(Refusal) as caught:
        applied(*operations, value=value)
    told = tell(caught.value)
    assert (told.status, told.body["code"]) == (409, "patch_conflict")
    details: Json = told.body["details"]
    return details


@pytest.mark.row("O-16")
@pytest.mark.parametrize(
    ("operation", "path", "expected"),
    [
        ({"op": "add", "path": "email", "value": "x"}, ("email",), "x"),
        ({"op": "add", "path": "/info/phone", "value": 1}, ("info", "phone"), 1),
        ({"op": "add", "path": "info.phone", "value": None}, ("info", "phone"), None),
        ({"op": "add", "path": "name", "value": "y"}, ("name",), "y"),
        ({"op": "add", "path": "tags.0", "value": "x"}, ("tags",), ["x", "coder"]),
        ({"op": "add", "path": "/tags/1", "value": "x"}, ("tags",), ["coder", "x"]),
        ({"op": "add", "path": "/tags/-", "value": "x"}, ("tags",), ["coder", "x"]),
        ({"op": "replace", "path": "name", "value": None}, ("name",), None),
        ({"op": "replace", "path": "tags.0", "value": "x"}, ("tags",), ["x"]),
        ({"op": "move", "from": "name", "path": "full"}, ("full",), "test"),
        ({"op": "copy", "from": "info", "path": "more"}, ("more",), {"email": "a@b.c"}),
        ({"op": "test", "path": "age", "value": 99.0}, ("age",), 99),
        ({"op": "test", "path": "age"}, ("age",), 99),
        ({"op": "test", "path": "gone", "negate": True}, ("age",), 99),
        ({"op": "test", "path": "age", "value": 1, "negate": True}, ("age",), 99),
        ({"op": "test", "path": "gone", "value": 1, "negate": True}, ("age",), 99),
        ({"op": "inc", "path": "age"}, ("age",), 100),
        ({"op": "inc", "path": "age", "value": -0.5}, ("age",), 98.5),
        ({"op": "inc", "path": "count"}, ("count",), 1),
        ({"op": "inc", "path": "age", "value": None}, ("age",), 100),
        ({"op": "inc", "path": "count", "value": None}, ("count",), 1),
        ({"op": "inc", "path": "count", "value": 7}, ("count",), 7),
        ({"op": "init", "path": "name", "value": "z"}, ("name",), "test"),
        ({"op": "init", "path": "nick", "value": "z"}, ("nick",), "z"),
        ({"op": "append", "path": "tags", "value": "x"}, ("tags",), ["coder", "x"]),
        ({"op": "append", "path": "tags", "value": ["x", "y"]}, ("tags",), ["coder", "x", "y"]),
        ({"op": "merge", "path": "info", "value": {"a": 1}}, ("info", "a"), 1),
        ({"op": "merge", "path": "info", "value": {"email": None}}, ("info",), {}),
        ({"op": "merge", "path": "/", "value": {"a": 1}}, ("a",), 1),
        ({"op": "patch", "path": "info", "value": [{"op": "remove", "path": "email"}]},
         ("info",), {}),
        ({"op": "patch", "path": "/", "value": [{"op": "inc", "path": "age"}]}, ("age",), 100),
    ],
)  # fmt: skip
def test_operation_does_what_it_says(operation: Json, path: tuple[str, ...], expected: Any) -> None:
    result: Any = applied(operation)
    for step in path:
        result = result[step]
    assert result == expected


@pytest.mark.row("O-16")
def test_moved_and_removed_members_are_gone() -> None:
    assert "name" not in applied({"op": "move", "from": "name", "path": "full"})
    assert "name" not in applied({"op": "remove", "path": "/name"})
    assert applied({"op": "remove", "path": "tags.0"})["tags"] == []


@pytest.mark.row("O-16")
def test_pointer_escapes_name_the_very_member() -> None:
    value: Json = {"a/b": 1, "m~n": 2, "x.y": 3}
    assert applied({"op": "remove", "path": "/a~1b"}, value=value) == {"m~n": 2, "x.y": 3}
    assert applied({"op": "remove", "path": "/m~0n"}, value=value) == {"a/b": 1, "x.y": 3}
    assert applied({"op": "remove", "path": "/x.y"}, value=value) == {"a/b": 1, "m~n": 2}


@pytest.mark.row("O-20")
@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "gone"},
        {"op": "replace", "path": "/gone", "value": 1},
        {"op": "add", "path": "gone.deeper", "value": 1},
        {"op": "add", "path": "name.deeper", "value": 1},
        {"op": "add", "path": "/tags/7", "value": 1},
        {"op": "add", "path": "/tags/01", "value": 1},
        {"op": "move", "from": "gone", "path": "there"},
        {"op": "move", "from": "info", "path": "info.inside"},
        {"op": "copy", "from": "gone", "path": "there"},
        {"op": "inc", "path": "name"},
        {"op": "inc", "path": "age", "value": "1"},
        {"op": "inc", "path": "age", "value": True},
        {"op": "append", "path": "name", "value": 1},
        {"op": "append", "path": "gone", "value": 1},
        {"op": "merge", "path": "name", "value": {}},
        {"op": "merge", "path": "info", "value": 1},
        {"op": "merge", "path": "gone", "value": {}},
        {"op": "patch", "path": "gone", "value": []},
        {"op": "remove", "path": "/"},
    ],
)
def test_operation_that_cannot_be_done_is_named(operation: Json) -> None:
    details = details_of({"op": "add", "path": "first", "value": 1}, operation)
    assert (details["op"], details["opIndex"]) == (operation, 1)
    assert details["info"]


@pytest.mark.row("O-20")
def test_failed_test_says_what_it_expected() -> None:
    test = {"op": "test", "path": "name", "value": "other"}
    details = details_of(test, {"op": "inc", "path": "age"})
    assert details["op"] == test
    assert details["opIndex"] == 0
    assert details["expected"] == "other"
    assert details_of({"op": "test", "path": "gone"})["expected"] is None
    assert details_of({"op": "test", "path": "age", "negate": True})["expected"] is None


@pytest.mark.row("O-20")
def test_failed_test_in_a_nested_patch_is_the_one_named() -> None:
    inner = {"op": "test", "path": "a", "value": 100}
    value: Json = {"a": 0, "b": 0}
    details = details_of(
        {"op": "inc", "path": "a"},
        {"op": "patch", "path": "/", "value": [{"op": "inc", "path": "b"}, inner]},
        value=value,
    )
    assert (details["op"], details["opIndex"]) == (inner, 1)


@pytest.mark.row("O-16")
def test_conditional_patch_is_skipped_whole_when_its_test_fails() -> None:
    value: Json = {"a": 0, "b": 0, "c": 0, "d": 0}

    def with_test(wanted: int) -> Json:
        nested = [
            {"op": "inc", "path": "b"},
            {"op": "test", "path": "a", "value": wanted},
            {"op": "inc", "path": "c"},
        ]
        return applied(
            {"op": "inc", "path": "a"},
            {"op": "patch", "path": "/", "value": nested, "conditional": True},
            {"op": "inc", "path": "d"},
            value=value,
        )

    assert with_test(1) == {"a": 1, "b": 1, "c": 1, "d": 1}
    assert with_test(100) == {"a": 1, "b": 0, "c": 0, "d": 1}


@pytest.mark.row("O-16")
@pytest.mark.parametrize(
    "operations",
    [
        {"op": "add"},
        ["add"],
        [{}],
        [{"op": "huh", "path": "name", "value": 1}],
        [{"op": ["add"], "path": "name"}],
        [{"op": "add", "path": 1, "value": 1}],
        [{"op": "add", "path": "name"}],
        [{"op": "move", "path": "name"}],
        [{"op": "patch", "path": "info", "value": {"op": "add"}}],
        [{"op": "patch", "path": "info", "value": [{"op": "huh", "path": "x"}]}],
        [{"op": "add", "path": "/", "value": [1]}],
        [{"op": "replace", "path": "", "value": 1}],
    ],
)
def test_what_is_no_patch_is_malformed(operations: Any) -> None:
    with pytest.raises(Malformed):
        patch.apply_operations(USER, operations)


@pytest.mark.row("O-16")
def test_unknown_operation_is_named_in_the_answer() -> None:
    with pytest.raises(Malformed) as caught:
        patch.apply_operations(USER, [{"op": "huh", "path": "name", "value": 1}])
    told = tell(caught.value)
    assert (told.status, told.body["code"]) == (400, "api_bad_request")
    assert "huh" in told.body["details"]["info"]


@pytest.mark.row("O-16")
def test_true_and_one_are_two_values_for_a_test() -> None:
    details_of({"op": "test", "path": "age", "value": True}, value={"age": 1})
    details_of({"op": "test", "path": "age", "value": [0]}, value={"age": [False]})


def test_copies_of_copies_do_not_fill_memory() -> None:
    doubling = [{"op": "copy", "from": "/", "path": f"/a{n}"} for n in range(64)]
    with pytest.raises(TooLarge):
        patch.apply_operations(USER, doubling)


def test_depth_is_refused_not_suffered() -> None:
    deep: Any = {}
    for _ in range(5_000):
        deep = {"a": deep}
    with pytest.raises(Malformed):
        patch.merged({}, deep)
    with pytest.raises(Malformed):
        patch.apply_operations({}, [{"op": "add", "path": "a", "value": deep}])
    deeper = [{"op": "add", "path": "x", "value": 1}]
    for _ in range(100):
        deeper = [{"op": "patch", "path": "/", "value": deeper}]
    with pytest.raises(Malformed):
        patch.apply_operations({}, deeper)


def test_sums_out_of_range_are_refused() -> None:
    details_of({"op": "inc", "path": "n", "value": 1e308}, value={"n": 1e308})
    details_of({"op": "inc", "path": "n", "value": 10**400}, value={"n": 0.5})
    assert applied({"op": "inc", "path": "n"}, value={"n": 2**70}) == {"n": 2**70 + 1}


# Merges: the examples of RFC 7396, appendix A, that begin and end with objects.


@pytest.mark.row("O-17")
@pytest.mark.parametrize(
    ("value", "merge", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_follows_the_rfc(value: Json, merge: Json, expected: Json) -> None:
    assert patch.merged(value, merge) == expected


# Properties

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
NAMES = st.sampled_from(["a", "b", "c", "0", "1", "a/b", "m~n", "-"])
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)
PATHS = st.lists(NAMES, max_size=3).map(".".join) | st.lists(NAMES, max_size=3).map(
    lambda steps: "".join(f"/{s.replace('~', '~0').replace('/', '~1')}" for s in steps)
)
OPERATIONS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(
            ["add", "remove", "replace", "move", "copy", "test", "inc", "init", "append", "merge"]
        ),
        "path": PATHS,
        "from": PATHS,
        "value": VALUES,
    },
    optional={"negate": st.booleans()},
)


@given(OBJECTS, st.lists(OPERATIONS, max_size=4))
def test_patch_gives_an_object_or_a_clear_refusal(value: Json, operations: list[Json]) -> None:
    before = copy.deepcopy(value)
    try:
        result = patch.apply_operations(value, operations)
    except RequestError:
        result = {}
    assert is_same(value, before)
    assert isinstance(result, dict)


@given(OBJECTS, NAMES, VALUES)
def test_added_member_is_there_and_removing_it_undoes(value: Json, name: str, added: Any) -> None:
    path = "/" + name.replace("~", "~0").replace("/", "~1")
    operations = [{"op": "add", "path": path, "value": added}]
    result = patch.apply_operations(value, operations)
    assert is_same(result, {**value, name: added})
    operations.append({"op": "test", "path": path, "value": added})
    operations.append({"op": "remove", "path": path})
    undone = patch.apply_operations(value, operations)
    assert is_same(undone, {k: v for k, v in value.items() if k != name})


@given(OBJECTS, OBJECTS)
def test_merging_twice_is_merging_once(value: Json, merge: Json) -> None:
    once = patch.merged(value, merge)
    assert is_same(patch.merged(once, merge), once)
