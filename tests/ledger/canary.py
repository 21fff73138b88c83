"""Texts that must be found nowhere once they were destroyed, and the search for them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import psycopg

from tallystick.node.node import Node
from tallystick.store.postgres.store import PostgresStore

CANARY = "Zoë Canary-7Qx"
PHONE = "+49 171 5550481"


def forms(text: str) -> set[bytes]:
    """Return how a text may stand in a file."""
    utf8 = text.encode()
    shifted = {base64.b64encode(b"x" * n + utf8)[4 if n else 0 : -4] for n in range(3)}
    return {
        utf8, text.encode("utf-16-le"), text.encode("utf-16-be"), json.dumps(text)[1:-1].encode(),
        *shifted,
    }  # fmt: skip


def files_holding(folder: Path, texts: list[str]) -> list[str]:
    """Return the files that hold one of some texts in any form."""
    wanted = {form for text in texts for form in forms(text)}
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(form in path.read_bytes() for form in wanted)
    ]


def tables_holding(database: str, texts: list[str]) -> list[str]:
    """Return the tables of a database whose files hold one of some texts in any form."""
    wanted = {form for text in texts for form in forms(text)}
    found: list[str] = []
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        rows = connection.execute(
            "SELECT relname, pg_relation_filepath(oid) FROM pg_class"
            " WHERE relkind IN ('r', 'i', 't') AND pg_relation_filepath(oid) IS NOT NULL"
        ).fetchall()
        for name, path in rows:
            [[content]] = connection.execute("SELECT pg_read_binary_file(%s)", (path,)).fetchall()
            if any(form in content for form in wanted):
                found.append(name)
    return found


def places_holding(node: Node, texts: list[str]) -> list[str]:
    """Return the files and tables that hold one of some texts in any form."""
    found = files_holding(node.folder, texts)
    if node.settings.database is not None:
        assert isinstance(node.store, PostgresStore)
        assert node.store.wait_until_vacuumed(30)
        node.store.scrub()
        found += tables_holding(node.settings.database, texts)
    return found
