"""Files that must last are written by `durable`: nothing else writes, renames or flushes one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.tree import modules

ALLOWED = {
    "client/remembered_heads.py": "a lock has no content",
    "cli/export.py": "an export comes in rows, flushed before durable notes how far it is",
    "durable.py": "does it",
    "cli/evidence.py": "a download, compared with its digest before it takes its name",
    "evidence/bundle.py": "spools are flushed by durable before the note that counts on them",
    "cli/events.py": "writes what the user asked for where the user said, which may be a device",
    "data_folder.py": "a lock has no content",
    "index/lists/sealed_block.py": "writes a file in parts and flushes it; compaction renames it",
    "index/log_tip.py": "one short record, checked by its sum, overwritten with each commit",
    "maintenance/backup.py": "an archive in a stream that its caller made",
    "exports/jobs/events_file.py": "rows come in stretches, flushed before the note that counts",
    "store/sqlite/stream_states.py": "a lock has no content",
    "store/sqlite/blobs.py": "an upload comes in parts; it is flushed and renamed by durable",
    "store/write_probe.py": "a trial, removed at once",
    "witness/mirror_folder.py": "tiles are renamed at once and flushed together before `finish`",
}
"""Modules that write by themselves, and why."""

WRITES = frozenset("wxa+")
CALLS = frozenset({"write_bytes", "write_text", "rename", "fsync", "fdatasync", "mkstemp"})


def writes(tree: ast.Module) -> Iterator[int]:
    """Yield the lines of a module that write, rename or flush a file."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        # Of a path; the `replace` of a text has two arguments, that of a structure has names.
        is_rename = name == "replace" and len(node.args) == 1 and not node.keywords
        if name in CALLS or is_rename or (name in ("open", "fdopen") and _opens_to_write(node)):
            yield node.lineno


def _opens_to_write(call: ast.Call) -> bool:
    values = [*call.args, *(word.value for word in call.keywords)]
    flags = {
        node.attr for value in values for node in ast.walk(value) if isinstance(node, ast.Attribute)
    }
    modes = [value.value for value in values if isinstance(value, ast.Constant)]
    return bool(flags & {"O_WRONLY", "O_RDWR", "O_CREAT"}) or any(
        isinstance(mode, str) and len(mode) <= 3 and WRITES & set(mode) for mode in modes
    )


def test_only_named_modules_write_files() -> None:
    found = {name: list(writes(tree)) for name, tree in modules().items()}
    assert {name: lines for name, lines in found.items() if lines and name not in ALLOWED} == {}
    assert [name for name in ALLOWED if not found.get(name)] == []


@pytest.mark.parametrize(
    "text",
    [
        "path.write_text('a')",
        "path.open('wb')",
        "open(path, mode='a')",
        "os.open(path, os.O_RDWR | os.O_CREAT)",
        "begun.replace(path)",
        "os.fsync(handle)",
    ],
)
def test_every_way_to_write_is_seen(text: str) -> None:
    assert list(writes(ast.parse(text))) == [1]


@pytest.mark.parametrize(
    "text", ["path.open('rb')", "text.replace('a', 'b')", "url.replace(path='/')", "open(path)"]
)
def test_reading_and_replacing_text_are_no_writes(text: str) -> None:
    assert list(writes(ast.parse(text))) == []
