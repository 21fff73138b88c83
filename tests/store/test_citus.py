"""What is done on Citus, with a stand-in for its catalogue: no Citus can be run here.

The stand-in is a view and two functions with the names that Citus gives them; shards and nodes are
not there. What only they can show is written down in docs/cluster.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from importlib import resources

import psycopg
import pytest

from tallystick.errors import SchemaMismatch
from tallystick.store.postgres import citus, migrate
from tallystick.store.postgres.connection import connect
from tallystick.store.postgres.store import open_postgres
from tests.store.transactions import KEY
from tests.support.check import check_log
from tests.support.recording import TENANT, Recorder, draft

pytestmark = pytest.mark.needs("postgres")

STAND_IN = """
CREATE TABLE stand_in (name text PRIMARY KEY, key text, colocation int);
CREATE VIEW citus_tables AS SELECT name::regclass AS table_name, 'distributed' AS citus_table_type,
    key AS distribution_column, colocation AS colocation_id FROM stand_in;
CREATE TABLE nodes (name text, port int, away boolean, setting text, value text);
CREATE FUNCTION create_distributed_table(regclass, text, colocate_with text DEFAULT NULL)
    RETURNS void LANGUAGE sql AS $$ INSERT INTO stand_in VALUES ($1::text, $2, 1) $$;
CREATE FUNCTION run_command_on_workers(command text)
    RETURNS TABLE (nodename text, nodeport int, success boolean, result text) LANGUAGE sql AS $$
    SELECT name, port, NOT away, CASE WHEN command = 'SHOW ' || setting THEN value ELSE '5s' END
    FROM nodes $$;
INSERT INTO nodes VALUES ('worker-1', 5432, false, '', ''), ('worker-2', 5432, false, '', '');
"""


@pytest.fixture
def engine(postgres_tables: str) -> Iterator[psycopg.Connection]:
    """Yield a connection to a database that looks like a Citus on which nothing is distributed."""
    with psycopg.connect(postgres_tables, autocommit=True) as connection:
        connection.execute(STAND_IN)
        yield connection


@pytest.fixture
def distributed(engine: psycopg.Connection) -> psycopg.Connection:
    """Return one on which every table is, as citus.sql leaves it."""
    script = resources.files("tallystick.store.postgres").joinpath("citus.sql").read_text("utf-8")
    # Roles belong to the whole server, which other tests use.
    engine.execute(
        "\n".join(line for line in script.splitlines() if "ALTER ROLE" not in line).encode()
    )
    return engine


def test_whole_schema_is_served(distributed: psycopg.Connection, postgres_tables: str) -> None:
    with closing(open_postgres(postgres_tables)) as store:
        recorder = Recorder(store, KEY)
        recorder.append(TENANT, *map(draft, range(300)))
        recorder.close()
        check_log(store, KEY)
    assert migrate.migrate(postgres_tables) == []


def test_schema_of_which_nothing_is_distributed_is_served(
    engine: psycopg.Connection, postgres_tables: str
) -> None:
    open_postgres(postgres_tables).close()


@pytest.mark.parametrize("table", ["log", "stream_states"])
def test_half_distributed_schema_is_refused_by_name(
    distributed: psycopg.Connection, postgres_tables: str, table: str
) -> None:
    distributed.execute("DELETE FROM stand_in WHERE name = %s", (table,))
    with pytest.raises(SchemaMismatch, match=f"half distributed: {table} ") as refused:
        open_postgres(postgres_tables)
    assert "citus.sql" in (refused.value.hint or "")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE stand_in SET key = 'idx' WHERE name = 'claims'",
        "UPDATE stand_in SET colocation = 2 WHERE name = 'claims'",
    ],
)
def test_table_that_is_distributed_otherwise_is_refused_by_name(
    distributed: psycopg.Connection, postgres_tables: str, change: str
) -> None:
    distributed.execute(change.encode())
    with pytest.raises(SchemaMismatch, match="claims"):
        open_postgres(postgres_tables)


def test_migrate_distributes_what_a_migration_made(
    distributed: psycopg.Connection, postgres_tables: str
) -> None:
    distributed.execute("DELETE FROM stand_in WHERE name = 'stream_letters'")
    migrate.migrate(postgres_tables)
    open_postgres(postgres_tables).close()


def test_migrate_refuses_tables_on_two_levels_by_name(
    distributed: psycopg.Connection, postgres_tables: str
) -> None:
    distributed.execute(
        "CREATE TABLE log_9 PARTITION OF log FOR VALUES FROM (90000000) TO (99000000)"
        " PARTITION BY HASH (tenant)"
    )
    with pytest.raises(SchemaMismatch, match="two levels: log_9"):
        migrate.migrate(postgres_tables)


@pytest.mark.parametrize(
    ("setting", "value"), [("synchronous_commit", "off"), ("lock_timeout", "0")]
)
def test_node_on_which_a_setting_does_not_hold_is_refused_by_name(
    distributed: psycopg.Connection, postgres_tables: str, setting: str, value: str
) -> None:
    distributed.execute(
        "UPDATE nodes SET setting = %s, value = %s WHERE name = 'worker-2'", (setting, value)
    )
    with pytest.raises(SchemaMismatch, match=f"{setting} is {value} .* on worker-2:5432"):
        open_postgres(postgres_tables)


def test_node_that_is_away_is_named(distributed: psycopg.Connection, postgres_tables: str) -> None:
    with closing(open_postgres(postgres_tables)) as store:
        assert store.nodes_away() == []
        distributed.execute("UPDATE nodes SET away = true WHERE name = 'worker-1'")
        assert store.nodes_away() == ["worker-1:5432"]


def test_settings_are_made_in_each_transaction(
    distributed: psycopg.Connection, postgres_tables: str
) -> None:
    """Those of the session never come to the nodes; SET LOCAL does, where it is said to."""
    with connect(postgres_tables, name="test") as connection:
        assert connection.sharded
        said = [statement.decode() for statement in connection.in_transaction]
    assert said[0] == """SET LOCAL "citus"."propagate_set_commands" TO 'local'"""
    for setting in ("lock_timeout", "idle_in_transaction_session_timeout", "synchronous_commit"):
        assert any(f'SET LOCAL "{setting}" TO' in each for each in said)


def test_list_of_tables_is_that_of_the_script() -> None:
    assert citus.TABLES[0] == "logs"
    assert len(citus.TABLES) == len(set(citus.TABLES)) > 20
