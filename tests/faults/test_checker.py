"""The checker on both stores. Long runs: `make soak`, or `TALLYSTICK_TEST_CHECKER_S=600`."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from tallystick import limits
from tallystick.log.keys import open_log_key
from tallystick.store.base import Store
from tallystick.store.postgres.store import open_postgres
from tallystick.store.sqlite.store import open_sqlite
from tests.faults.checker import Checker
from tests.faults.processes import WriterProcess
from tests.faults.servers import CrashableServer, GivenServer
from tests.faults.writer import Orders
from tests.store.store_fixtures import check_lists

HOUR_MS = 3_600_000
EARLY_MS = limits.CLOCK_AHEAD_MS // 2


@pytest.mark.timeout(0)
def test_sqlite_under_random_faults(tmp_path: Path, seed: int, run_s: float) -> None:
    """One process writes, as a data folder allows; its store fails, it is paused and killed."""
    path, key_file = tmp_path / "log.db", tmp_path / "log.key"
    key = open_log_key(key_file, "log.test")
    orders = Orders(
        url=str(path), key=str(key_file), name="a", fault_rate=0.02, shard_rate=0.02, seed=seed
    )
    with Checker(lambda: open_sqlite(path), key, [orders], seed) as checker:
        faults = [
            lambda: checker.replace(checker.writers[0]),
            lambda: pause(checker.writers[0], checker.chance.uniform(0, 0.3)),
        ]
        checker.run(faults, run_s / 2, every_s=0.7)
        assert checker.finish() > 500


@pytest.mark.timeout(0)
@pytest.mark.needs("postgres")
def test_postgres_under_random_faults(
    tmp_path: Path,
    server: CrashableServer | GivenServer,
    crashable_database: str,
    seed: int,
    run_s: float,
) -> None:
    """Three processes, whose clocks differ, write to one database; connections die, a process is
    paused longer than it may hold a tenant, or killed, and the server crashes."""
    key_file = tmp_path / "log.key"
    key = open_log_key(key_file, "log.test")
    writers = [
        Orders(crashable_database, str(key_file), name, clock_offset_ms=offset_ms, shard_rate=rate)
        for name, offset_ms, rate in (("a", 0, 0.02), ("b", EARLY_MS, 0.0), ("c", -HOUR_MS, 0.02))
    ]

    def open_store() -> Store:
        return open_postgres(crashable_database, readers=2, writers=1)

    with Checker(open_store, key, writers, seed) as checker:
        chance = checker.chance
        faults = [
            *[lambda: terminate(server)] * 6,
            *[lambda: pause(chance.choice(checker.writers), chance.uniform(0, 1))] * 2,
            lambda: pause(chance.choice(checker.writers), 7),
            lambda: checker.replace(chance.choice(checker.writers)),
        ]
        if isinstance(server, CrashableServer):
            faults.append(lambda: crash(server, chance.uniform(0, 0.5)))
        checker.run(faults, run_s, every_s=0.5)
        assert checker.finish() > 500
    check_lists(crashable_database)


def crash(server: CrashableServer, for_s: float) -> None:
    """Take the database away for some time."""
    server.crash()
    time.sleep(for_s)
    server.start()


def terminate(server: CrashableServer | GivenServer) -> None:
    """End the connection of some writer that is in the middle of a transaction."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'tallystick writer' AND xact_start IS NOT NULL"
            " ORDER BY random() LIMIT 1"
        )


def pause(writer: WriterProcess, for_s: float) -> None:
    """Stop a process for some time."""
    writer.pause()
    time.sleep(for_s)
    writer.resume()
