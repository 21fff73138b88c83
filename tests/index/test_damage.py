"""A flipped byte, a lost or cut file, a foreign folder: never a wrong answer, and it heals."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tallystick.errors import FollowerBehind
from tallystick.events.event import Draft, Op, Resource
from tallystick.index.open import Index, open_index
from tallystick.query.expr import Eq, Range, Term
from tallystick.query.question import Find, ResourceQuery
from tallystick.settings import Settings
from tallystick.store.sqlite.store import open_sqlite
from tests.index.world import TENANT
from tests.store.transactions import KEY
from tests.support.recording import Recorder

RULES = "tests.index.world:rules"
EVENTS = 300
FLIPS = int(os.environ.get("TALLYSTICK_TEST_FLIPS", "1"))
"""Bytes that are flipped in each file, at places drawn by chance, besides the last one."""

Answers = tuple[object, ...]


def order(number: int) -> Draft:
    """Return an event about one of a few orders."""
    target = Resource("order", str(number % 50), f"order {number}")
    data = {"number": number, "text": f"brown w{number % 7}"}
    return Draft(kind=f"order.k{number % 3}", target=target, data=data)


def answers(index: Index) -> Answers:
    """Return what lists and search say, once they say something."""
    for _ in range(5):
        with suppress(FollowerBehind):
            return _answers(index)
    raise AssertionError("it does not heal")


def _answers(index: Index) -> Answers:
    reader = index.reader
    listed = reader.find(TENANT, Find(where=Eq("kind", "order.k1"), limit=1_000, total=True))
    searched = reader.find(TENANT, Find(where=Term("data.text", "w3"), limit=1_000, total=True))
    return (
        [hit.index for hit in listed.hits],
        listed.total,
        [hit.index for hit in searched.hits],
        searched.total,
        reader.count(TENANT, Range("data.number", 100, 250)),
        reader.count(TENANT, Eq("target", "order:7")),
        [(one.id, one.name, one.count) for one in reader.resources(TENANT, ORDERS)],
    )


ORDERS = ResourceQuery(type="order", limit=100)


class Kept:
    """A log with its indexes in a folder, of which damaged copies are opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = open_sqlite(folder / "ledger.db")
        self.recorder = Recorder(self.store, KEY)
        index = self.open(folder)
        for start in range(0, EVENTS, 100):
            self.recorder.append(TENANT, *map(order, range(start, start + 100)))
            answers(index)
        self.recorder.append(TENANT, Draft(kind="order.k1", op=Op.RECORD, data={"text": "w3"}))
        self.expected = answers(index)
        # As a kill leaves it: with write-ahead logs that were not emptied.
        self.killed = folder / "killed"
        shutil.copytree(folder / "index", self.killed / "index")
        index.close()
        self.closed = folder / "closed"
        shutil.copytree(folder / "index", self.closed / "index")

    def open(self, folder: Path) -> Index:
        """Open the indexes of a folder on the log."""
        return open_index(folder, self.store, Settings(), child=False, rules=RULES)

    def close(self) -> None:
        """Release everything."""
        self.recorder.close()
        self.store.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    kept = Kept(tmp_path_factory.mktemp("kept"))
    yield kept
    kept.close()


def files_of(folder: Path) -> list[Path]:
    """Return the files of the indexes, relative to their folder."""
    found = (path for path in (folder / "index").rglob("*") if path.is_file())
    return sorted(path.relative_to(folder) for path in found)


def check(kept: Kept, folder: Path, what: object) -> None:
    """Open what was damaged and compare what it answers with what is right."""
    index = kept.open(folder)
    try:
        assert answers(index) == kept.expected, what
    finally:
        index.close()


@pytest.mark.parametrize("state", ["closed", "killed"])
def test_a_flipped_byte_in_any_file_is_never_a_wrong_answer(
    kept: Kept, tmp_path: Path, state: str
) -> None:
    """Flip the last byte and some at random places of each file, one after the other."""
    chance = random.Random(3)  # noqa: S311  # places for a test
    source = kept.closed if state == "closed" else kept.killed
    for name in files_of(source):
        size = (source / name).stat().st_size
        if not size:
            continue
        places = {size - 1, *(chance.randrange(size) for _ in range(FLIPS))}
        for at in sorted(places):
            copy = tmp_path / "copy"
            shutil.copytree(source, copy)
            data = bytearray((copy / name).read_bytes())
            data[at] ^= 1 << chance.randrange(8)
            (copy / name).write_bytes(data)
            check(kept, copy, (name, at))
            shutil.rmtree(copy)


@pytest.mark.parametrize("cut", [None, 2])
@pytest.mark.parametrize("state", ["closed", "killed"])
def test_a_lost_or_cut_file_is_never_a_wrong_answer(
    kept: Kept, tmp_path: Path, state: str, cut: int | None
) -> None:
    """Remove each file, or cut it in half."""
    source = kept.closed if state == "closed" else kept.killed
    for name in files_of(source):
        copy = tmp_path / "copy"
        shutil.copytree(source, copy)
        if cut is None:
            (copy / name).unlink()
        else:
            os.truncate(copy / name, (copy / name).stat().st_size // cut)
        check(kept, copy, (name, cut))
        shutil.rmtree(copy)


def test_the_index_of_another_log_is_made_again(kept: Kept, tmp_path: Path) -> None:
    """Of the same tenant and the same size, whole or one part of it."""
    other = Kept(tmp_path)
    try:
        for part in ("index", "index/views", "index/search", "index/search/1/names.db"):
            for state in ("closed", "killed"):
                copy = tmp_path / "copy"
                shutil.copytree(getattr(kept, state), copy)
                source = getattr(other, state) / part
                if source.is_dir():
                    shutil.rmtree(copy / part)
                    shutil.copytree(source, copy / part)
                else:
                    shutil.copy(source, copy / part)
                check(kept, copy, (part, state))
                shutil.rmtree(copy)
    finally:
        other.close()
