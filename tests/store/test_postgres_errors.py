"""Every error that PostgreSQL or its driver can have becomes one of ours."""

from __future__ import annotations

import traceback

import psycopg
import pytest
from psycopg import errors

from tallystick.errors import (
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
