"""Following a log: small slices, merges in between, erasures, kinds and many tenants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallystick import limits
from tallystick.events.event import Draft, Op, Resource
from tallystick.followers import follow
from tallystick.followers.follow import Following, read_slice
from tallystick.index.lists.writer import ViewsWriter
from tallystick.query.expr import Eq, Prefix
from tallystick.query.question import Find, ResourceQuery
from tests.index.world import ITEM_DELETE, ITEM_PUT, TENANT, World, rules

ALICE, BOB = Resource("user", "alice", "Alice"), Resource("user", "bob", "Bob")
EVERYTHING = ("actor", "target", "place", "data", "previous")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world with an empty log."""
    return World(tmp_path)


def sale(number: int, actor: Resource = ALICE) -> Draft:
    """Return an event about an order."""
    target = Resource("order", str(number), f"order {number}")
    return Draft(kind="order.created", actor=actor, target=target, data={"number": number})


def test_what_goes_while_blocks_are_merged_stays_gone(world: World) -> None:
    """Retract events of every source between any two steps of a merge."""
    with world:
        indexes = world.append(*map(sale, range(120)))
        world.wait("views", TENANT)
        retracted = 0
        while world.writer.tidy():
            world.change(Op.RETRACT, indexes[7 * retracted], {})
            world.wait("views", TENANT)
            retracted += 1
        assert retracted >= 3
        expected = world.model().find(Find())
        assert [hit.index for hit in world.reader.find(TENANT, Find(limit=500)).hits] == expected
        assert world.reader.count(TENANT, Eq("actor", "user:alice")) == 120 - retracted


def test_a_reader_keeps_up_with_merges(world: World) -> None:
    """Files that a reader knows of are taken away between its questions."""
    with world:
        for start in range(0, 600, 60):
            world.append(*map(sale, range(start, start + 60)))
            world.follow()
            assert world.reader.count(TENANT, Eq("class", "order")) == start + 60


def test_nothing_of_an_erased_entry_stays_in_the_folder(world: World, tmp_path: Path) -> None:
    """Erase an entry, tidy up, and look for its texts and terms in every file."""
    with world:
        secret = Resource("person", "Ms. Secret", "Secretia")
        indexes = world.append(sale(1, secret), *map(sale, range(2, 60)))
        world.follow()
        number = world.writer.number_of("actor", "person:Ms. Secret")
        world.erase(indexes[0], EVERYTHING)
        world.follow()
        assert world.reader.find(TENANT, Find(where=Eq("actor.id", "Ms. Secret"))).hits == []
        assert world.reader.resources(TENANT, ResourceQuery(type="person")) == []
        for path in (tmp_path / "views").iterdir():
            text = path.read_bytes()
            assert b"Secret" not in text, path
            assert number.to_bytes(8, "little") not in text, path


def test_an_erased_document_does_not_bring_back_the_one_before(world: World) -> None:
    with world:
        item = Resource("item", "a")
        for number in range(3):
            world.append(Draft(kind=ITEM_PUT, op=Op.DOCUMENT, target=item, data={"n": number}))
        world.follow()
        world.erase(2, EVERYTHING)
        for looked_at in (world, world.rebuilt()):
            found = looked_at.reader.find(TENANT, Find(over="items"))  # type: ignore[arg-type]  # an enum of str
            assert found.hits == []
            summary = looked_at.reader.resource(TENANT, "item", "a")
            assert summary is not None
            assert summary.document is None
            assert summary.count == 2


def test_history_has_every_document_newest_first(world: World) -> None:
    with world:
        item = Resource("item", "a")
        for number in range(40):
            kind = ITEM_DELETE if number % 10 == 9 else ITEM_PUT
            world.append(Draft(kind=kind, op=Op.DOCUMENT, target=item, data={"n": number}))
            world.append(sale(number))
        expected = list(range(78, -1, -2))
        assert world.reader.history(TENANT, "item", "a", limit=100, offset=0) == expected
        assert world.reader.history(TENANT, "item", "a", limit=5, offset=7) == expected[7:12]
        assert world.reader.history(TENANT, "item", "b", limit=5, offset=0) == []


def test_a_slice_ends_with_the_log(world: World) -> None:
    with world:
        world.append(*map(sale, range(5)))
        part = read_slice(world.store, TENANT, "uuid", 3, 100)
        assert (part.start, part.stop) == (3, 5)
        assert [view.index for view in part.fresh] == [3, 4]
        assert read_slice(world.store, TENANT, "uuid", 5, 100).stop == 5


def test_a_slice_of_large_entries_is_short_and_a_tenant_beside_them_has_its_turn(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.followers.follow.SLICE_BYTES", 2_500)
    with world:
        world.append(*(Draft(kind="large", data={"text": "x" * 1_000}) for _ in range(8)))
        assert read_slice(world.store, TENANT, "uuid", 0, 8).stop == 3
        monkeypatch.setattr("tallystick.followers.follow.SLICE_BYTES", 10)
        assert read_slice(world.store, TENANT, "uuid", 5, 8).stop == 6
        world.recorder.append("small", *map(sale, range(3)))
        (tmp_path / "other").mkdir()
        writer = ViewsWriter(tmp_path / "other", world.store, rules(), sealed_rows=16)
        following = Following(world.store, writer)
        following.learn_heads([(TENANT, 8), ("small", 3)])
        following.take(following.read())
        following.commit(urgent=True)
        assert following.readable == {TENANT: 1, "small": 1}
        following.catch_up()
        assert following.readable == {TENANT: 8, "small": 3}
        writer.close()


def test_entries_that_are_not_there_are_not_taken(world: World) -> None:
    """A follower that was told of more than the log has, as before a failover, takes them later."""
    with world:
        world.append(*map(sale, range(5)))
        world.following.learn_heads([(TENANT, 8)])
        world.following.catch_up()
        assert world.following.readable == {TENANT: 5}
        assert world.following.behind() == 3
        world.append(*map(sale, range(3)))
        world.following.catch_up()
        assert world.following.readable == {TENANT: 8}
        assert world.reader.count(TENANT, Eq("class", "order")) == 8


def test_kinds_beyond_counting_are_left_to_the_search(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUERY_TERMS", 20)
    with world:
        world.append(*(Draft(kind=f"kind.{number}") for number in range(19)))
        assert world.reader.count(TENANT, Prefix("kind", "kind.1")) == 10
        world.append(*(Draft(kind=f"other.{number}") for number in range(9)))
        question = Find(where=Prefix("kind", "kind.1"))
        assert world.reader.explain(TENANT, question).index == "search"
        assert world.reader.count(TENANT, Eq("kind", "other.8")) == 1


def test_no_tenant_starves_another(world: World, tmp_path: Path) -> None:
    """Three tenants are far behind; every few slices each of them has come on."""
    with world:
        for tenant in ("one", "two", "three"):
            world.recorder.append(tenant, *map(sale, range(100)))
        (tmp_path / "other").mkdir()
        writer = ViewsWriter(tmp_path / "other", world.store, rules(), sealed_rows=16)
        following = Following(world.store, writer, slice_rows=10)
        following.learn_heads((name, 100) for name in ("one", "two", "three"))
        for taken in range(1, 4):
            for _ in range(3):
                following.take(following.read())
            following.commit(urgent=True)
            assert following.readable == dict.fromkeys(("one", "two", "three"), taken * 10)
        assert following.behind() == 300 - 90
        writer.close()


def test_who_is_waited_for_is_taken_first_and_committed_alone(world: World, tmp_path: Path) -> None:
    with world, another(world, tmp_path, slice_rows=3) as following:
        for tenant in ("a", "b", "c"):
            world.recorder.append(tenant, *map(sale, range(3)))
        following.learn_heads([("a", 3), ("b", 3), ("c", 3)])
        following.hurry(["c"])
        assert following.is_hurried()
        assert not following.has_arrived()
        following.take(following.read())
        assert following.has_arrived()
        assert following.commit(urgent=following.has_arrived()) == {"c": 3}
        assert not following.is_hurried()
        following.catch_up()
        assert following.readable == {"a": 3, "b": 3, "c": 3}


def test_entries_that_take_long_come_few_at_a_time_and_after_what_is_waited_for(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world, another(world, tmp_path, slice_rows=16) as following:
        world.recorder.append("slow", *map(sale, range(40)))
        world.recorder.append("light", *map(sale, range(8)))
        following.learn_heads([("slow", 40)])
        monkeypatch.setattr(follow, "_TURN_S", -1.0)
        following.take(following.read())
        monkeypatch.setattr(follow, "_TURN_S", 60.0)
        (part,) = following.read()
        assert (part.start, part.stop) == (16, 17)
        following.learn_heads([("light", 8)])
        following.hurry(["light"])
        assert [part.tenant for part in following.read()] == ["light"]
        # Passed over once, not twice.
        assert [part.tenant for part in following.read()] == ["light", "slow"]
        following.catch_up()
        assert following.readable == {"slow": 40, "light": 8}


@contextmanager
def another(world: World, folder: Path, *, slice_rows: int) -> Iterator[Following]:
    """Follow a world's log with further lists."""
    (folder / "other").mkdir()
    writer = ViewsWriter(folder / "other", world.store, rules(), sealed_rows=16)
    yield Following(world.store, writer, slice_rows=slice_rows)
    writer.close()
