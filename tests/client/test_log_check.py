"""Readers of a log remember its heads, and notice when it was rewound, forked or replaced."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick import durable
from tallystick.client.log_check import CheckedLog, TiledLog, check_log
from tallystick.client.remembered_heads import HeadMoved, PinnedHeads
from tallystick.errors import (
    BadConsistencyProof,
    BadSignature,
    SettingsError,
    VerificationError,
)
from tallystick.tlog import tile
from tallystick.tlog.checkpoint import sign_checkpoint
from tallystick.tlog.hashing import leaf_hash
from tallystick.tlog.note import Signer
from tests.tlog.trees import tree_hash

SIGNER = Signer.generate("log.example/a")
PLACE = "https://log.example/log/a"


class Shown:
    """A log as static files, whatever its entries say."""

    def __init__(self, size: int, *, signer: Signer = SIGNER, other_at: int | None = None) -> None:
        leaves = [leaf_hash(b"%d" % n) for n in range(size)]
        if other_at is not None:
            leaves[other_at] = leaf_hash(b"another")
        self.leaves = leaves
        self.signer = signer
        note = sign_checkpoint(signer, signer.name, size, tree_hash(leaves))
        self.log = TiledLog(self.fetch, note)
        self.without_partial = False

    def fetch(self, path: str) -> bytes | None:
        if path == "/log.vkey":
            return f"{self.signer.verifier}\n".encode()
        if path == "/rotations":
            return None
        level, number, width = tile.parse_path(path.removeprefix("/tile/"))
        assert isinstance(level, int)
        if width < 256 and self.without_partial:
            return None
        span = 256**level
        first = number * 256
        hashes = [
            tree_hash(self.leaves[n * span : (n + 1) * span]) if level else self.leaves[n]
            for n in range(first, min(first + width, len(self.leaves) // span))
        ]
        return b"".join(hashes)


@pytest.fixture
def heads(tmp_path: Path) -> PinnedHeads:
    return PinnedHeads(tmp_path / "heads")


def checked(shown: Shown, heads: PinnedHeads, place: str = PLACE) -> CheckedLog:
    found = check_log(shown.log, heads, place, place)
    heads.remember(found.key, found.note, instead_of=found.old)
    return found


def test_growth_from_nothing_is_followed(heads: PinnedHeads) -> None:
    old: int | None = None
    for size in (0, 0, 1, 5, 256, 256, 257, 1_000):
        found = checked(Shown(size), heads)
        assert (found.old and found.old.size, found.new.size) == (old, size)
        assert found.pinned_now == (old is None)
        old = size


def test_partial_tile_may_be_replaced_by_the_complete_one(heads: PinnedHeads) -> None:
    checked(Shown(200), heads)
    grown = Shown(512)
    grown.log.note = Shown(300).log.note
    grown.without_partial = True
    assert checked(grown, heads).new.size == 300


@pytest.mark.parametrize(
    ("before", "after", "other_at", "says"),
    [
        (
            300,
            299,
            None,
            "rewound: the log 'log.example/a' showed 300 entries before and",
        ),
        (300, 0, None, "rewound"),
        (300, 300, 7, "forked"),
        (300, 301, 7, "forked"),
        (300, 900, 299, "forked"),
        (1, 2, 0, "forked"),
    ],
)
def test_other_history_is_named_and_kept(
    heads: PinnedHeads, before: int, after: int, other_at: int | None, says: str
) -> None:
    checked(Shown(before), heads)
    kept = heads.path_of(SIGNER.verifier).read_bytes()
    other = Shown(after, other_at=other_at)
    for _ in range(2):
        with pytest.raises(BadConsistencyProof, match=says):
            checked(other, heads)
        assert heads.path_of(SIGNER.verifier).read_bytes() == kept
    conflict = heads.path_of(SIGNER.verifier).with_suffix(".conflict")
    assert conflict.read_text() == other.log.note
    assert checked(Shown(before), heads).new.size == before


def test_another_key_and_another_log_are_refused(heads: PinnedHeads) -> None:
    checked(Shown(3), heads)
    same_name = Signer.generate(SIGNER.name)
    with pytest.raises(BadSignature, match="another key"):
        checked(Shown(3, signer=same_name), heads)
    with pytest.raises(BadSignature, match="another key"):
        checked(Shown(3, signer=same_name), heads, "https://elsewhere.example/a")
    with pytest.raises(BadSignature, match="another log"):
        checked(Shown(3, signer=Signer.generate("log.example/b")), heads)
    other = Shown(3, signer=same_name)
    found = check_log(other.log, heads, PLACE, PLACE, same_name.verifier)
    assert (found.old, found.pinned_now) == (None, False)


def test_same_log_elsewhere_is_compared_with_the_same_head(heads: PinnedHeads) -> None:
    checked(Shown(300), heads)
    with pytest.raises(BadConsistencyProof, match="forked"):
        checked(Shown(301, other_at=5), heads, "https://mirror.example/a")


def test_missing_tiles_are_no_growth(heads: PinnedHeads) -> None:
    checked(Shown(3), heads)
    grown = Shown(600)
    grown.log = TiledLog(lambda path: None, grown.log.note)
    with pytest.raises(VerificationError, match="does not serve the tiles"):
        checked(grown, heads)


def test_reader_that_was_overtaken_compares_again(heads: PinnedHeads) -> None:
    checked(Shown(10), heads)
    slow = check_log(Shown(20).log, heads, PLACE, PLACE)
    checked(Shown(30), heads)
    with pytest.raises(HeadMoved):
        heads.remember(slow.key, slow.note, instead_of=slow.old)
    head = heads.head(SIGNER.verifier)
    assert head is not None
    assert head.size == 30


@pytest.fixture
def broken_after(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the n-th write from now fail; set the first element to n."""
    left = [0]
    written = durable.replace_file

    def replace_file(path: Path, data: bytes) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        written(path, data)

    monkeypatch.setattr("tallystick.client.remembered_heads.replace_file", replace_file)
    return left


@pytest.mark.parametrize("step", [1, 2])
def test_interrupted_first_contact_is_a_first_contact_again(
    heads: PinnedHeads, broken_after: list[int], step: int
) -> None:
    broken_after[0] = step
    with pytest.raises(SettingsError, match="No space left"):
        checked(Shown(5), heads)
    assert heads.head(SIGNER.verifier) is None
    again = checked(Shown(7), heads)
    assert (again.old, again.pinned_now) == (None, True)
    # The key was pinned before: another one is refused from the first contact on.
    with pytest.raises(BadSignature):
        checked(Shown(9, signer=Signer.generate(SIGNER.name)), heads)


def test_interrupted_growth_is_checked_again(heads: PinnedHeads, broken_after: list[int]) -> None:
    checked(Shown(5), heads)
    broken_after[0] = 1
    with pytest.raises(SettingsError):
        checked(Shown(9), heads)
    again = checked(Shown(9), heads)
    assert again.old is not None
    assert again.old.size == 5


def test_damaged_memory_is_not_a_first_contact(heads: PinnedHeads) -> None:
    checked(Shown(5), heads)
    path = heads.path_of(SIGNER.verifier)
    whole = path.read_bytes()
    for damaged in (b"", b"{}", whole[:-30], whole.replace(b"\\n5\\n", b"\\n4\\n")):
        path.write_bytes(damaged)
        with pytest.raises(SettingsError, match="is damaged"):
            checked(Shown(6), heads)


def killed_at(step: int, shown: Shown, heads: PinnedHeads) -> bool:
    """Check a log in a child that dies at the n-th call on files; tell whether it died."""
    child = os.fork()
    if child == 0:
        left = step

        def dying(call: Callable[..., Any]) -> Callable[..., Any]:
            def called(*args: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    os._exit(9)
                return call(*args, **options)

            return called

        for name in ("open", "fsync", "replace", "mkdir"):
            setattr(os, name, dying(getattr(os, name)))
        try:
            checked(shown, heads)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_kill_at_any_step_skips_nothing(tmp_path: Path) -> None:
    """After each kill a fork of the last remembered head is still noticed, and the log goes on."""
    step = 1
    while True:
        heads = PinnedHeads(tmp_path / str(step))
        first_killed = killed_at(step, Shown(5), heads)
        found = checked(Shown(5), heads)
        assert found.old is None or found.old.size == 5
        second_killed = killed_at(step, Shown(9), heads)
        with pytest.raises(BadConsistencyProof, match="forked"):
            checked(Shown(12, other_at=3), heads)
        found = checked(Shown(12), heads)
        assert found.old is not None
        assert found.old.size in (5, 9)
        if not (first_killed or second_killed):
            break
        step += 1
    assert step > 8
