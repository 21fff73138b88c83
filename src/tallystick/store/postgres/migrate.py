"""Migrations: how the tables in a PostgreSQL database come to be as this program needs them.

Numbered files, each run in one transaction together with the note that it was, under a lock on
the table of notes, so that any number of processes may try at once. A migration says which
programs it still works with: by its first line, `-- floor: N`, those that know at least migration
N. That is what makes an upgrade without downtime possible.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import NamedTuple

from psycopg import errors

from tallystick.errors import SchemaMismatch
from tallystick.store.postgres import citus
from tallystick.store.postgres.connection import Connection, connect
from tallystick.store.postgres.errors import translated

_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_FLOOR = re.compile(r"-- floor: (\d+)\n")

_CREATE = """
CREATE TABLE IF NOT EXISTS migrations (
    number  integer PRIMARY KEY,
    name    text NOT NULL,
    floor   integer NOT NULL,
    applied timestamptz NOT NULL DEFAULT now()
)
"""
_EXISTS = "SELECT to_regclass('migrations') IS NOT NULL"
_APPLIED = "SELECT number, floor FROM migrations ORDER BY number"
_LOCK = "LOCK TABLE migrations IN SHARE ROW EXCLUSIVE MODE"
_NOTE = "INSERT INTO migrations (number, name, floor) VALUES (%s, %s, %s)"


class Migration(NamedTuple):
    """One step of the schema."""

    number: int
    name: str
    floor: int
    script: str


def known() -> list[Migration]:
    """Return the migrations of this program, in order."""
    found: list[Migration] = []
    for file in resources.files(__package__).joinpath("migrations").iterdir():
        named = _NAME.fullmatch(file.name)
        if named is not None:
            script = file.read_text("utf-8")
            floor = _FLOOR.match(script)
            assert floor is not None, f"{file.name} does not say which programs it works with"
            found.append(Migration(int(named[1]), named[2], int(floor[1]), script))
    return sorted(found)


def pending(url: str) -> list[Migration]:
    """Return the migrations that the database at `url` lacks; changes nothing.

    Raises: SchemaMismatch when it was migrated by a program that this one cannot work beside.
    """
    with translated(), connect(url, name="migrate") as connection:
        return _pending(connection)


def migrate(url: str, *, upto: int | None = None) -> list[Migration]:
    """Apply the migrations that the database at `url` lacks, or those `upto` a number.

    Where the tables are distributed, so are those that were made.
    Raises: SchemaMismatch, StoreBusy when another process keeps the lock for too long.
    """
    applied: list[Migration] = []
    with translated(), connect(url, name="migrate") as connection:
        _create_notes(connection)
        while True:
            with connection.transaction():
                connection.execute(_LOCK)
                missing = _pending(connection)
                if not missing or (upto is not None and missing[0].number > upto):
                    citus.distribute(connection)
                    break
                _apply(connection, missing[0])
            applied.append(missing[0])
        if upto is None:
            citus.require_whole(connection)
    return applied


def require_current(url: str, *, make: bool = True) -> None:
    """Check that the database has what this program needs; with `make`, fill an empty one.

    Raises: SchemaMismatch when it was made by an older program, or by one too new, or holds no
    store and none is to be made, or is half distributed.
    """
    missing = pending(url)
    if missing and missing[0].number == 1:
        if not make:
            raise SchemaMismatch("the database contains no store", hint="check the URL")
        migrate(url)
    elif missing:
        raise SchemaMismatch(
            f"the database is missing {len(missing)} migrations", hint="run tallystick migrate"
        )
    with translated(), connect(url, name="migrate") as connection:
        citus.require_whole(connection)


def _pending(connection: Connection) -> list[Migration]:
    applied: dict[int, int] = {}
    if (connection.execute(_EXISTS).fetchone() or (False,))[0]:
        applied = dict(connection.execute(_APPLIED).fetchall())
    migrations = known()
    newest = migrations[-1].number
    if any(floor > newest for floor in applied.values()):
        raise SchemaMismatch(
            "the database was migrated by a newer program", hint="run that version of the program"
        )
    return [migration for migration in migrations if migration.number not in applied]


def _create_notes(connection: Connection) -> None:
    """Make the table of notes; `IF NOT EXISTS` alone does not see another process making it."""
    while True:
        try:
            connection.execute(_CREATE)
            return
        except (errors.UniqueViolation, errors.DuplicateTable, errors.DuplicateObject):
            continue


def _apply(connection: Connection, migration: Migration) -> None:
    connection.execute(migration.script.encode(), prepare=False)
    connection.execute(_NOTE, (migration.number, migration.name, migration.floor))
