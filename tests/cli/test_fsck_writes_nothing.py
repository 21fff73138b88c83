"""`fsck` changes nothing, wherever it is pointed: a stopped folder, a killed one, a database."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.cli.program import TALLYSTICK, program, run, served, told


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a stopped data folder."""
    outer = Path(tempfile.mkdtemp(prefix="tallystick-test-"))
    folder = outer / "data"
    run("tenants", "create", "acme", "--data", str(folder))
    run("demo", "--events", "300", "--data", str(folder))
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(outer)


def content_of(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Return mode, time and digest of every file, by name."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted([folder, *folder.rglob("*")])
        if not path.is_socket()
    }


def kill_in_the_middle(folder: Path) -> None:
    """Leave what a power failure leaves: what was written last is in the write-ahead log."""
    server, _ = served("--data", str(folder))
    run("demo", "--events", "50", "--data", str(folder))
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        shutil.copyfile(folder / name, folder.parent / name)
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=60)
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (folder.parent / name).rename(folder / name)
    assert (folder / "ledger.db-wal").stat().st_size > 0


def without_privileges(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a user whom the modes of files bind, which they do not bind root."""
    bound = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    command = [*(bound if os.getuid() == 0 else []), str(TALLYSTICK), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def make_read_only(folder: Path) -> None:
    for path in folder.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o555)


def nothing(folder: Path) -> None:
    """Leave the folder as it was stopped."""


def kill_and_lose_the_index_of_the_wal(folder: Path) -> None:
    """Leave what a copy of the two files alone leaves."""
    kill_in_the_middle(folder)
    (folder / "ledger.db-shm").unlink()


STATES: list[tuple[Callable[[Path], None], int]] = [
    (nothing, 301),
    (kill_in_the_middle, 351),
    (kill_and_lose_the_index_of_the_wal, 351),
]


@pytest.mark.parametrize(
    ("leave", "entries"), STATES, ids=lambda value: getattr(value, "__name__", "")
)
def test_fsck_reads_a_read_only_folder_and_leaves_no_trace(
    folder: Path, leave: Callable[[Path], None], entries: int
) -> None:
    leave(folder)
    make_read_only(folder)
    before = content_of(folder)
    assert without_privileges("serve", "--data", str(folder), "--port", "0").returncode == 1
    done = without_privileges("fsck", "--data", str(folder))
    assert done.returncode == 0, done.stderr
    assert f"clean: 1 logs, {entries} entries" in done.stdout
    assert content_of(folder) == before


@pytest.mark.parametrize(
    ("leave", "entries"), STATES, ids=lambda value: getattr(value, "__name__", "")
)
def test_fsck_of_a_writable_folder_leaves_no_trace(
    folder: Path, leave: Callable[[Path], None], entries: int
) -> None:
    leave(folder)
    before = content_of(folder)
    assert told("fsck", "--data", str(folder))["entries"] == entries
    assert content_of(folder) == before


def test_fsck_without_a_signing_key_makes_none(folder: Path) -> None:
    (folder / "log.key").unlink()
    before = content_of(folder)
    assert "holds no log.key" in run("fsck", "--data", str(folder), code=1).stderr
    assert content_of(folder) == before


def test_fsck_of_no_folder_makes_none(tmp_path: Path) -> None:
    assert "contains no store" in run("fsck", "--data", str(tmp_path / "data"), code=1).stderr
    assert not (tmp_path / "data").exists()


def test_fsck_names_a_ledger_that_is_no_database(folder: Path) -> None:
    (folder / "ledger.db").write_bytes(b"\x00" * 8192)
    before = content_of(folder)
    assert "DIFFERENCE" in run("fsck", "--data", str(folder), code=3).stdout
    assert content_of(folder) == before


def test_fsck_beside_a_server_that_writes(folder: Path) -> None:
    server, _ = served("--data", str(folder))
    try:
        run("demo", "--events", "100", "--data", str(folder))
        assert told("fsck", "--data", str(folder))["entries"] == 401
        run("demo", "--events", "100", "--data", str(folder))
        assert told("fsck", "--data", str(folder))["entries"] == 501
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
    assert server.returncode == 0


@pytest.mark.needs("postgres")
def test_fsck_makes_no_tables_in_a_database(folder: Path, postgres_database: str) -> None:
    refused = run("fsck", "--data", str(folder), "--database", postgres_database, code=1)
    assert "the database contains no store" in refused.stderr
    with psycopg.connect(postgres_database) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"
        )
        assert found.fetchone() == (0,)


@pytest.mark.needs("postgres")
def test_fsck_reads_a_database_that_refuses_writes(folder: Path, postgres_database: str) -> None:
    run("copy", "--from", str(folder), "--to", postgres_database)
    more = "&" if "?" in postgres_database else "?"
    read_only = f"{postgres_database}{more}options=-c%20default_transaction_read_only%3Don"
    done = program("fsck", "--data", str(folder), "--database", read_only)
    assert "clean: 1 logs, 301 entries" in done.stdout
