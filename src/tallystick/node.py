"""One running Tallystick without its HTTP face: store, sequencer, indexes, identity, ledger.

`open_node` is where these are joined; everything below takes what it needs as arguments. A data
folder belongs to one process at a time, which the lock file in it makes sure of.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.blobs import BlobContent, Blobs
from tallystick.clock import Clock, SystemClock
from tallystick.errors import SettingsError, StoreLocked
from tallystick.folder import (
    BLOBS_FOLDER,
    KEY_FILE,
    LEDGER_FILE,
    LOCK_FILE,
    PUBLIC_FILE,
    UPLOADS_FOLDER,
)
from tallystick.identity import Identity
from tallystick.index.opening import Index, open_index
from tallystick.keys import LogKey, open_log_key
from tallystick.ledger import Ledger
from tallystick.publicfiles import PublicFiles
from tallystick.sequencer import CommitListener, CommitStats, Sequencer
from tallystick.settings import Settings
from tallystick.store.base import LogHead, Store
from tallystick.store.folder_blobs import FolderBlobs, forget_uploads
from tallystick.store.sqlite import open_sqlite
from tallystick.store.sqlite_public_files import SqlitePublicFiles
from tallystick.tokens import Issuer

SHARED_IDENTITY_TTL_S = 2.0
"""How long another process's change of identity may go unnoticed on a shared store."""


class Node:
    """What `open_node` joined; close it to commit what is queued and release the folder."""

    def __init__(
        self,
        store: Store,
        key: LogKey,
        index: Index,
        settings: Settings,
        clock: Clock,
        *,
        public_files: PublicFiles,
        blob_content: BlobContent,
        folder: Path,
        followers: bool,
    ) -> None:
        """Join what was opened; `followers` tells whether processes beside this one do work."""
        self.store = store
        self.public_files = public_files
        self.blobs = Blobs(store, blob_content)
        self.key = key
        self.index = index
        self.settings = settings
        self.clock = clock
        self.commit_listeners: list[CommitListener] = []
        ttl_s = None if store.many_tenants else SHARED_IDENTITY_TTL_S
        self.identity = Identity(store, ttl_s=ttl_s, own_events_only=_own_events_only(settings))
        self.sequencer = Sequencer(store, key, clock, committed=self._committed)
        self.ledger = Ledger(store, self.sequencer, index.reader, key, clock)
        url = settings.external_url or f"http://{settings.server_name}:{settings.port}"
        token_key = key.derive_ec_key(ec.SECP256R1(), "tokens")
        self.issuer = Issuer(token_key, self.identity, clock, url=f"{url}/oauth/token")
        self.folder = folder
        self.followers = followers
        self._lock: int | None = None

    def hold(self, lock: int) -> None:
        """Keep the lock of the data folder until the node is closed."""
        self._lock = lock

    def close(self) -> None:
        """Commit what is queued, stop the followers, release store and folder."""
        self.sequencer.close()
        self.index.close()
        self.public_files.close()
        self.blobs.content.close()
        self.store.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _committed(self, heads: Sequence[LogHead], stats: CommitStats) -> None:
        if stats.identity_changed:
            self.identity.changed()
        self.index.committed(heads, stats)
        for listener in self.commit_listeners:
            listener(heads, stats)


def _own_events_only(settings: Settings) -> bool:
    value = settings.of_dialect("onehub").get("own_events_only", False)
    if not isinstance(value, bool):
        raise SettingsError("onehub.own_events_only is true or false")
    return value


def open_node(
    folder: Path, settings: Settings, *, followers: bool, clock: Clock | None = None
) -> Node:
    """Open the data folder, making it if there is none.

    With `followers` the indexes are kept by a child process, as a server wants it; without, by
    this process whenever it asks, as a command wants it.
    Raises: StoreLocked when another process has the folder, SchemaMismatch, SettingsError.
    """
    lock = _lock_folder(folder)
    try:
        key = open_log_key(folder / KEY_FILE, settings.server_name)
        store = open_store(folder, settings)
        index = open_index(folder, store, child=followers)
        forget_uploads(folder / UPLOADS_FOLDER)
        node = Node(
            store,
            key,
            index,
            settings,
            clock or SystemClock(),
            public_files=open_public_files(folder, settings),
            blob_content=open_blob_content(folder, settings),
            folder=folder,
            followers=followers,
        )
    except BaseException:
        os.close(lock)
        raise
    node.hold(lock)
    return node


def open_public_files(folder: Path, settings: Settings) -> PublicFiles:
    """Open the public files beside the store.

    Raises: SchemaMismatch, StoreBusy, StoreFailed.
    """
    if settings.database is None:
        return SqlitePublicFiles(folder / PUBLIC_FILE)
    from tallystick.store.postgres.public_files import PostgresPublicFiles

    return PostgresPublicFiles(settings.database)


def open_blob_content(folder: Path, settings: Settings) -> BlobContent:
    """Open the content of blobs beside the store, whose database is open already."""
    uploads = folder / UPLOADS_FOLDER
    if settings.database is None:
        return FolderBlobs(folder / BLOBS_FOLDER, uploads)
    from tallystick.store.postgres.blobs import PostgresBlobs

    return PostgresBlobs(settings.database, uploads)


def open_store(folder: Path, settings: Settings) -> Store:
    """Open the store that the settings name, making it if there is none.

    Raises: SchemaMismatch, SettingsError, StoreFailed.
    """
    if settings.database is None:
        return open_sqlite(folder / LEDGER_FILE)
    try:
        # Imported late: the driver is an extra that a folder does without.
        from tallystick.store.postgres.store import open_postgres
    except ImportError as error:
        raise SettingsError(
            "PostgreSQL needs its driver", hint="pip install 'tallystick[postgres]'"
        ) from error
    return open_postgres(settings.database)


def _lock_folder(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"{folder} cannot be used as data folder: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise StoreLocked(
            f"another process is using {folder}",
            hint="stop that server, or reach it with --url, or choose another --data folder",
        ) from error
    return handle
