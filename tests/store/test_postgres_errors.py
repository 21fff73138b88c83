"""Every error that PostgreSQL or its driver can have becomes one of ours."""

from __future__ import annotations

import traceback

import psycopg
import pytest
from psycopg import errors

from tallystick.errors import (
    Conflict,
    Pushback,
    SchemaMismatch,
    SettingsError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFailed,
    TallystickError,
    for_operator,
)
from tallystick.store.postgres.connection import connect
from tallystick.store.postgres.errors import from_driver, translated

SQLSTATES = sorted(
    {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, psycopg.Error) and value.sqlstate
    }
)


@pytest.mark.parametrize("name", SQLSTATES)
def test_sqlstate_has_an_answer(name: str) -> None:
    with pytest.raises((Pushback, StoreError)) as raised, translated():
        raise getattr(errors, name)("first line\nsecond line")
    assert " line" not in raised.value.message
    assert for_operator(raised.value) == f"{raised.value.message}: first line"


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (errors.LockNotAvailable(), StoreBusy),
        (errors.DeadlockDetected(), StoreBusy),
        (errors.AdminShutdown(), StoreBusy),
        (errors.CrashShutdown(), StoreBusy),
        (errors.CannotConnectNow(), StoreBusy),
        (errors.TooManyConnections(), StoreBusy),
        (errors.IdleInTransactionSessionTimeout(), StoreBusy),
        (errors.QueryCanceled(), StoreBusy),
        (errors.ConnectionFailure(), StoreBusy),
        (psycopg.OperationalError("server closed the connection unexpectedly"), StoreBusy),
        (psycopg.InterfaceError("the connection is closed"), StoreBusy),
        (errors.DiskFull(), StoreFailed),
        (errors.ReadOnlySqlTransaction(), StoreFailed),
        (errors.InsufficientPrivilege(), StoreFailed),
        (errors.UndefinedTable(), SchemaMismatch),
        (errors.DataCorrupted(), StoreCorrupt),
        (errors.IndexCorrupted(), StoreCorrupt),
        (errors.UniqueViolation(), StoreCorrupt),
        (errors.SyntaxError(), StoreError),
        (psycopg.ProgrammingError("a mistake of ours"), StoreError),
        (psycopg.NotSupportedError(), StoreError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_error_says_what_to_do_next(error: psycopg.Error, ours: type[TallystickError]) -> None:
    assert type(from_driver(error)) is ours


@pytest.mark.needs("postgres")
@pytest.mark.parametrize(
    ("constraint", "ours", "again"),
    [
        ("identity_pkey", Conflict, None),
        ("identity_pkey_102040", Conflict, None),
        ("lookups_pkey_102041", Conflict, None),
        ("log_0_pkey", StoreCorrupt, None),
        ("log_0_pkey_102042", StoreBusy, True),
        ("places_3_pkey_1020421", StoreBusy, True),
    ],
)
@pytest.mark.parametrize("is_bare", [False, True], ids=["named", "in words only"])
def test_conflict_is_told_by_the_constraint(
    postgres_database: str,
    constraint: str,
    ours: type[Exception],
    again: bool | None,
    is_bare: bool,
) -> None:
    """Shards have names of their own, and an error from a node leaves out the table's."""
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(
            f"CREATE TABLE shard (a int CONSTRAINT {constraint} PRIMARY KEY)".encode()
        )
        connection.execute("INSERT INTO shard VALUES (1)")
        said = "INSERT INTO shard VALUES (1)"
        if is_bare:
            words = f'duplicate key value violates unique constraint "{constraint}"'
            said = f"DO $$ BEGIN RAISE EXCEPTION '{words}' USING ERRCODE = '23505'; END $$"
        with pytest.raises(errors.UniqueViolation) as raised:
            connection.execute(said.encode())
    found = from_driver(raised.value)
    assert type(found) is ours
    assert getattr(found, "again", None) is again


@pytest.mark.parametrize(
    "url",
    [
        "mysql://someone:hush-hush@db/name",
        "postgresql://someone:hush-hush%xy@db/name",
        "postgresql://someone:hush-hush@[::1/name",
        "postgresql://someone:hush-hush@[::1]x/name",
        "postgresql://someone:hush-hush with blanks@db/name",
    ],
)
def test_a_url_that_is_none_is_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        connect(url, name="test")
    told = "".join(traceback.format_exception(raised.value))
    assert "hush" not in told
    assert raised.value.hint is not None


def raise_translated(error: Exception) -> None:
    with translated():
        raise error


def test_our_own_errors_pass() -> None:
    mine = StoreBusy("mine")
    with pytest.raises(StoreBusy) as raised:
        raise_translated(mine)
    assert raised.value is mine


def test_cause_is_kept() -> None:
    with pytest.raises(StoreBusy) as raised:
        raise_translated(errors.AdminShutdown("terminating connection"))
    assert isinstance(raised.value.__cause__, errors.AdminShutdown)
