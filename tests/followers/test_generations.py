"""Generations of a follower whose small files were damaged: one is always served."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.followers.generations import Generations
from tests.index.world import rules


@pytest.mark.parametrize("name", [b"", b"\xb1", b"..", b"../../x", b"7", b"1\n", "١".encode()])
def test_a_pointer_that_names_nothing_begins_another_generation(
    tmp_path: Path, name: bytes
) -> None:
    generations = Generations(tmp_path / "views", rules())
    first = generations.current()
    (first / "kept").write_text("of the first")
    (tmp_path / "views" / "CURRENT").write_bytes(name)
    folder = generations.current()
    assert folder.parent == first.parent
    assert folder.name.isdecimal()
    assert not (folder / "kept").exists()
    assert generations.current() == folder


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'{"\xeb": 1}', b"\xff\xfe"])
def test_rules_that_cannot_be_read_are_other_rules(tmp_path: Path, text: bytes) -> None:
    generations = Generations(tmp_path / "views", rules())
    folder = generations.current()
    assert not generations.is_outdated(folder)
    assert not generations.unknown_to(folder)
    (folder / "rules.json").write_bytes(text)
    assert generations.is_outdated(folder)
    assert generations.unknown_to(folder) == frozenset(rules())
