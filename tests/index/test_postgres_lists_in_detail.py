"""What lists on PostgreSQL promise besides being right: with the batch, by an index, for all."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tallystick.errors import FollowerBehind, NotFound
from tallystick.events.dialect_rules import DialectRules
from tallystick.events.event import Draft, Op, Resource
from tallystick.index.lists.block_query import HasTerm
from tallystick.index.open import fill_lists, open_index
from tallystick.index.postgres import pages, summaries
from tallystick.index.postgres import reader as reading
from tallystick.index.postgres import sql as statements
from tallystick.index.postgres.reader import PostgresReader
from tallystick.index.postgres.writer import Lists
from tallystick.maintenance.copy import copy
from tallystick.query.expr import (
    NEWEST_FIRST,
    OLDEST_FIRST,
    And,
    Eq,
    Everything,
    In,
)
from tallystick.query.question import Find, ResourceQuery
from tallystick.settings import Settings
from tallystick.store.base import Erasure
from tallystick.store.postgres.connection import Connection
from tallystick.store.postgres.store import open_postgres
from tallystick.store.sqlite.store import open_sqlite
from tests.index import world as worlds
from tests.index.postgres_world import TABLES, PostgresWorld, contents
from tests.index.world import TENANT
from tests.store.store_fixtures import check_lists
from tests.store.transactions import KEY, Interrupted, extend_and_fail
from tests.support.recording import Recorder

pytestmark = pytest.mark.needs("postgres")


def order(n: int, **changes: Any) -> Draft:
    """Return an event about an order inside a space."""
    given: dict[str, Any] = {
        "kind": ("order.created", "order.shipped")[n % 2],
        "occurred_ms": 1_700_000_000_000 + n * 60_000,
        "actor": Resource("user", str(n % 7), name=f"User {n % 7}"),
        "target": Resource("order", str(n % 50)),
        "scopes": (Resource("space", str(n % 3)),),
        "trails": (f"trail {n % 5}",),
    }
    return Draft(**(given | changes))


def test_lists_are_written_with_their_batch(postgres_world: PostgresWorld) -> None:
    """Before anybody asks: a single event, a batch that is copied, one that changes another."""
    postgres_world.append(order(0))
    assert postgres_world.listed() == 1
    postgres_world.append(*map(order, range(1, 60)))
    assert postgres_world.listed() == 60
    postgres_world.change(Op.REVISE, 3, {"total": 1})
    postgres_world.change(Op.RETRACT, 4, {})
    postgres_world.append(Draft(kind="item.put", op=Op.DOCUMENT, target=Resource("order", "1")))
    postgres_world.erase(5, ("actor", "target", "place", "data"))
    assert postgres_world.listed() == postgres_world.size() == 64


def test_few_entries_that_change_many_are_listed_with_their_batch(
    postgres_world: PostgresWorld,
) -> None:
    """Fewer than are copied come, and more than that are listed."""
    postgres_world.append(*map(order, range(40)))
    retractions = [
        Draft(kind=event.kind, op=Op.RETRACT, subject=event.id)
        for event in postgres_world.events()[:12]
    ]
    postgres_world.append(*retractions)
    assert postgres_world.listed() == 52
    told = {"entries": [{"index": n, "sections": ("actor",)} for n in range(40)]}
    draft = Draft(kind="erase", op=Op.ERASE, data=told)
    erasures = [Erasure(n, ("actor",)) for n in range(40)]
    postgres_world.recorder.append(TENANT, draft, erasures=erasures)
    assert postgres_world.listed() == 53
    assert postgres_world.reader.count(TENANT, Everything()) == 28
    assert postgres_world.reader.count(TENANT, Eq("actor", "user:1"), dialect="echo") == 0
    check_lists(postgres_world.url)


def test_failed_batch_leaves_no_lists(postgres_world: PostgresWorld) -> None:
    postgres_world.append(order(0))
    before = contents(postgres_world.url)
    with pytest.raises(Interrupted):
        extend_and_fail(postgres_world.store, TENANT, drafts=(order(1), order(2)))
    assert contents(postgres_world.url) == before
    postgres_world.append(order(1))
    assert postgres_world.reader.count(TENANT, Eq("kind", "order.shipped")) == 1


def test_processes_list_in_turns(postgres_world: PostgresWorld) -> None:
    """What one process has in mind of a tenant is no longer so once another has written."""
    other = Lists(worlds.rules())
    second = open_postgres(postgres_world.url, extension=other.write)
    recorder = Recorder(second, KEY, postgres_world.clock)
    for n in range(20):
        writer = postgres_world.recorder if n % 2 else recorder
        name = f"Name {n}"
        writer.append(TENANT, order(n, actor=Resource("user", "1", name=name)))
        assert postgres_world.listed() == n + 1
        summary = postgres_world.reader.resource(TENANT, "user", "1")
        assert summary is not None
        assert (summary.name, summary.count) == (name, n + 1)
    recorder.close()
    second.close()


def test_lists_of_a_copied_log_are_made_when_asked_for(
    postgres_world: PostgresWorld, tmp_path: Path
) -> None:
    source = open_sqlite(tmp_path / "log.db")
    recorder = Recorder(source, KEY)
    recorder.append(TENANT, *map(order, range(300)))
    recorder.close()
    plain = open_postgres(postgres_world.url)
    copy(source, plain)
    source.close()
    plain.close()
    assert postgres_world.listed() == 0
    postgres_world.append(order(300))
    assert postgres_world.listed() == 0
    assert postgres_world.reader.count(TENANT, Eq("target", "order:7")) == 6
    assert postgres_world.listed() == 301
    postgres_world.append(order(301))
    assert postgres_world.listed() == 302


def test_newer_rules_make_the_lists_again(postgres_world: PostgresWorld) -> None:
    postgres_world.append(*map(order, range(5)))
    newer = Lists(dict(worlds.rules()) | {"extra": DialectRules(lambda _: True, lambda *_: {})})
    second = open_postgres(postgres_world.url, extension=newer.write)
    reader = PostgresReader(second, newer, postgres_world)
    assert reader.count(TENANT, Eq("kind", "order.created"), dialect="extra") == 3
    recorder = Recorder(second, KEY, postgres_world.clock)
    recorder.append(TENANT, order(6))
    assert postgres_world.listed() == 6
    # The older program goes on writing, leaves the lists alone, and does not answer from them.
    postgres_world.append(order(8))
    assert postgres_world.listed() == 6
    with pytest.raises(FollowerBehind):
        postgres_world.reader.count(TENANT, Eq("kind", "order.created"))
    assert reader.count(TENANT, Eq("kind", "order.created"), dialect="extra") == 5
    recorder.close()
    second.close()


def test_long_count_is_kept_and_read_from_then_on(
    postgres_world: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By any process: batches of one, of few and of many move it, and so does a retraction."""
    postgres_world.append(*[order(n) for n in range(30)])
    where = Eq("actor", "user:3")
    assert postgres_world.reader.count(TENANT, where) == 4

    def count_one_by_one(question: pages.PageQuestion, connection: psycopg.Connection) -> int:
        raise AssertionError("the count is kept")

    monkeypatch.setattr(pages.PageQuestion, "_count", count_one_by_one)
    postgres_world.append(order(3))
    postgres_world.append(*[order(n) for n in range(14)])
    assert postgres_world.reader.count(TENANT, where) == 7
    postgres_world.reopen()
    postgres_world.append(*[order(n) for n in range(210)])
    postgres_world.change(Op.RETRACT, 3, {})
    assert postgres_world.reader.count(TENANT, where) == 36
    assert postgres_world.reader.count(TENANT, where, dialect="echo") == 37
    found = postgres_world.reader.find(TENANT, Find(where=where, limit=5, total=True))
    assert found.total == 36


def test_long_resource_is_summed_up_without_counting(
    postgres_world: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In all its roles, an entry once; also where the last entry about it is no longer shown."""
    user = Resource("user", "u")
    drafts = [order(0, actor=user), order(1, target=user), order(2, scopes=(user,))]
    postgres_world.append(*drafts, order(3, actor=user, target=user, scopes=(user,)), order(4))
    summary = postgres_world.reader.resource(TENANT, "user", "u")
    assert summary == postgres_world.model().resources()["user", "u"]
    postgres_world.append(*drafts, order(50, actor=user))
    sent: list[str] = []

    def noted(connection: Connection, name: str, **values: Any) -> Any:
        sent.append(name)
        return statements.select(connection, name, **values)

    monkeypatch.setattr(summaries, "select", noted)
    last = len(postgres_world.events()) - 1
    for count in (8, 7):
        summary = postgres_world.reader.resource(TENANT, "user", "u")
        assert summary == postgres_world.model().resources()["user", "u"]
        assert summary is not None
        assert summary.count == count
        assert sent == ["ends"]
        sent.clear()
        postgres_world.change(Op.RETRACT, last, {})


def test_count_is_not_kept_if_the_lists_changed_while_it_was_made(
    postgres_world: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_world.append(*[order(n) for n in range(30)])
    by_sight = pages.PageQuestion.by_sight

    def interrupted(
        question: pages.PageQuestion, connection: Connection, term: HasTerm
    ) -> dict[int, int]:
        counted = by_sight(question, connection, term)
        postgres_world.append(order(3))
        postgres_world.change(Op.RETRACT, 3, {})
        return counted

    where = Eq("actor", "user:3")
    with monkeypatch.context() as patched:
        patched.setattr(pages.PageQuestion, "by_sight", interrupted)
        assert postgres_world.reader.count(TENANT, where) == 4
    with psycopg.connect(postgres_world.url) as connection:
        assert connection.execute("SELECT count(*) FROM counts").fetchone() == (0,)
    assert postgres_world.reader.count(TENANT, where) == 4
    with psycopg.connect(postgres_world.url) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM counts").fetchone() == (True,)


@pytest.mark.parametrize(("rare", "table"), [("scope", "places AS p"), ("actor", "lists AS l")])
def test_term_of_fewest_entries_drives_a_page(
    postgres_world: PostgresWorld, monkeypatch: pytest.MonkeyPatch, rare: str, table: str
) -> None:
    """Whether the count of the others is kept or not."""
    actor, scope = Resource("user", "7"), Resource("space", "7")
    both = [order(n, actor=actor, scopes=(scope,)) for n in range(3)]
    others = order(3, scopes=(scope,)) if rare == "actor" else order(3, actor=actor)
    postgres_world.append(*both, *[others] * 400)
    texts: list[str] = []
    plain = pages.__dict__["fetch_composed"]

    def noted(connection: psycopg.Connection, statement: sql.Composable, values: Any) -> Any:
        # Servers that other tests left running ask from threads of their own.
        if threading.current_thread() is threading.main_thread():
            texts.append(statement.as_string(connection).replace('"', ""))
        return plain(connection, statement, values)

    monkeypatch.setattr(pages, "fetch_composed", noted)
    by_actor, by_scope = Eq("actor", "user:7"), Eq("scope", "space:7")
    where = And((by_actor, by_scope))
    for _ in range(2):
        found = postgres_world.reader.find(TENANT, Find(where=where, sort=NEWEST_FIRST))
        assert [hit.index for hit in found.hits] == [2, 1, 0]
        [page] = {text for text in texts if "found" in text}
        assert table in page
        postgres_world.reader.count(TENANT, by_actor if rare == "scope" else by_scope)
        texts.clear()


def test_erased_names_leave_the_lists(postgres_world: PostgresWorld) -> None:
    moving = Resource("order", "secretly moving")
    postgres_world.append(order(0, actor=Resource("user", "secret", name="Secret Name")))
    postgres_world.append(order(1))
    postgres_world.append(order(2, target=moving, scopes=(Resource("shop", "1"),)))
    postgres_world.append(order(3, target=moving, scopes=(Resource("shop", "2"),)))
    for index in (0, 2, 3):
        postgres_world.erase(index, ("actor", "target", "place", "data"))
    assert postgres_world.reader.resource(TENANT, "user", "secret") is None
    with psycopg.connect(postgres_world.url) as connection:
        for table in TABLES:
            statement = sql.SQL("SELECT count(*) FROM {} AS t WHERE t::text ~* %s")
            found = connection.execute(
                statement.format(sql.Identifier(table)), (b"ecret".hex(),)
            ).fetchone()
            assert found == (0,), table
        noted = connection.execute("SELECT relation FROM erased").fetchall()
    assert {b"resources", b"children", b"sources"} <= {relation for (relation,) in noted}


def test_deep_offsets_begin_where_totals_say(
    postgres_world: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_DEEP", 20)
    postgres_world.append(*map(order, range(500)))
    asked: list[tuple[int, ...]] = []
    plain = statements.fetch_composed

    def fetch(connection: Any, text: Any, values: Any) -> Any:
        asked.append(tuple(values))
        return plain(connection, text, values)

    monkeypatch.setattr(pages, "fetch_composed", fetch)
    for where in (Everything(), Eq("kind", "order.created"), In("kind", ("order.created", "x"))):
        for sort in (NEWEST_FIRST, OLDEST_FIRST):
            question = Find(where=where, sort=sort, offset=200, limit=5)
            found = postgres_world.reader.find(TENANT, question)
            assert [hit.index for hit in found.hits] == postgres_world.model().find(question)[
                200:205
            ]
            # What is left to skip is less than what occurred in one hour.
            assert asked[-1][-1] <= 60
    beyond = postgres_world.reader.find(TENANT, Find(offset=10_000, limit=5))
    assert not beyond.hits
    assert not beyond.more


def test_resources_are_found_by_id_name_and_parent(postgres_world: PostgresWorld) -> None:
    names = ("Ann", "Bob", None)
    for n in range(30):
        target = Resource("file", f"{n:03d}", name=names[n % 3])
        postgres_world.append(order(n, target=target, scopes=(Resource("folder", str(n % 2)),)))
    postgres_world.append(Draft(kind="item.put", op=Op.DOCUMENT, target=Resource("file", "007")))

    def ids(**asked: Any) -> list[str]:
        found = postgres_world.reader.resources(
            TENANT, ResourceQuery(type="file", limit=1_000, **asked)
        )
        return [each.id for each in found]

    every = [f"{n:03d}" for n in range(30)]
    assert ids() == every
    assert ids(low="005", high="008") == ["005", "006", "007", "008"]
    assert ids(low="005", high="008", low_inclusive=False, high_inclusive=False) == ["006", "007"]
    assert ids(name="Bob") == every[1::3]
    assert ids(parent=("folder", "1")) == every[1::2]
    assert ids(parent=("folder", "1"), name="Ann", low="010") == ["015", "021", "027"]
    assert ids(live=True) == ["007"]
    assert postgres_world.reader.resources(TENANT, ResourceQuery(type="nothing")) == []
    summary = postgres_world.reader.resource(TENANT, "file", "007")
    assert summary is not None
    assert (summary.document, summary.parents) == (30, (("folder", "1"),))


def test_history_lists_documents_newest_first(postgres_world: PostgresWorld) -> None:
    put = Draft(kind="item.put", op=Op.DOCUMENT, target=Resource("file", "1"))
    for n in range(5):
        postgres_world.append(put, order(n))
    history = postgres_world.reader.history
    assert history(TENANT, "file", "1", limit=3, offset=0) == [8, 6, 4]
    assert history(TENANT, "file", "1", limit=3, offset=3) == [2, 0]
    assert history(TENANT, "file", "2", limit=3, offset=0) == []


def test_unknown_tenant_has_empty_lists(postgres_world: PostgresWorld) -> None:
    assert postgres_world.reader.find("nobody", Find(total=True)).total == 0
    assert postgres_world.reader.count("nobody", Eq("kind", "x")) == 0
    assert postgres_world.reader.resource("nobody", "a", "b") is None
    assert postgres_world.reader.resources("nobody", ResourceQuery(type="a")) == []
    assert postgres_world.reader.history("nobody", "a", "b", limit=1, offset=0) == []


def test_names_at_their_limits_are_listed(postgres_world: PostgresWorld) -> None:
    """Keys of indexes have a largest size, which names of 1,024 bytes must not reach."""
    long = "ü" * 512
    resource = Resource(long, long, name=long)
    postgres_world.append(order(0, kind=long, actor=resource, target=resource, scopes=(resource,)))
    assert postgres_world.reader.count(TENANT, Eq("target", f"{long}:{long}")) == 1
    summary = postgres_world.reader.resource(TENANT, long, long)
    assert summary is not None
    assert summary.name == long


def test_migrating_lists_what_an_older_program_stored(postgres_database: str) -> None:
    """A program without lists leaves their columns as the migration made them."""
    plain = open_postgres(postgres_database)
    recorder = Recorder(plain, KEY)
    recorder.append(TENANT, *map(order, range(70)))
    recorder.append("other", order(1))
    recorder.close()
    plain.close()
    told: list[tuple[int, int]] = []
    rules = "tests.index.world:rules"
    assert fill_lists(postgres_database, lambda *done: told.append(done), rules=rules) == 71
    assert told[-1] == (71, 71)
    check_lists(postgres_database)
    assert fill_lists(postgres_database, lambda *done: told.append(done), rules=rules) == 0


def test_reader_waits_a_while_for_lists_that_are_being_made(
    postgres_world: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks takes part in the work, and is sent away when it takes too long."""
    postgres_world.append(*map(order, range(30)))
    postgres_world.store.with_head(TENANT, lambda held: postgres_world.lists._begin(held, TENANT))
    monkeypatch.setattr(reading, "WAIT_S", 0.0)
    refused = 0
    while refused < 20:
        try:
            assert postgres_world.reader.count(TENANT, Everything()) == 30
            break
        except FollowerBehind:
            refused += 1
    assert 3 <= refused < 20


def test_rebuilding_views_and_search_through_the_index(
    postgres_database: str, tmp_path: Path
) -> None:
    """What `tallystick rebuild` calls: the same answers afterwards, and progress meanwhile."""
    with closing(open_postgres(postgres_database)) as store:
        index = open_index(
            tmp_path,
            store,
            Settings(database=postgres_database),
            child=True,
            rules="tests.index.world:rules",
        )
        recorder = Recorder(store, KEY)
        recorder.append(TENANT, *map(order, range(40)))
        recorder.append("other", order(1))
        check_lists(postgres_database)
        told: list[tuple[int, int]] = []
        for name in ("views", "search"):
            index.rebuild(name, lambda *done: told.append(done))
            assert told[-1] == (41, 41)
        check_lists(postgres_database)
        assert index.reader.count(TENANT, Eq("kind", "order.created")) == 20
        assert index.reader.count(TENANT, Eq("echo.uuid", "none"), dialect="echo") == 0
        assert index.reader.explain(TENANT, Find(where=Eq("echo.uuid", "x"))).index == "search"
        with pytest.raises(NotFound):
            index.rebuild("nothing", lambda *done: None)
        recorder.close()
        index.close()
