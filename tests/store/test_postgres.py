"""What only the PostgreSQL store promises: tenants never wait, trouble passes by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import psycopg
import pytest

from tallystick.clock import ManualClock
from tallystick.deadline import Deadline
from tallystick.errors import StoreBusy, StoreError, StoreFailed, for_operator
from tallystick.events.entry import SECTIONS
from tallystick.store.base import Erasure, LogHead, TenantCommit
from tallystick.store.postgres.connection import Timeouts, connect
from tallystick.store.postgres.partitions import STRETCH, Partitions, end_of
from tallystick.store.postgres.store import PostgresStore, open_postgres
from tallystick.tlog.checkpoint import sign_checkpoint
from tallystick.tlog.frontier import Frontier
from tests.index.test_postgres_search import until
from tests.store.store_fixtures import check_lists, open_with_lists
from tests.store.test_erase import erase_draft, secret_draft
from tests.store.transactions import KEY, extend, extend_and_fail
from tests.support.check import check_log
from tests.support.recording import TENANT, Recorder, draft, origin_of

pytestmark = pytest.mark.needs("postgres")


@pytest.fixture
def store(postgres_tables: str) -> Iterator[PostgresStore]:
    """Yield an open store whose transactions may idle for as long as a busy machine needs."""
    store = open_with_lists(postgres_tables, Timeouts(idle_ms=60_000, lock_ms=70_000))
    yield store
    check_log(store, KEY)
    store.close()


@pytest.fixture
def recorder(store: PostgresStore) -> Iterator[Recorder]:
    recorder = Recorder(store, KEY)
    yield recorder
    recorder.close()


@pytest.fixture
def observer(postgres_tables: str) -> Iterator[psycopg.Connection]:
    """Yield a connection that looks on."""
    with psycopg.connect(postgres_tables, autocommit=True) as connection:
        yield connection


def test_transaction_holds_one_tenant(store: PostgresStore) -> None:
    with pytest.raises(StoreError, match="one tenant"):
        extend_and_fail(store, "one", "two")
    assert store.log_heads() == []


def test_tenant_that_is_held_refuses_in_time(store: PostgresStore, postgres_tables: str) -> None:
    with store.transaction() as writer:
        extend(writer, TENANT)
    hasty = open_with_lists(postgres_tables, Timeouts(idle_ms=60_000, lock_ms=200))
    with closing(hasty), store.transaction() as holder:
        holder.head(TENANT)
        with pytest.raises(StoreBusy) as refused, hasty.transaction() as writer:
            writer.head(TENANT)
    assert refused.value.retry_after_s > 0
    with store.transaction() as writer:
        extend(writer, TENANT)


def test_other_tenants_go_on_while_one_is_held(store: PostgresStore, recorder: Recorder) -> None:
    recorder.append("two", draft())
    with store.transaction() as holder:
        extend(holder, "one")
        for n in range(50):
            recorder.append("two", draft(n))
            recorder.append(f"new {n}", draft(n))
    assert store.log_head("two") is not None


def test_tenants_never_wait_for_each_other(
    store: PostgresStore, postgres_tables: str, observer: psycopg.Connection
) -> None:
    """Writers on two processes' worth of connections, each on tenants of its own; whatever waits
    for a lock meanwhile is seen in the database's own statistics, and nothing does. (A file that
    grows is locked for that instant, whoever writes to it: that is no wait for a tenant.)"""
    stop = threading.Event()
    waits: list[object] = []
    question = (
        "SELECT a.application_name, a.query, l.locktype, l.mode, l.relation::regclass::text,"
        " ARRAY(SELECT query FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids(a.pid)))"
        " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE NOT l.granted AND a.datname = current_database() AND l.locktype <> 'extend'"
    )

    def watch() -> None:
        while not stop.is_set():
            waits.extend(observer.execute(question).fetchall())

    watching = threading.Thread(target=watch)
    watching.start()
    with closing(open_with_lists(postgres_tables)) as other:
        recorders = [Recorder(each, KEY) for each in (store, other)]
        pending = [
            recorders[tenant % 2].submit(f"tenant {tenant}", *map(draft, range(count)))
            for _ in range(30)
            for tenant in range(8)
            for count in (1, 40)
        ]
        for each in pending:
            each.accepted()
        for recorder in recorders:
            recorder.close()
    stop.set()
    watching.join()
    assert waits == []
    check_lists(postgres_tables)


def test_small_and_large_batches_write_the_same(store: PostgresStore, recorder: Recorder) -> None:
    """Below sixteen rows they are inserted, from there on copied; both read back alike."""
    for count in (1, 15, 16, 17):
        with store.transaction() as writer:
            commit = extend(writer, TENANT, *(secret_draft(n) for n in range(count)))
        for row, sealed in zip(
            store.rows(TENANT, commit.old_size, commit.head.size), commit.rows, strict=True
        ):
            assert (row.entry, row.leaf, row.sections) == (
                sealed.entry,
                sealed.leaf,
                sealed.sections,
            )


@pytest.mark.parametrize("stretches", [1, 4])
def test_log_continues_over_the_edge_of_a_partition(
    store: PostgresStore, observer: psycopg.Connection, stretches: int
) -> None:
    """A log of four million entries is too long for a test, so one is said to be that long.

    Stretches that were not there when the tables were made are there when they are needed.
    """
    edge = stretches << 22
    signer = KEY.signer(origin_of(TENANT))
    frontier = Frontier(edge - 20, [bytes(32)] * (edge - 20).bit_count())
    note = sign_checkpoint(signer, signer.name, edge - 20, frontier.root())
    head = LogHead(
        TENANT, signer.name, signer.key_id, edge - 20, frontier.to_bytes(), frontier.root(), note, 1
    )
    with store.transaction() as writer:
        writer.append(TenantCommit(old_size=0, head=head, rows=(), prepared=()))
    for count in (1, 40):
        with store.transaction() as writer:
            assert writer.head(TENANT) is not None
            # Tiles would need the leaves that are not there.
            commit = extend(writer, TENANT, *map(draft, range(count)), tiles=False)
    assert commit.head.size == edge + 21
    assert [row.index for row in store.rows(TENANT, edge - 20, edge + 99)] == list(
        range(edge - 20, edge + 21)
    )
    assert store.rows_at(TENANT, [edge - 1, edge]).keys() == {edge - 1, edge}
    used = observer.execute("SELECT DISTINCT tableoid::regclass::text FROM log").fetchall()
    assert len(used) == 2
    with connect(observer.info.dsn, name="test") as connection:
        assert end_of(connection) >= edge + STRETCH
    observer.execute("TRUNCATE log, logs, lists, places, sources")


def test_many_processes_may_make_the_same_stretches(postgres_tables: str) -> None:
    each = [Partitions(postgres_tables, Timeouts()) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda made: made.require(3 * STRETCH), each))
    with connect(postgres_tables, name="test") as connection:
        assert end_of(connection) == 4 * STRETCH


def test_disk_that_is_full_fails_clearly_and_passes(
    recorder: Recorder, store: PostgresStore, observer: psycopg.Connection
) -> None:
    """The database itself raises what it raises when its disk is full."""
    recorder.append(TENANT, draft())
    observer.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    )
    observer.execute("CREATE TRIGGER full_disk BEFORE INSERT ON heads EXECUTE FUNCTION full_disk()")
    outcome = recorder.submit(TENANT, secret_draft(1)).outcomes()[0]
    assert isinstance(outcome, StoreFailed)
    assert "could not extend file" in for_operator(outcome)
    observer.execute("DROP FUNCTION full_disk CASCADE")
    assert recorder.append(TENANT, secret_draft(1))[0].index == 1


def test_commits_are_durable_though_the_server_says_otherwise(
    postgres_tables: str, observer: psycopg.Connection
) -> None:
    observer.execute("ALTER ROLE CURRENT_USER SET synchronous_commit = off")
    try:
        with closing(open_postgres(postgres_tables)) as store, store.transaction() as writer:
            extend(writer, TENANT)
            connection = writer._connection  # type: ignore[attr-defined]
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
    finally:
        observer.execute("ALTER ROLE CURRENT_USER RESET synchronous_commit")


def test_read_survives_lost_connections(
    store: PostgresStore, recorder: Recorder, observer: psycopg.Connection
) -> None:
    recorder.append(TENANT, draft())
    for _ in range(3):
        terminate_all(observer)
        assert len(store.rows(TENANT, 0, 9)) == 1


def test_write_survives_connections_lost_before_it(
    store: PostgresStore, recorder: Recorder, observer: psycopg.Connection
) -> None:
    for n in range(3):
        assert recorder.append(TENANT, draft(n))[0].index == n
        terminate_all(observer)


def test_connection_lost_before_the_commit_stores_nothing(
    store: PostgresStore, observer: psycopg.Connection
) -> None:
    with pytest.raises(StoreBusy):
        extend_and_lose(store, observer)
    assert store.log_head(TENANT) is None
    with store.transaction() as writer:
        extend(writer, TENANT)


def extend_and_lose(store: PostgresStore, observer: psycopg.Connection) -> None:
    """Append, and lose the connection when only the commit is left to do."""
    with store.transaction() as writer:
        extend(writer, TENANT)
        terminate_all(observer)


def terminate_all(observer: psycopg.Connection) -> None:
    """End every connection of the store, and wait until they are gone."""
    observer.execute(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_erasure_is_vacuumed_once_nobody_reads_the_old_state(
    store: PostgresStore, postgres_tables: str, recorder: Recorder
) -> None:
    recorder.append(TENANT, secret_draft(1))
    erasure = Erasure(0, SECTIONS)
    with psycopg.connect(postgres_tables) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT count(*) FROM log")
        recorder.append(TENANT, erase_draft(erasure), erasures=[erasure])
        # That of the log, and three in which lists keep names and ids.
        assert store.erasure_horizon().unvacuumed == 4
    # Another process finds the note and does it, as after a crash of this one.
    with closing(open_postgres(postgres_tables)) as other:
        assert other.wait_until_vacuumed(30)
        assert other.erasure_horizon().unvacuumed == 0
        assert other.erasure_horizon().unscrubbed == 4
        other.scrub()
        assert other.erasure_horizon().unscrubbed == 0


def test_horizon_names_where_erased_bytes_may_stand(store: PostgresStore) -> None:
    horizon = store.erasure_horizon()
    assert (horizon.unvacuumed, horizon.unscrubbed) == (0, 0)
    assert horizon.standbys == horizon.slots == []
    assert not horizon.is_archiving
    assert horizon.wal_size_max


def test_statement_that_nobody_waits_for_any_longer_is_cancelled(
    store: PostgresStore, observer: psycopg.Connection
) -> None:
    question, ended = Deadline(60.0), threading.Event()

    def ask() -> None:
        with suppress(StoreBusy):
            question.run(lambda: store.read(lambda c: c.execute("SELECT pg_sleep(60)")))
        ended.set()

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: sleeping(observer) == 1)
    question.abandon()
    assert ended.wait(30)
    asking.join()
    until(lambda: sleeping(observer) == 0)
    assert store.log_heads() == []


def sleeping(observer: psycopg.Connection) -> int:
    """Return how many statements sleep in the database."""
    [(count,)] = observer.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state = 'active' AND query = 'SELECT pg_sleep(60)'"
    ).fetchall()
    return int(count)


def test_clock_that_is_ahead_of_the_database_writes_nothing(
    store: PostgresStore, recorder: Recorder
) -> None:
    """A day ahead for a second would freeze the time of everybody's events for a day."""
    theirs_ms = store.now_ms()
    assert theirs_ms is not None
    ahead = Recorder(store, KEY, ManualClock(theirs_ms + 86_400_000))
    with pytest.raises(StoreFailed, match="ahead of the database") as refused:
        ahead.append(TENANT, draft())
    assert "clock" in (refused.value.hint or "")
    ahead.close()
    late = Recorder(store, KEY, ManualClock(theirs_ms - 86_400_000))
    assert late.append(TENANT, draft())[0].recorded_ms == theirs_ms - 86_400_000
    late.close()


def test_tables_are_analysed_once_they_were_loaded(
    store: PostgresStore, recorder: Recorder, observer: psycopg.Connection
) -> None:
    recorder.fill(TENANT, 300)
    store.loaded()
    known: dict[str, float] = dict(
        observer.execute(
            "SELECT relname, reltuples FROM pg_class WHERE relname IN ('log', 'lists', 'totals')"
        ).fetchall()
    )
    assert known["log"] == known["lists"] == 300
    assert known["totals"] > 0
