"""The statements that keep and read lists, and how they are sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Final

from psycopg import sql
from psycopg.rows import TupleRow

from tallystick.store.postgres.connection import Connection, fetch
from tallystick.store.postgres.statements import load

STATEMENTS: Final[Mapping[str, bytes]] = load(
    resources.files(__package__).joinpath("queries.sql").read_text("utf-8")
)
"""Those that are always the same, by name."""


def select(connection: Connection, statement: str, **values: Any) -> list[TupleRow]:
    """Return the rows of a named statement."""
    return fetch(connection, STATEMENTS[statement], values)


def execute(connection: Connection, statement: str, **values: Any) -> None:
    """Send a named statement whose answer nobody needs."""
    connection.execute(STATEMENTS[statement], values, prepare=True)


def fetch_composed(
    connection: Connection, statement: sql.Composable, values: Sequence[object]
) -> list[TupleRow]:
    """Return the rows of a statement that was put together for one question.

    It is planned for its values: a plan for any values would read all of a busy actor's entries to
    find a page that a scope of few has at once.
    """
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(sql.Composed([statement]), values, prepare=False).fetchall()
