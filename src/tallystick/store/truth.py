"""Where truth is kept: all of it in a data folder, or the key there and the rest in a PostgreSQL.

Truth is what cannot be made again: the log with identity, the content of blobs and the public
files. Whoever opens a place for writing holds its folder, which the lock file in it makes sure of.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tallystick.data_folder import BLOBS_FOLDER, PUBLIC_FILE, UPLOADS_FOLDER
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


def open_truth(folder: Path, database: str | None) -> Truth:
    """Open what is kept in a folder, or in the database at a URL; made if there is none.

    Raises: SchemaMismatch, SettingsError, StoreBusy, StoreFailed.
    """
    uploads = folder / UPLOADS_FOLDER
    store = open_store(folder, database)
    if database is None:
        return Truth(
            store,
            SqlitePublicFiles(folder / PUBLIC_FILE),
            FolderBlobs(folder / BLOBS_FOLDER, uploads),
        )
    # Imported late: the driver is an extra that a folder does without.
    from tallystick.store.postgres.blobs import PostgresBlobs
    from tallystick.store.postgres.public_files import PostgresPublicFiles

    return Truth(store, PostgresPublicFiles(database), PostgresBlobs(database, uploads))
