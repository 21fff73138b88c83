"""Every error of the PostgreSQL driver as one of ours, cut by what the reader should do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from tallystick.errors import (
    Conflict,
    SchemaMismatch,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFailed,
    TallystickError,
)

# What identity writes to; everything else that must be unique is guarded by the locked head.
_CLAIMED = ("identity_pkey", "lookups_pkey")
# A shard and its constraints are named as the table is, with a number behind. Nothing else tells
# of the table: in errors from a node that is left out.
_SHARD = re.compile(r"(.+?)_(\d{5,})")
_CONSTRAINT = re.compile(r'constraint "([^"]+)"')

# SQLSTATE classes (PostgreSQL manual, appendix A) that pass by themselves: connection trouble,
# rolled back for the sake of others, resources used up, stopped by an operator.
_PASSING_CLASSES = ("08", "40", "53", "57")
_PASSING_STATES = (
    errors.LockNotAvailable.sqlstate,
    errors.IdleInTransactionSessionTimeout.sqlstate,
)
_FAILING_STATES = (
    errors.DiskFull.sqlstate,
    errors.ConfigurationLimitExceeded.sqlstate,
    errors.ReadOnlySqlTransaction.sqlstate,
    errors.InsufficientPrivilege.sqlstate,
    errors.IoError.sqlstate,
)
_SCHEMA_STATES = (
    errors.UndefinedTable.sqlstate,
    errors.UndefinedColumn.sqlstate,
    errors.InvalidSchemaName.sqlstate,
    errors.InvalidCatalogName.sqlstate,
)


@contextmanager
def translated() -> Iterator[None]:
    """Turn every error of the driver into one of ours."""
    try:
        yield
    except TallystickError:
        raise
    except psycopg.Error as error:
        raise from_driver(error) from error


def from_driver(error: psycopg.Error) -> TallystickError:
    """Return our error for one of the driver's."""
    state = error.sqlstate
    if isinstance(error, errors.UniqueViolation):
        return _not_unique(error)
    if state in _FAILING_STATES:
        return StoreFailed(
            "the database cannot write to its disk",
            hint="check the database's disk and the rights of its user",
        )
    if state in _SCHEMA_STATES:
        return SchemaMismatch(
            "the database schema is out of date",
            hint="run tallystick migrate",
        )
    if isinstance(error, (errors.DataCorrupted, errors.IndexCorrupted)):
        return StoreCorrupt("the database is damaged")
    if _passes(error, state):
        return StoreBusy("the database is temporarily unavailable")
    return StoreError("the database rejected the statement")


def _not_unique(error: errors.UniqueViolation) -> TallystickError:
    """Return what it means that something is there already, by the constraint that says so."""
    said = _CONSTRAINT.search(error.diag.message_primary or "")
    name = error.diag.constraint_name or (said[1] if said else "")
    shard = _SHARD.fullmatch(name)
    if (shard[1] if shard else name) in _CLAIMED:
        return Conflict("the id or name is already taken")
    if shard:
        # While a shard moves, its old and its new place may both have taken a row in: it passes.
        return StoreBusy("a shard is being moved", again=True)
    return StoreCorrupt("the database already contains the rows to be written")


def _passes(error: psycopg.Error, state: str | None) -> bool:
    if state is None:
        # No server has spoken: the connection is lost, or none can be had in time.
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return state[:2] in _PASSING_CLASSES or state in _PASSING_STATES
