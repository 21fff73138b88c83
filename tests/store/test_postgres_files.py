"""Statements about public files and blobs keep to one tenant, as all others do."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tallystick.store.postgres.public_files import STATEMENTS
from tests.store.test_postgres_sharding import BOUND

ALL_TENANTS = {"publishers"}

VALUES: dict[str, Any] = {
    "tenant": b"t", "digest": b"d", "file": 0, "first": 0, "last": 3, "files": [0], "chunks": [1],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_statement_is_bound_to_one_tenant(name: str) -> None:
    is_bound = BOUND.search(STATEMENTS[name].decode()) is not None
    assert is_bound is (name not in ALL_TENANTS), STATEMENTS[name].decode()


@pytest.mark.needs("postgres")
def test_statements_go_by_an_index_on_the_tenant(postgres_tables: str) -> None:
    with psycopg.connect(postgres_tables, autocommit=True) as connection:
        connection.execute("SET enable_seqscan = off")
        for name in (
            *("publication", "file_size", "file_chunks", "chunks_at", "file_seal"),
            *("blob_size", "blob_chunks"),
        ):
            text = STATEMENTS[name].decode().replace(")b", ")s")
            with psycopg.ClientCursor(connection) as cursor:
                plan = cursor.execute(f"EXPLAIN {text}".encode(), VALUES).fetchall()
            conditions = [line for (line,) in plan if "Index Cond: " in line]
            assert conditions, (name, plan)
            assert all("(tenant = " in line for line in conditions), (name, plan)
