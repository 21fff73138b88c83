"""Opening the store of a data folder, or the one in the database that it is used with."""

from __future__ import annotations

from pathlib import Path

from tallystick.data_folder import LEDGER_FILE
from tallystick.errors import SettingsError
from tallystick.store.base import Store
from tallystick.store.sqlite.store import open_sqlite


def open_store(folder: Path, database: str | None, *, read_only: bool = False) -> Store:
    """Open the store in a folder, or in the database at a URL; made if there is none.

    With `read_only` nothing is made or written.
    Raises: SchemaMismatch, SettingsError, StoreBusy, StoreFailed.
    """
    if database is None:
        return open_sqlite(folder / LEDGER_FILE, read_only=read_only)
    try:
        # Imported late: the driver is an extra that a folder does without.
        from tallystick.store.postgres.store import open_postgres
    except ImportError as error:
        raise SettingsError(
            "PostgreSQL needs its driver", hint="pip install 'tallystick[postgres]'"
        ) from error
    return open_postgres(database, read_only=read_only)
