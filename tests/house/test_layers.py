"""Rules of the package tree that import-linter cannot say: see `[tool.importlinter]` for the rest.

Synchronous core, asynchronous door: only what talks to the network is `async`. A dialect knows
no other dialect, a new one included, without being listed anywhere.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from tests.house.tree import PACKAGE, imports, modules
from tests.support.needs import ROOT

# `dialects/services.py` holds the protocol of that door; a dialect is asynchronous where it is
# given the door or meets Starlette, and nowhere else.
ASYNCHRONOUS = ("http/*", "console/*", "dialects/services.py")
ASYNC_NODES = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)


def test_only_the_door_is_async() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, tree in modules().items()
        if not any(fnmatch(name, pattern) for pattern in ASYNCHRONOUS)
        and not (name.startswith("dialects/") and _is_at_the_door(name))
        for node in ast.walk(tree)
        if isinstance(node, ASYNC_NODES)
    ]
    assert found == []


def _is_at_the_door(name: str, seen: frozenset[str] = frozenset()) -> bool:
    """Tell whether a module is given the door, or works with one of its dialect that is."""
    door = ("starlette.", "tallystick.dialects.services", "tallystick.http.")
    folder = name.rpartition("/")[0]
    siblings = {
        f"{folder}/{imported.split('.')[3]}.py"
        for imported in imports(name)
        if imported.startswith(f"tallystick.{folder.replace('/', '.')}.")
    }
    return any(imported.startswith(door) for imported in imports(name)) or any(
        _is_at_the_door(sibling, seen | {name})
        for sibling in siblings & modules().keys() - seen - {name}
    )


def test_top_level_is_thirty_boxes_without_a_circle() -> None:
    """A room or a leaf is a box; an arrow is an import across boxes."""
    arrows: dict[str, set[str]] = {}
    for name in modules():
        box = _box(name.removesuffix(".py"))
        here = arrows.setdefault(box, set())
        here |= {_box(i.removeprefix("tallystick.").replace(".", "/")) for i in imports(name)
                 if i.startswith("tallystick.")} - {box}  # fmt: skip
    face = arrows.pop("__init__")
    assert face <= arrows.keys()
    assert len(arrows) <= 30, sorted(arrows)
    # Boxes are taken away as long as one has no arrow to another: a circle would be left.
    while bottom := {box for box, below in arrows.items() if not below & arrows.keys()}:
        for box in bottom:
            del arrows[box]
    assert arrows == {}


def _box(path: str) -> str:
    return path.partition("/")[0]


def test_dialects_do_not_import_each_other() -> None:
    dialects = {path.name for path in (PACKAGE / "dialects").glob("*/")}
    found = [
        f"{name} imports {imported}"
        for name in modules()
        if fnmatch(name, "dialects/*/*")
        for imported in imports(name)
        if imported.startswith("tallystick.dialects.")
        and imported.split(".")[2] in dialects - {Path(name).parts[1]}
    ]
    assert found == []


def test_product_imports_only_what_it_declares() -> None:
    """A package that only the tests install would break every user and no test."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    allowed = {distribution_name(requirement) for group in groups for requirement in group}
    providers = importlib.metadata.packages_distributions()
    # `compression` came with Python 3.14; below that a declared package stands in for it.
    own = sys.stdlib_module_names | {"tallystick", "compression"}
    found = [
        f"{name} imports {imported}"
        for name in modules()
        for imported in imports(name)
        if (root := imported.split(".")[0]) not in own
        if not allowed & {distribution_name(provider) for provider in providers.get(root, [])}
    ]
    assert found == []


def distribution_name(requirement: str) -> str:
    """Return the normalised name of a requirement such as `psycopg[binary]>=3`."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def test_nothing_above_the_ledger_reads_an_index() -> None:
    """The ledger binds every question to what the caller may see: there is no way round it."""
    below = ("index/", "followers/", "ledger/", "node/", "store/", "tlog/")
    found = [
        f"{name}:{node.lineno} uses .{node.attr}"
        for name, tree in modules().items()
        if not name.startswith(below)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("reader", "_reader")
    ]
    found += [
        f"{name} imports {imported}"
        for name in modules()
        if name.startswith(("http/", "dialects/", "exports/", "subscriptions/", "console/"))
        for imported in imports(name)
        if imported.startswith("tallystick.index.") or imported.endswith(".question.Reader")
    ]
    assert found == []
