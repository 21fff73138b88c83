"""A database whose log was set back under the servers that follow it, as a failover does."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from tallystick.followers.cursors import check_cursors, mark_of
from tallystick.followers.damage import Cursor, LogSetBack
from tallystick.query.expr import Eq
from tallystick.query.question import Find
from tallystick.store.postgres.store import open_postgres
from tests.followers.test_processes import TENANT, order
from tests.index.test_postgres_search import Server, servers
from tests.store.transactions import KEY
from tests.support.recording import Recorder

pytestmark = pytest.mark.needs("postgres")

COMMITTED_S = 5.0


@pytest.mark.parametrize("regrown", [3, 8, 20])
def test_a_search_forgets_entries_that_a_failover_lost(
    postgres_database: str, tmp_path: Path, regrown: int
) -> None:
    """The log goes on from a copy of an hour ago: shorter than it was, as long, and longer."""
    copy = f"{psycopg.conninfo.conninfo_to_dict(postgres_database)['dbname']}_copy"
    with servers(tmp_path, postgres_database, 1) as [node]:
        node.write(20)
        assert node.found("brown") == 20
    _clone(postgres_database, copy)
    try:
        with servers(tmp_path, postgres_database, 1) as [node]:
            node.write(8)
            assert node.found("brown") == 28
            # What was answered from memory is committed a while later.
            time.sleep(COMMITTED_S)
        _replace(postgres_database, copy)
        store = open_postgres(postgres_database)
        recorder = Recorder(store, KEY)
        recorder.append(TENANT, *(order(1_000 + number) for number in range(regrown)))
        recorder.close()
        store.close()
        with servers(tmp_path, postgres_database, 1) as [node]:
            assert node.found("brown") == 20 + regrown
            assert node.found("w1000") == 1
            assert node.index.health()["search"].set_back == 1
            assert node.index.health()["search"].remade == 1
    finally:
        _drop(postgres_database, copy)


@pytest.mark.parametrize("regrown", [3, 8, 20])
def test_the_lists_of_a_running_server_are_those_of_the_log_after_a_failover(
    postgres_database: str, tmp_path: Path, regrown: int
) -> None:
    """How far lists are stands in the row of the head, so that both are set back together.

    What a server remembers of them counts only while the head has the root that it was learnt at.
    """
    copy = f"{psycopg.conninfo.conninfo_to_dict(postgres_database)['dbname']}_copy"
    with servers(tmp_path / "first", postgres_database, 1) as [node]:
        node.write(20)
        assert listed(node) == [(0, 20), (7, 1), (27, 0)]
    _clone(postgres_database, copy)
    try:
        with servers(tmp_path / "second", postgres_database, 1) as [node]:
            node.write(28)
            assert listed(node) == [(0, 48), (7, 2), (27, 1)]
            _replace(postgres_database, copy)
            with servers(tmp_path / "third", postgres_database, 1) as [other]:
                other.recorder.append(TENANT, *map(order, range(27, 27 + regrown)))
                expected = [(0, 20 + regrown), (7, 1), (27, 1)]
                assert listed(other) == expected
                assert listed(node) == expected
                # Both write on: what either remembers is of the log as it is.
                node.recorder.close()
                node.recorder = Recorder(node.store, KEY)
                node.write(1)
                other.recorder.close()
                other.recorder = Recorder(other.store, KEY)
                other.write(8)
                expected = [(0, 29 + regrown), (7, 2), (27, 1)]
                assert listed(node) == listed(other) == expected
    finally:
        _drop(postgres_database, copy)


def listed(node: Server) -> list[tuple[int, int]]:
    """Return how many events the lists have in all, and of two orders, by rows and by counts."""
    found = [(0, node.total())]
    for number in (7, 27):
        where = Eq("target", f"order:{number}")
        page = node.index.reader.find(TENANT, Find(where=where, limit=100, total=True))
        summary = node.index.reader.resource(TENANT, "order", str(number))
        count = 0 if summary is None else summary.count
        assert len(page.hits) == page.total == count
        found.append((number, count))
    return found


def test_a_cursor_of_another_history_is_refused(postgres_database: str) -> None:
    store = open_postgres(postgres_database)
    recorder = Recorder(store, KEY)
    recorder.append(TENANT, *map(order, range(5)))
    recorder.close()
    head = store.log_head(TENANT)
    assert head is not None
    mark = mark_of(head.origin, store.leaves(TENANT, 2, 3)[0])
    check_cursors(store, [(TENANT, Cursor(3, mark)), ("nobody", Cursor(0, b""))])
    for wrong in (Cursor(4, mark), Cursor(9, mark), Cursor(3, bytes(32))):
        with pytest.raises(LogSetBack):
            check_cursors(store, [(TENANT, wrong)])
    store.close()


def _server(url: str) -> psycopg.Connection:
    return psycopg.connect(psycopg.conninfo.make_conninfo(url, dbname="postgres"), autocommit=True)


def _name(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


def _clone(url: str, copy: str) -> None:
    with _server(url) as connection:
        connection.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{_name(url)}"')


def _replace(url: str, copy: str) -> None:
    """Put the copy in the place of the database."""
    with _server(url) as connection:
        connection.execute(f'DROP DATABASE "{_name(url)}" WITH (FORCE)')
        connection.execute(f'ALTER DATABASE "{copy}" RENAME TO "{_name(url)}"')


def _drop(url: str, copy: str) -> None:
    with _server(url) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)')
