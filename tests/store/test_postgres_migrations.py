"""How the tables in a PostgreSQL database come to be."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from psycopg import sql

from tallystick.errors import SchemaMismatch, StoreError, for_operator
from tallystick.store.postgres import migrate, partitions
from tallystick.store.postgres.connection import connect
from tallystick.store.postgres.store import open_postgres
from tests.store.transactions import KEY
from tests.support.recording import TENANT, Recorder, draft, order

pytestmark = pytest.mark.needs("postgres")


@pytest.fixture
def connection(postgres_database: str) -> Iterator[psycopg.Connection]:
    """Yield a connection to an empty database."""
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        yield connection


def catalogue(connection: psycopg.Connection) -> list[tuple[str, ...]]:
    """Return everything that defines tables, columns, indexes and partitions."""
    columns = """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
            a.attstorage::text, coalesce(pg_get_expr(d.adbin, d.adrelid), '')
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = current_schema()::regnamespace
            AND a.attnum > 0 AND NOT a.attisdropped"""
    tables = """
        SELECT relname, relkind::text, coalesce(reloptions::text, ''),
            coalesce(pg_get_expr(relpartbound, oid), ''), coalesce(pg_get_partkeydef(oid), ''), ''
        FROM pg_class WHERE relnamespace = current_schema()::regnamespace"""
    indexes = """
        SELECT indexname, tablename, indexdef, '', '', '' FROM pg_indexes
        WHERE schemaname = current_schema()"""
    rows = connection.execute(f"{columns} UNION ALL {tables} UNION ALL {indexes}").fetchall()
    return sorted(rows)


def test_empty_database_is_made_by_opening_it(
    postgres_database: str, connection: psycopg.Connection
) -> None:
    with closing(open_postgres(postgres_database)) as store:
        assert store.log_heads() == []
    assert migrate.pending(postgres_database) == []
    numbers = connection.execute("SELECT number FROM migrations ORDER BY number").fetchall()
    assert numbers == [(each.number,) for each in migrate.known()]


def test_dry_run_changes_nothing(postgres_database: str, connection: psycopg.Connection) -> None:
    before = catalogue(connection)
    assert migrate.pending(postgres_database) == migrate.known()
    assert catalogue(connection) == before == []


def test_migrations_are_numbered_without_gaps() -> None:
    assert [each.number for each in migrate.known()] == list(range(1, len(migrate.known()) + 1))
    assert all(each.floor <= each.number for each in migrate.known())


def test_migrating_twice_does_nothing(
    postgres_database: str, connection: psycopg.Connection
) -> None:
    assert migrate.migrate(postgres_database) == migrate.known()
    before = catalogue(connection)
    assert migrate.migrate(postgres_database) == []
    assert catalogue(connection) == before


def test_many_processes_may_migrate_at_once(postgres_database: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        applied = list(pool.map(migrate.migrate, [postgres_database] * 8))
    assert sorted(each for one in applied for each in one) == migrate.known()


def test_many_processes_may_open_an_empty_database_at_once(postgres_database: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(open_postgres, [postgres_database] * 8))
    for store in stores:
        assert store.log_heads() == []
        store.close()


def test_schema_built_both_ways_is_the_same(
    postgres_database: str, connection: psycopg.Connection
) -> None:
    """Migrated one by one by the program versions of their times, with data in between, or all at
    once today."""
    everything = migrate.known()
    for count in range(1, len(everything) + 1):
        assert migrate.migrate(postgres_database, upto=count) == everything[count - 1 : count]
    one_by_one = catalogue(connection)
    connection.execute("DROP SCHEMA public CASCADE")
    connection.execute("CREATE SCHEMA public")
    migrate.migrate(postgres_database)
    assert catalogue(connection) == one_by_one


OLD_ROWS = """
INSERT INTO logs VALUES ('t', 'o', 'k', 2, '', '', '', 1);
INSERT INTO log SELECT 't', n, 'entry', 'leaf' FROM generate_series(0, 1) AS n;
INSERT INTO log VALUES ('t', 5000000, 'entry', 'leaf');
INSERT INTO lists SELECT 't', n, 1, 1, 1, NULL, NULL, false, '{1}' FROM generate_series(0, 1) AS n;
INSERT INTO places VALUES ('t', 1, 1, 0, 1);
INSERT INTO sources VALUES ('t', 0, 1, 'type', 'id'), ('t', 9000000, 1, 'type', 'id');
INSERT INTO claims VALUES ('t', 'claim', 'digest', 0);
INSERT INTO heads VALUES ('t', 'key', 0, true);
INSERT INTO resources VALUES ('t', 1, 'id', 'name', NULL, '[]', 7);
"""


def rows_of(connection: psycopg.Connection, table: str) -> list[tuple[object, ...]]:
    """Return all rows of a table, in an order of their own."""
    text = sql.SQL("SELECT * FROM {} ORDER BY 1, 2").format(sql.Identifier(table))
    return connection.execute(text).fetchall()


def test_tables_with_rows_are_kept_and_grow_by_themselves(
    postgres_database: str, connection: psycopg.Connection
) -> None:
    """As the version before left them, with entries of two stretches, and the open end empty."""
    migrate.migrate(postgres_database, upto=5)
    connection.execute(OLD_ROWS)
    tables = ("logs", "log", "lists", "places", "sources", "claims", "heads", "resources")
    kept = [rows_of(connection, table) for table in tables]
    migrate.migrate(postgres_database)
    assert kept == [rows_of(connection, table) for table in tables]
    assert connection.execute("SELECT to_regclass('log_rest')").fetchone() == (None,)
    partitioned = connection.execute(
        "SELECT partrelid::regclass::text FROM pg_partitioned_table"
    ).fetchall()
    assert {name for (name,) in partitioned} >= set(tables) - {"logs"}
    with connect(postgres_database, name="test") as ours:
        before = partitions.end_of(ours)
        longer = 26 * partitions.STRETCH
        assert partitions.grow(ours, longer) == longer > before
    connection.execute("INSERT INTO log VALUES ('t', %s, 'entry', 'leaf')", (longer - 1,))


def test_open_end_with_rows_is_kept(postgres_database: str, connection: psycopg.Connection) -> None:
    migrate.migrate(postgres_database, upto=5)
    connection.execute("INSERT INTO log VALUES ('t', 200000000, 'entry', 'leaf')")
    migrate.migrate(postgres_database)
    assert connection.execute("SELECT idx FROM log").fetchall() == [(200_000_000,)]
    with connect(postgres_database, name="test") as ours:
        # The tables without entries there have no open end any more.
        assert partitions.grow(ours, 50 * partitions.STRETCH) == 50 * partitions.STRETCH


def test_failed_migration_leaves_nothing(
    postgres_database: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = migrate.known()
    bad = migrate.Migration(
        good[-1].number + 1, "bad", 1, "CREATE TABLE half (n int); SELECT 1 / 0;"
    )
    monkeypatch.setattr(migrate, "known", lambda: [*good, bad])
    with pytest.raises(StoreError) as raised:
        migrate.migrate(postgres_database)
    assert "division by zero" in for_operator(raised.value)
    assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)
    assert migrate.pending(postgres_database) == [bad]


def test_database_of_an_older_program_is_refused_with_a_hint(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.migrate(postgres_database)
    known = migrate.known()
    later = migrate.Migration(len(known) + 1, "later", 1, "SELECT 1")
    monkeypatch.setattr(migrate, "known", lambda: [*known, later])
    with pytest.raises(SchemaMismatch) as refused:
        open_postgres(postgres_database)
    assert "tallystick migrate" in (refused.value.hint or "")
    migrate.migrate(postgres_database)
    open_postgres(postgres_database).close()


@pytest.mark.parametrize(("floor_above", "refused"), [(0, False), (1, True)])
def test_newer_database_works_unless_it_says_otherwise(
    postgres_database: str,
    connection: psycopg.Connection,
    floor_above: int,
    refused: bool,
) -> None:
    """A database is migrated first and its programs are replaced one by one after it."""
    migrate.migrate(postgres_database)
    newest = len(migrate.known())
    connection.execute(
        "INSERT INTO migrations (number, name, floor) VALUES (%s, 'next', %s)",
        (newest + 1, newest + floor_above),
    )
    if refused:
        with pytest.raises(SchemaMismatch, match="newer program"):
            open_postgres(postgres_database)
        return
    with closing(open_postgres(postgres_database)) as store:
        recorder = Recorder(store, KEY)
        assert recorder.append(TENANT, draft())[0].index == 0
        recorder.close()


def test_foreign_database_is_refused(
    postgres_database: str, connection: psycopg.Connection
) -> None:
    """A database that lost its tables behind our back is not quietly filled with new ones."""
    migrate.migrate(postgres_database)
    connection.execute("DROP TABLE heads")
    with closing(open_postgres(postgres_database)) as store:
        recorder = Recorder(store, KEY)
        outcome = recorder.submit(TENANT, draft(target=order("1"))).outcomes()[0]
        recorder.close()
    assert isinstance(outcome, SchemaMismatch)
