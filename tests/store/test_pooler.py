"""A pooler in transaction mode may stand between: nothing depends on a session's being the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tallystick.dialects import rules
from tallystick.followers.inline import InlineFollowers
from tallystick.index.postgres.followers import open_lists
from tallystick.query.expr import Eq
from tallystick.query.question import Find
from tallystick.store.postgres.connection import connect
from tallystick.store.postgres.public_files import PostgresPublicFiles
from tallystick.store.postgres.store import PostgresStore, open_postgres
from tallystick.store.public_files import Patch, PublicationCursor
from tests.store.transactions import KEY
from tests.support import pooler
from tests.support.check import check_log
from tests.support.postgres import fresh_database
from tests.support.recording import Recorder, draft, order

pytestmark = [pytest.mark.needs("postgres"), pytest.mark.needs("pgbouncer")]

TENANTS = ("one", "two", "three", "four")


@pytest.fixture(scope="module")
def pooled(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """Yield the URL of a database behind a pooler."""
    with fresh_database(postgres_url, postgres_template) as url, pooler.pooler(url) as through:
        yield through


@pytest.fixture
def store(pooled: str) -> Iterator[PostgresStore]:
    with closing(open_postgres(pooled)) as store:
        yield store


def test_pooler_is_noticed(pooled: str, postgres_url: str) -> None:
    with connect(pooled, name="test") as connection:
        assert connection.pooled
    with connect(postgres_url, name="test") as connection:
        assert not connection.pooled


def test_many_tenants_are_written_and_listed_through_few_sessions(store: PostgresStore) -> None:
    """More writers and readers than sessions, small batches and some that are copied."""
    reader, followers = open_lists(store, rules(), InlineFollowers(Path(), store, rules(), ()))
    recorder = Recorder(store, KEY)

    def write(tenant: str) -> None:
        for size in (1, 3, 300, 2):
            recorder.append(tenant, *[draft(n, target=order(str(n % 7))) for n in range(size)])

    with ThreadPoolExecutor(len(TENANTS)) as pool:
        list(pool.map(write, TENANTS))
        asked = Find(where=Eq("kind", "order.created"), limit=400, total=True)
        pages = list(pool.map(lambda tenant: reader.find(tenant, asked), TENANTS * 4))
    recorder.close()
    assert {(len(page.hits), page.total) for page in pages} == {(306, 306)}
    check_log(store, KEY)
    followers.close()


def test_no_statement_is_prepared_and_no_setting_stays(pooled: str, store: PostgresStore) -> None:
    for _ in range(20):
        store.log_heads()
        store.try_write()
    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as connection:
        for _ in range(2 * pooler.SESSIONS):
            [(prepared, timeout)] = connection.execute(
                "SELECT (SELECT count(*) FROM pg_prepared_statements),"
                " current_setting('idle_in_transaction_session_timeout')"
            ).fetchall()
            assert (prepared, timeout) == (0, "0")


def test_transactions_have_our_settings(store: PostgresStore) -> None:
    def settings(connection: psycopg.Connection) -> list[tuple[str, ...]]:
        return connection.execute(
            "SELECT current_setting('lock_timeout'), current_setting('statement_timeout'),"
            " current_setting('enable_seqscan')"
        ).fetchall()

    assert store.read(settings) == [("6s", "10s", "off")]


def test_public_file_is_read_as_of_one_moment(pooled: str) -> None:
    with closing(PostgresPublicFiles(pooled)) as files:
        files.advance("t", None, PublicationCursor(1, 0, b""), patches=[Patch(0, 0, b"public")])
        assert files.read("t", 0) == b"public"
