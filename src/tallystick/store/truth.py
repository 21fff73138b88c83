"""Where truth is kept: all of it in a data folder, or the key there and the rest in a PostgreSQL.

Truth is what cannot be made again: the log with identity, the content of blobs and the public
files. The process that opens a place for writing holds its folder, by the lock file in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tallystick.data_folder import (
    BLOBS_FOLDER,
    HEADS_FOLDER,
    INDEX_FOLDER,
    KEY_FILE,
    LEDGER_FILE,
    PUBLIC_FILE,
    UPLOADS_FOLDER,
)
from tallystick.errors import SettingsError
from tallystick.store.base import Store
from tallystick.store.blob_content import BlobContent
from tallystick.store.opening import open_store
from tallystick.store.public_files import PublicFiles
from tallystick.store.sqlite.blobs import FolderBlobs
from tallystick.store.sqlite.public_files import SqlitePublicFiles


class Truth(NamedTuple):
    """What is open of one place."""

    store: Store
    public_files: PublicFiles
    blob_content: BlobContent

    def close(self) -> None:
        """Release files and connections; idempotent."""
        self.public_files.close()
        self.blob_content.close()
        self.store.close()


def open_truth(folder: Path, database: str | None, *, read_only: bool = False) -> Truth:
    """Open what is kept in a folder, or in the database at a URL; made if there is none.

    With `read_only` nothing is made or written, there or beside it.
    Raises: SchemaMismatch, SettingsError, StoreBusy, StoreFailed.
    """
    uploads = folder / UPLOADS_FOLDER
    store = open_store(folder, database, read_only=read_only)
    if database is None:
        return Truth(
            store,
            SqlitePublicFiles(folder / PUBLIC_FILE, read_only=read_only),
            FolderBlobs(folder / BLOBS_FOLDER, uploads),
        )
    # Imported late: the driver is an extra that a folder does without.
    from tallystick.store.postgres.blobs import PostgresBlobs
    from tallystick.store.postgres.public_files import PostgresPublicFiles

    files = PostgresPublicFiles(database, read_only=read_only)
    return Truth(store, files, PostgresBlobs(database, uploads))


_BESIDE_LEDGER = (
    KEY_FILE,
    PUBLIC_FILE,
    f"{LEDGER_FILE}-wal",
    BLOBS_FOLDER,
    INDEX_FOLDER,
    HEADS_FOLDER,
)


def has_ledger(folder: Path) -> bool:
    """Tell whether a data folder holds a ledger; an empty file is none."""
    try:
        return (folder / LEDGER_FILE).stat().st_size > 0
    except FileNotFoundError:
        return False


def require_ledger(folder: Path, *, new: bool) -> None:
    """See that a folder holds its ledger, or nothing that a ledger once stood beside.

    With `new` a ledger may be begun beside what is left of another, but never over one.
    Raises: SettingsError.
    """
    if has_ledger(folder):
        if new:
            raise SettingsError(f"{folder} already has a {LEDGER_FILE}", hint="omit --new")
        return
    beside = next((name for name in _BESIDE_LEDGER if _holds(folder / name)), None)
    if beside is not None and not new:
        raise SettingsError(
            f"{folder} has {beside} but no {LEDGER_FILE}: the log that belongs to it is missing",
            hint=f"mount or restore {LEDGER_FILE}; name --database if the log is in a PostgreSQL; "
            "only to begin a new, empty log beside it: tallystick serve --new",
        )


def _holds(path: Path) -> bool:
    """Tell whether there is such a file, or a folder with something in it."""
    return any(path.iterdir()) if path.is_dir() else path.exists()
