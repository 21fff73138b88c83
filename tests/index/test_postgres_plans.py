"""Lists are read by index: shown from every statement and from what the database does with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tallystick.events.event import Draft, Resource
from tallystick.index.postgres import pages, resource_pages
from tallystick.index.postgres.counts import WORTH
from tallystick.index.postgres.sql import STATEMENTS
from tallystick.query.expr import NEWEST_FIRST, And, Eq, Everything, Expr, In, Not, Or, Range, Sort
from tallystick.query.question import Find, ResourceQuery
from tallystick.store.postgres.connection import Connection
from tallystick.store.postgres.statements import STATEMENTS as STORE_STATEMENTS
from tallystick.store.postgres.store import open_postgres
from tests.index.postgres_world import PostgresWorld, empty
from tests.index.world import TENANT
from tests.store.test_postgres_sharding import BOUND
from tests.support.postgres import fresh_database

pytestmark = pytest.mark.needs("postgres")

ALL_TENANTS = {"behind"}
COPIES = {"copy_lists", "copy_places"}

EVENTS = 24_000
LOADED_EVENTS = 6_000
STEP_MS = 1_000
BEGIN_MS = 1_700_000_000_000
BY_INDEX = (Sort("index", descending=True),)


def order(n: int) -> Draft:
    """Return an event about an order, one of thousands."""
    return Draft(
        kind=f"order.k{n % 8}",
        occurred_ms=BEGIN_MS + n * STEP_MS,
        actor=Resource("user", str(n % 100)),
        target=Resource("order", str(n % 1_000), name=f"Order {n % 1_000}"),
        scopes=(Resource("space", str(n % 40)),),
        trails=(f"trail {n % 60}",),
    )


@pytest.fixture(scope="module")
def large_world(postgres_url: str) -> Iterator[PostgresWorld]:
    """Yield a log of many events, as the database knows it once its statistics are up."""
    with fresh_database(postgres_url) as url:
        open_postgres(url).close()
        with PostgresWorld(empty(url), counts_worth=WORTH) as world:
            for begin in range(0, EVENTS, 2_000):
                world.append(*map(order, range(begin, begin + 2_000)))
            world.store.read(lambda connection: connection.execute("VACUUM (ANALYZE)"))
            yield world


@pytest.fixture(scope="module", params=["no statistics", "old statistics"])
def loaded_world(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[PostgresWorld]:
    """Yield a log that was loaded since the database last looked at its tables, if it ever did."""
    with fresh_database(postgres_url) as url:
        open_postgres(url).close()
        with psycopg.connect(url, autocommit=True) as connection:
            for (table,) in connection.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace = current_schema()::regnamespace"
            ).fetchall():
                name = sql.Identifier(table)
                never = sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)").format(name)
                connection.execute(never)
        with PostgresWorld(empty(url), counts_worth=WORTH) as world:
            world.append(*map(order, range(20)))
            if request.param == "old statistics":
                world.store.read(lambda connection: connection.execute("ANALYZE"))
            for begin in range(20, LOADED_EVENTS, 2_000):
                world.append(*map(order, range(begin, min(begin + 2_000, LOADED_EVENTS))))
            yield world


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every step of a plan."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def rows_read(plan: dict[str, Any]) -> int:
    """Return how many rows the steps that read tables looked at."""
    return sum(
        int((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
        for node in nodes(plan)
        if node["Node Type"].endswith("Scan") and "Relation Name" in node
    )


class Watch:
    """Has every statement that is put together explained, as it is run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plans: list[dict[str, Any]] = []
        self.texts: list[str] = []
        plain = pages.__dict__["fetch_composed"]

        def explained(connection: Any, statement: Any, values: Any) -> Any:
            text = statement.as_string(connection)
            self.texts.append(text)
            with connection.cursor() as cursor:
                found = cursor.execute(
                    f"EXPLAIN (ANALYZE, FORMAT JSON) {text}".encode(), values, prepare=False
                ).fetchone()
            told = found[0] if isinstance(found[0], list) else json.loads(found[0])
            self.plans.append(told[0]["Plan"])
            return plain(connection, statement, values)

        monkeypatch.setattr(pages, "fetch_composed", explained)
        monkeypatch.setattr(resource_pages, "fetch_composed", explained)

    def check(self, rows: int) -> None:
        """Check that indexes were used, by tenant, and that few enough rows were read."""
        assert self.plans
        for plan in self.plans:
            scans = [node for node in nodes(plan) if node["Node Type"].endswith("Scan")]
            assert not [node for node in scans if node["Node Type"] == "Seq Scan"]
            conditions = [node["Index Cond"] for node in scans if "Index Cond" in node]
            assert conditions
            assert all("tenant = " in condition for condition in conditions)
        assert sum(map(rows_read, self.plans)) <= rows
        for text in self.texts:
            tables = re.findall(r"(?:FROM|JOIN) (?:\w+) AS (\w)\b", text)
            bound = text.replace('"', "")
            assert tables
            assert all(
                re.search(rf"\b{table}\.tenant = (?:%b|\w\.tenant)", bound) for table in tables
            )


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Return what watches statements."""
    return Watch(monkeypatch)


def test_a_question_is_planned_for_its_values_however_often_it_is_asked(
    large_world: PostgresWorld,
) -> None:
    """The plan that a prepared statement gets in the end suits any values, and so none."""
    for n in range(12):
        where = And((Eq("actor", f"user:{n}"), Eq("scope", f"space:{n}")))
        large_world.reader.find(TENANT, Find(where=where, total=True))
    prepared = large_world.store.read(
        lambda connection: connection.execute(
            "SELECT statement FROM pg_prepared_statements"
        ).fetchall()
    )
    assert prepared
    assert not [text for (text,) in prepared if re.search(r"FROM \(*(SELECT .*)?lists AS", text)]


HOUR = Range("occurred_ms", BEGIN_MS + 4_000_000, BEGIN_MS + 20_000_000)

PAGES: tuple[tuple[Expr, int], ...] = (
    (Everything(), 120),
    (Eq("kind", "order.k3"), 120),
    (Eq("target", "order:77"), 120),
    (Eq("target.id", "77"), 120),
    (Eq("actor", "user:7"), 120),
    (Eq("scope", "space:7"), 120),
    (In("scope", ("space:7", "space:8")), 240),
    (Eq("trail", "trail 7"), 120),
    (And((Eq("kind", "order.k3"), HOUR)), 120),
    (And((Eq("target", "order:77"), Eq("kind", "order.k5"))), 120),
    (And((Eq("actor", "user:7"), Not(Eq("target", "order:107")))), 120),
    # A row of places, and the entry itself.
    (And((Eq("scope", "space:7"), Not(Eq("target", "order:7")))), 240),
    (Or((Eq("scope", "space:7"), Eq("actor", "user:7"))), 240),
)


@pytest.mark.parametrize(("where", "rows"), PAGES, ids=str)
def test_page_reads_as_many_rows_as_it_is_long(
    large_world: PostgresWorld, watch: Watch, where: Expr, rows: int
) -> None:
    found = large_world.reader.find(TENANT, Find(where=where, limit=50))
    assert found.hits
    watch.check(rows)
    page = [hit.index for hit in found.hits]
    assert page == sorted(page, reverse=True)


@pytest.mark.parametrize(("where", "rows"), PAGES, ids=str)
def test_page_reads_no_more_rows_where_nothing_is_known_of_the_tables(
    loaded_world: PostgresWorld, watch: Watch, where: Expr, rows: int
) -> None:
    """A bulk load is followed by questions at once, long before anybody analyses the tables."""
    found = loaded_world.reader.find(TENANT, Find(where=where, limit=50), entry_bytes=1 << 20)
    assert found.hits
    # The rows of the page itself are read from the log.
    watch.check(rows + len(found.hits))


def test_entries_here_and_there_are_looked_up_where_nothing_is_known_of_the_log(
    loaded_world: PostgresWorld,
) -> None:
    statement = STORE_STATEMENTS["rows_within"].decode().replace(")b", ")s")
    wanted = list(range(0, LOADED_EVENTS, 100))
    values = {"tenant": TENANT.encode(), "idx": wanted, "max_bytes": 1 << 20}

    def explained(connection: Connection) -> Any:
        text = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".encode()
        return connection.execute(text, values, prepare=False).fetchall()[0][0][0]["Plan"]

    assert rows_read(loaded_world.store.read(explained)) == len(wanted)


@pytest.mark.parametrize("sort", [NEWEST_FIRST, BY_INDEX], ids=["by time", "by index"])
def test_page_ten_thousand_begins_where_totals_say(
    large_world: PostgresWorld, watch: Watch, sort: tuple[Sort, ...]
) -> None:
    """Of two events each: what is left to skip is less than an hour, or a stretch, has."""
    found = large_world.reader.find(TENANT, Find(sort=sort, limit=2, offset=20_000))
    assert [hit.index for hit in found.hits] == [EVENTS - 20_001, EVENTS - 20_002]
    watch.check(4_100)


@pytest.mark.parametrize(
    ("where", "expected", "rows"),
    [
        (Everything(), EVENTS, 0),
        (Eq("kind", "order.k3"), EVENTS // 8, 0),
        (In("kind", ("order.k3", "order.k4")), EVENTS // 4, 0),
        (And((Eq("kind", "order.k3"), HOUR)), 16_000 // 8, 900),
        (Eq("target", "order:77"), EVENTS // 1_000, 24),
        (Eq("scope", "space:7"), EVENTS // 40, 600),
    ],
    ids=str,
)
def test_totals_walk_over_little_or_nothing(
    large_world: PostgresWorld, watch: Watch, where: Expr, expected: int, rows: int
) -> None:
    assert large_world.reader.count(TENANT, where) == expected
    if rows:
        watch.check(rows)
    else:
        assert not watch.plans


def test_resources_are_found_by_index(large_world: PostgresWorld, watch: Watch) -> None:
    asked = ResourceQuery(type="order", name="Order 77", limit=5)
    assert [found.id for found in large_world.reader.resources(TENANT, asked)] == ["77"]
    asked = ResourceQuery(type="order", parent=("space", "7"), low="2", limit=5)
    assert len(large_world.reader.resources(TENANT, asked)) == 5
    watch.check(50)


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - ALL_TENANTS - COPIES))
def test_statement_is_bound_to_one_tenant(name: str) -> None:
    text = STATEMENTS[name].decode()
    assert BOUND.search(text)
    reads = re.findall(
        r"FROM (?:logs|lists|places|totals|kinds|resources|children|sources)\b", text
    )
    assert len(re.findall(r"tenant = %\(tenant\)b", text)) >= len(reads)


def test_list_of_statements_about_all_tenants_is_short_and_named() -> None:
    text = resources.files("tallystick.index.postgres").joinpath("queries.sql").read_text("utf-8")
    assert set(re.findall(r"-- name: (\w+)\n-- All tenants: ", text)) == ALL_TENANTS
    assert not STORE_STATEMENTS.keys() & STATEMENTS.keys()


@pytest.mark.parametrize("name", sorted(COPIES))
def test_copy_names_the_tenant_of_each_row(name: str) -> None:
    assert re.match(r"COPY \w+ \(tenant, ", STATEMENTS[name].decode())
