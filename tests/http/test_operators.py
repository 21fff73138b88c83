"""Readiness is tried, not assumed; the metrics can be kept to those who have a key."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.errors import StoreFailed
from tallystick.http import ops
from tallystick.store import write_probe as probe
from tallystick.store.postgres.store import open_postgres
from tallystick.store.sqlite.store import SqliteStore
from tallystick.store.write_probe import WriteProbe, try_folder
from tests.index.test_postgres_search import until
from tests.support.live_server import open_server


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a disk of eight megabytes; only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if mount is None or os.geteuid() or subprocess.run([mount, *options], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_HOLDS_S", 0.0)


@pytest.mark.usefixtures("_impatient")
def test_a_server_on_a_full_disk_is_not_ready(tiny_disk: Path) -> None:
    with open_server(tiny_disk / "data") as live, live.plain_http() as http:
        assert http.get("/readyz").status_code == 200
        filler = tiny_disk / "filler"
        filled = shutil.disk_usage(tiny_disk).free - 256 * 1024
        filler.write_bytes(bytes(filled))
        answer = http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["status"] == "failed"
        assert str(tiny_disk) not in answer.text
        filler.unlink()
        assert http.get("/readyz").status_code == 200
        assert not list((tiny_disk / "data").glob("write-probe*"))


@pytest.mark.usefixtures("_impatient")
def test_a_store_that_refuses_to_write_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[StoreFailed] = []

    def try_write(self: SqliteStore) -> None:
        for failure in failures:
            raise failure

    monkeypatch.setattr(SqliteStore, "try_write", try_write)
    with open_server(tmp_path / "data") as live, live.plain_http() as http:
        assert http.get("/readyz").status_code == 200
        failures.append(StoreFailed("the disk is full; nothing was stored"))
        answer = http.get("/readyz")
        assert (answer.status_code, answer.json()["reason"]) == (503, failures[0].message)
        failures.clear()
        assert http.get("/readyz").status_code == 200


def test_a_store_that_says_nothing_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that hangs answers neither yes nor no; a health check has to get its answer."""
    answers = threading.Event()
    monkeypatch.setattr(ops, "_PROBE_S", 0.05)
    monkeypatch.setattr(SqliteStore, "try_write", lambda store: answers.wait(60))
    with open_server(tmp_path / "data") as live, live.plain_http() as http:
        answer = http.get("/readyz")
        assert (answer.status_code, answer.json()["reason"]) == (503, "the store does not answer")
        assert http.get("/readyz").status_code == 503
        answers.set()
        until(lambda: http.get("/readyz").status_code == 200)


def test_a_server_whose_clock_is_ahead_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteStore, "now_ms", lambda store: 1_000)
    with open_server(tmp_path / "data") as live, live.plain_http() as http:
        answer = http.get("/readyz")
        assert answer.status_code == 503
        assert "ahead of the database" in answer.json()["reason"]


def test_a_folder_that_cannot_be_written_is_told_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed) as raised:
        try_folder(tmp_path / "gone")
    assert str(tmp_path) not in raised.value.message


def test_writes_are_tried_once_a_second_however_often_somebody_asks() -> None:
    tries: list[int] = []
    tried = WriteProbe(lambda: tries.append(1))
    assert [tried.failure() for _ in range(100)] == [None] * 100
    assert len(tries) <= 2


def test_a_database_is_written_to(postgres_database: str) -> None:
    store = open_postgres(postgres_database)
    try:
        store.try_write()
    finally:
        store.close()
    with pytest.raises(StoreFailed):
        store.try_write()


def test_metrics_can_be_kept_to_those_who_have_the_key(tmp_path: Path) -> None:
    with open_server(tmp_path / "data", metrics_key="scrape-me-0123456789") as live:
        with live.plain_http() as http:
            assert http.get("/metrics").status_code == 401
        with live.http() as admin:
            assert admin.get("/metrics").status_code == 401
        with live.http("scrape-me-0123456789") as scraper:
            assert b"tallystick_events_total" in scraper.get("/metrics").content
            assert scraper.get("/v1/events").status_code == 401


def test_metrics_are_open_unless_a_key_is_set(tmp_path: Path) -> None:
    with open_server(tmp_path / "data") as live, live.plain_http() as http:
        assert http.get("/metrics").status_code == 200
