"""Ready to be sharded by tenant: shown from the database's own catalogue and from every statement.

No Citus can be run here; what it needs of a schema can be checked all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import psycopg
import pytest

from tallystick.store.postgres.statements import STATEMENTS

pytestmark = pytest.mark.needs("postgres")

NOT_OF_TENANTS = {"migrations"}
"""Tables that hold nothing of any tenant; on Citus they stay on the coordinator."""

ALL_TENANTS = {
    "now",
    "log_heads",
    "all_identities",
    "scan_identity",
    "erased_relations",
    "erasure_horizon",
    "evict_stuck",
}
"""Statements that ask about all tenants: start, fsck, copying, cleaning up, and a stuck lock."""

BOUND = re.compile(
    r"WHERE (?:\w+\.)?tenant = %\(tenant\)b(?= |$|\n)"
    r"|INSERT INTO \w+\s(?:VALUES \(|SELECT )%\(tenant\)b,"
)


@pytest.fixture
def connection(postgres_tables: str) -> Iterator[psycopg.Connection]:
    """Yield a connection to a database with all tables."""
    with psycopg.connect(postgres_tables, autocommit=True) as connection:
        yield connection


def tables(connection: psycopg.Connection) -> set[str]:
    """Return all tables that are no partition of another."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace = current_schema()::regnamespace"
    )
    return {name for (name,) in rows}


def test_tenant_is_the_first_column_of_every_table_and_index(
    connection: psycopg.Connection,
) -> None:
    first = connection.execute(
        "SELECT c.relname, a.attname, a.attnotnull FROM pg_class c JOIN pg_attribute a"
        " ON a.attrelid = c.oid AND a.attnum = 1"
        " WHERE relkind IN ('r', 'p', 'i', 'I') AND relnamespace = current_schema()::regnamespace"
    ).fetchall()
    assert len(first) > 10
    assert [
        row for row in first if row[1] != "tenant" and row[0].split("_")[0] != "migrations"
    ] == []


def test_every_unique_index_contains_the_tenant(connection: psycopg.Connection) -> None:
    indexes = connection.execute(
        "SELECT t.relname, i.relname, ARRAY(SELECT attname::text FROM pg_attribute"
        " WHERE attrelid = i.oid) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
        " JOIN pg_class t ON t.oid = x.indrelid"
        " WHERE x.indisunique AND t.relnamespace = current_schema()::regnamespace"
    ).fetchall()
    without = {table for table, _, columns in indexes if "tenant" not in columns}
    assert without == NOT_OF_TENANTS


def test_no_constraint_crosses_tenants(connection: psycopg.Connection) -> None:
    """There are no foreign keys, exclusions, triggers or sequences at all."""
    for question in (
        "SELECT conname FROM pg_constraint WHERE contype IN ('f', 'x', 't')",
        "SELECT tgname FROM pg_trigger",
        "SELECT relname FROM pg_class WHERE relkind = 'S'"
        " AND relnamespace = current_schema()::regnamespace",
    ):
        assert connection.execute(question).fetchall() == []


def test_every_table_is_distributed_by_tenant(connection: psycopg.Connection) -> None:
    script = resources.files("tallystick.store.postgres").joinpath("citus.sql").read_text("utf-8")
    calls = re.findall(r"create_distributed_table\('(\w+)', '(\w+)'", script)
    assert {column for _, column in calls} == {"tenant"}
    assert {table for table, _ in calls} == tables(connection) - NOT_OF_TENANTS


def test_tables_are_partitioned_on_one_level(connection: psycopg.Connection) -> None:
    twice = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'p' AND relispartition"
    )
    assert twice.fetchall() == []


def test_everything_that_grows_with_a_log_is_partitioned(connection: psycopg.Connection) -> None:
    rows = connection.execute("SELECT partrelid::regclass::text FROM pg_partitioned_table")
    growing = {"log", "lists", "places", "sources", "claims", "heads", "resources"}
    assert {name for (name,) in rows.fetchall()} == growing


def test_no_stretch_has_an_open_end(connection: psycopg.Connection) -> None:
    """What lies beyond the last one would all fall into it; stretches are made ahead instead."""
    bounds = connection.execute(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relispartition AND relkind = 'r'"
    ).fetchall()
    assert bounds
    assert not [bound for (bound,) in bounds if "MAXVALUE" in bound or "DEFAULT" in bound]


SCRIPTS = sorted(
    path.name
    for path in resources.files("tallystick.store.postgres").iterdir()
    if path.name.endswith(".sql") and path.name != "citus.sql"
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_nothing_but_columns_and_constants_is_returned(script: str) -> None:
    """What is computed where the row is could differ between nodes, and is refused there."""
    text = resources.files("tallystick.store.postgres").joinpath(script).read_text("utf-8")
    returned = re.findall(r"RETURNING ([^;]*);", text)
    assert all(re.fullmatch(r"true|(\w+)(, \w+)*", each) for each in returned), returned
    assert "tableoid" not in text


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - ALL_TENANTS - {"copy_rows"}))
def test_statement_is_bound_to_one_tenant(name: str) -> None:
    assert BOUND.search(STATEMENTS[name].decode()), STATEMENTS[name].decode()


def test_list_of_statements_about_all_tenants_is_short_and_named() -> None:
    commented = resources.files("tallystick.store.postgres").joinpath("queries.sql")
    named = re.findall(r"-- name: (\w+)\n-- All tenants: ", commented.read_text("utf-8"))
    assert set(named) == ALL_TENANTS
    assert all(not BOUND.search(STATEMENTS[name].decode()) for name in named)


def test_copy_names_the_tenant_of_each_row() -> None:
    assert STATEMENTS["copy_rows"].startswith(b"COPY log (tenant, ")


VALUES: dict[str, Any] = {
    "tenant": b"t", "idx": 5, "start": 0, "stop": 9, "level": 0, "number": 0, "limit": 5,
    "after": b"", "kind": b"user", "id": b"1", "owner": b"t", "namespace": b"login",
    "text": b"x", "keys": [b"k"], "claims": [b"c"], "relation": b"log", "xid": "5",
    "doc": b"[]", "replaces": b"{}",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        *(
            "lock_head",
            "log_head",
            "rows",
            "rows_at",
            "rows_within",
            "entries",
            "leaves",
            "tile",
            "tile_roots",
        ),
        *("resource_heads", "claims", "identity", "identities", "find_lookup", "lookups_of"),
        *("scan_heads", "scan_claims", "delete_lookups", "delete_identity", "replace_identity"),
    ],
)
def test_statement_goes_by_an_index_on_the_tenant(
    connection: psycopg.Connection, name: str
) -> None:
    connection.execute("SET enable_seqscan = off")
    text = STATEMENTS[name].decode().replace(")b", ")s")
    values = VALUES | ({"idx": [5], "max_bytes": 1} if name in ("rows_at", "rows_within") else {})
    with psycopg.ClientCursor(connection) as cursor:
        plan = cursor.execute(f"EXPLAIN {text}".encode(), values).fetchall()
    conditions = [line for (line,) in plan if "Cond: " in line]
    assert conditions
    assert all("(tenant = " in line for line in conditions)
    assert not any("Seq Scan" in line for (line,) in plan)


def test_stretch_of_a_log_touches_one_partition(connection: psycopg.Connection) -> None:
    """The whole tree has 33 partitions; a reader of one tenant's first entries opens one."""
    text = STATEMENTS["rows"].decode().replace(")b", ")s")
    with psycopg.ClientCursor(connection) as cursor:
        plan = cursor.execute(f"EXPLAIN {text}".encode(), VALUES).fetchall()
    scanned = {found[1] for (line,) in plan if (found := re.search(r" on (log\w*)", line))}
    assert len(scanned) == 1
