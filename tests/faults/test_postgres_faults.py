"""Single faults on PostgreSQL, each at its worst moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from tallystick import limits
from tallystick.clock import ManualClock
from tallystick.errors import StoreBusy
from tallystick.log.keys import LogKey, open_log_key
from tallystick.store.base import Store
from tallystick.store.postgres.connection import Timeouts
from tallystick.store.postgres.store import open_postgres
from tests.faults.servers import CrashableServer
from tests.index.test_postgres_search import servers as nodes
from tests.index.test_postgres_search import until
from tests.support.check import check_log
from tests.support.needs import ROOT
from tests.support.recording import TENANT, Recorder, draft, origin_of

pytestmark = pytest.mark.needs("postgres")

HOUR_MS = 3_600_000
WITHIN_S = 30.0


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "log.key"


@pytest.fixture
def key(key_file: Path) -> LogKey:
    return open_log_key(key_file, "log.test")


@pytest.fixture
def store(crashable_database: str, key: LogKey) -> Iterator[Store]:
    """Yield a store that is checked when the test ends."""
    with closing(open_postgres(crashable_database)) as store:
        yield store
        check_log(store, key)


@pytest.fixture
def recorder(store: Store, key: LogKey) -> Iterator[Recorder]:
    recorder = Recorder(store, key)
    yield recorder
    recorder.close()


@pytest.fixture
def observer(crashable_database: str) -> Iterator[psycopg.Connection]:
    """Yield a connection that looks on."""
    with psycopg.connect(crashable_database, autocommit=True) as connection:
        yield connection


@contextmanager
def stuck_holder(url: str, key_file: Path, where: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that was stopped while it holds the tenant."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.stuck_server", url, str(key_file), TENANT, where],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def go_on(process: subprocess.Popen[str]) -> str:
    """Resume a stuck process and return how its commit ended."""
    process.send_signal(signal.SIGCONT)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    ("where", "timeouts"),
    [
        # As in production: the database ends whoever idles for five seconds.
        ("idle", Timeouts()),
        # A copy that gets nothing more is no idling to the database: whoever waits ends it.
        ("copying", Timeouts(idle_ms=3_000, lock_ms=3_500)),
    ],
)
def test_paused_process_lets_go_of_its_tenant(
    crashable_database: str,
    key: LogKey,
    key_file: Path,
    recorder: Recorder,
    where: str,
    timeouts: Timeouts,
) -> None:
    recorder.append(TENANT, draft())
    with closing(open_postgres(crashable_database, timeouts=timeouts)) as other:
        waiting = Recorder(other, key)
        waiting.append("another tenant", draft())
        # From here on time counts: on a busy machine it is no use for much else.
        with stuck_holder(crashable_database, key_file, where) as holder:
            started_s = time.monotonic()
            pending = waiting.submit(TENANT, draft(1))
            for n in range(5):
                waiting.append("another tenant", draft(n))
            assert not pending.done, "the tenant was not held"
            assert pending.accepted()[0].index == 1
            assert time.monotonic() - started_s < WITHIN_S
            waiting.close()
            assert go_on(holder) == "StoreBusy"
    assert recorder.append(TENANT, draft(2))[0].index == 2


def test_killed_process_lets_go_of_its_tenant_at_once(
    crashable_database: str, key_file: Path, recorder: Recorder
) -> None:
    recorder.append(TENANT, draft())
    with stuck_holder(crashable_database, key_file, "copying") as holder:
        holder.kill()
        holder.wait(30)
        assert recorder.append(TENANT, draft(1))[0].index == 1


def test_commit_whose_answer_is_lost_is_found_out(
    crashable_database: str, observer: psycopg.Connection, recorder: Recorder, store: Store
) -> None:
    """A commit waits for a standby that does not exist; then its connection is ended: the
    transaction is durable and the client is not told. The event is acknowledged all the same."""
    recorder.append(TENANT, draft())
    with waiting_for_standby(observer):
        pending = recorder.submit(TENANT, draft(1))
        until(lambda: waits(observer, "SyncRep"))
        assert not pending.done
        end_waiting(observer)
    assert pending.accepted()[0].index == 1
    assert recorder.append(TENANT, draft(2))[0].index == 2
    assert len(store.rows(TENANT, 0, 9)) == 3


def test_outcome_of_a_commit_that_is_still_under_way_is_awaited(
    crashable_database: str, observer: psycopg.Connection, key: LogKey, recorder: Recorder
) -> None:
    """Whoever looks at a log whose latest commit is still being made waits for its end."""
    recorder.append(TENANT, draft())
    with closing(open_postgres(crashable_database)) as other:
        waiting = Recorder(other, key)
        with waiting_for_standby(observer):
            first = recorder.submit(TENANT, draft(1))
            until(lambda: waits(observer, "SyncRep"))
            second = waiting.submit(TENANT, draft(2))
            until(lambda: waits(observer, "transactionid"))
            assert not second.done
        assert [first.accepted()[0].index, second.accepted()[0].index] == [1, 2]
        waiting.close()


@contextmanager
def waiting_for_standby(observer: psycopg.Connection) -> Iterator[None]:
    """Make every commit wait for a standby that does not exist."""
    observer.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    observer.execute("SELECT pg_reload_conf()")
    try:
        until_commits_wait(observer)
        yield
    finally:
        observer.execute("ALTER SYSTEM RESET synchronous_standby_names")
        observer.execute("SELECT pg_reload_conf()")


def until_commits_wait(observer: psycopg.Connection) -> None:
    """Commit until a commit waits for the standby, then let go of that one.

    Commits wait once the checkpointer has read the settings, whoever else has read them before.
    """
    stop = threading.Event()
    with psycopg.connect(observer.info.dsn, autocommit=True) as prober:

        def commit() -> None:
            while not stop.is_set():
                prober.execute("SELECT pg_logical_emit_message(true, 'tests', '')")

        committing = threading.Thread(target=commit)
        committing.start()
        try:
            until(lambda: waits(observer, "SyncRep"))
        finally:
            stop.set()
            prober.cancel()
            committing.join()
    until(lambda: not waits(observer, "SyncRep"))


def waits(observer: psycopg.Connection, event: str) -> bool:
    """Tell whether some connection waits for an event."""
    row = observer.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = %s"
        " AND datname = current_database()",
        (event,),
    ).fetchone()
    return row is not None and row[0] > 0


def end_waiting(observer: psycopg.Connection) -> None:
    """End the connections whose commits wait for a standby."""
    observer.execute(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
        " WHERE wait_event = 'SyncRep' AND datname = current_database()"
    )


def test_service_resumes_after_the_database_was_away(
    server: CrashableServer, recorder: Recorder, store: Store
) -> None:
    """While it is away writers are pushed back; once it is there again all goes on by itself."""
    recorder.append(TENANT, draft())
    server.crash()
    try:
        outcome = recorder.submit(TENANT, draft(1)).outcomes()[0]
        assert isinstance(outcome, StoreBusy)
        with pytest.raises(StoreBusy):
            store.rows(TENANT, 0, 9)
    finally:
        server.start()
    assert recorder.append(TENANT, draft(1))[0].index == 1
    assert len(store.rows(TENANT, 0, 9)) == 2


def test_nothing_acknowledged_is_lost_when_the_database_crashes_under_load(
    server: CrashableServer, recorder: Recorder, store: Store
) -> None:
    acknowledged: list[int] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            pending = [recorder.submit(TENANT, draft(n)) for n in range(20)]
            for each in pending:
                outcome = each.outcomes()[0]
                if not isinstance(outcome, Exception):
                    acknowledged.append(outcome.index)
                else:
                    assert isinstance(outcome, StoreBusy)

    writing = threading.Thread(target=write)
    writing.start()
    for _ in range(2):
        heard = len(acknowledged)
        until(lambda heard=heard: len(acknowledged) > heard + 200)  # type: ignore[misc]
        server.crash()
        server.start()
    stop.set()
    writing.join()
    assert len(set(acknowledged)) == len(acknowledged) > 400
    assert set(acknowledged) <= {row.index for row in store.rows(TENANT, 0, 10**6)}


def test_clocks_of_processes_may_differ(crashable_database: str, key: LogKey, store: Store) -> None:
    """Two processes an hour apart take turns: recorded time never goes back."""
    now_ms = ManualClock().now_ms()
    with closing(open_postgres(crashable_database)) as other:
        ahead = Recorder(store, key, ManualClock(now_ms + HOUR_MS))
        behind = Recorder(other, key, ManualClock(now_ms))
        times = [
            recorder.append(TENANT, draft(n))[0].recorded_ms - now_ms
            for n in range(3)
            for recorder in (behind, ahead)
        ]
        ahead.close()
        behind.close()
    assert times == [0, *[HOUR_MS] * 5]


def test_process_with_another_key_refuses_to_extend(
    crashable_database: str, recorder: Recorder
) -> None:
    recorder.append(TENANT, draft())
    with closing(open_postgres(crashable_database)) as other:
        stranger = Recorder(other, LogKey.generate())
        outcome = stranger.submit(TENANT, draft(1)).outcomes()[0]
        stranger.close()
    assert "another key" in str(outcome)
    assert recorder.append(TENANT, draft(1))[0].index == 1


def test_two_processes_make_the_same_log_once(crashable_database: str, key: LogKey) -> None:
    """Both find no log and begin to make it; one waits for the other and continues its log."""
    with (
        closing(open_postgres(crashable_database)) as one,
        closing(open_postgres(crashable_database)) as two,
    ):
        recorders = [Recorder(store, key) for store in (one, two)]
        for n in range(20):
            pending = [recorder.submit(f"tenant {n}", draft()) for recorder in recorders]
            indexes = sorted(each.accepted()[0].index for each in pending)
            assert indexes == [0, 1]
        for recorder in recorders:
            recorder.close()
        assert {head.origin for head in one.log_heads()} == {
            origin_of(f"tenant {n}") for n in range(20)
        }
        check_log(one, key)


def test_the_search_of_a_server_outlives_a_crash_of_the_database(
    server: CrashableServer,
    crashable_database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its follower goes on by itself once the database is back, and so does one started then."""
    monkeypatch.setattr(limits, "READ_WAIT_S", WITHIN_S)
    with nodes(tmp_path, crashable_database, 1) as [node]:
        node.write(50)
        assert node.found("brown") == 50
        for round, kill in enumerate((False, True), start=1):
            server.crash()
            try:
                with pytest.raises(StoreBusy):
                    node.found("brown")
                if kill:
                    os.kill(node.pid, signal.SIGKILL)
            finally:
                server.start()
            node.write(50)
            assert node.found("brown") == 50 + 50 * round
