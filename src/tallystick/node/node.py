"""One running Tallystick without its HTTP face: store, sequencer, indexes, identity, ledger.

`open_node` is where these are joined; everything below takes what it needs as arguments. A data
folder belongs to one process at a time, which the lock file in it makes sure of.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.clock import Clock, SystemClock
from tallystick.data_folder import KEY_FILE, UPLOADS_FOLDER, hold
from tallystick.errors import SettingsError
from tallystick.identity.records import Identity
from tallystick.identity.tokens import Issuer
from tallystick.index.open import Index, open_index
from tallystick.ledger.blobs import Blobs
from tallystick.ledger.ledger import Ledger
from tallystick.log.keys import LogKey, open_log_key
from tallystick.log.sequencer import CommitListener, CommitStats, Sequencer, another_key
from tallystick.settings import Settings
from tallystick.store.base import LogHead, Store
from tallystick.store.sqlite.blobs import forget_uploads
from tallystick.store.truth import Truth, open_truth

SHARED_IDENTITY_TTL_S = 2.0
"""How long another process's change of identity may go unnoticed on a shared store."""


class Node:
    """What `open_node` joined; close it to commit what is queued and release the folder."""

    def __init__(
        self,
        truth: Truth,
        key: LogKey,
        index: Index,
        settings: Settings,
        clock: Clock,
        *,
        folder: Path,
        followers: bool,
    ) -> None:
        """Join what was opened; `followers` tells whether processes beside this one do work."""
        self._truth = truth
        self.store = store = truth.store
        self.public_files = truth.public_files
        self.blobs = Blobs(store, truth.blob_content)
        self.key = key
        self.index = index
        self.settings = settings
        self.clock = clock
        self.commit_listeners: list[CommitListener] = []
        ttl_s = None if store.many_tenants else SHARED_IDENTITY_TTL_S
        self.identity = Identity(store, ttl_s=ttl_s, own_events_only=_own_events_only(settings))
        self.sequencer = Sequencer(
            store, key, clock, committed=self._committed, overrun=index.overrun
        )
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
        self._truth.close()
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
    lock = hold(folder)
    try:
        key = open_log_key(folder / KEY_FILE, settings.server_name)
        truth = open_truth(folder, settings.database)
        foreign = _foreign_log(truth.store, key)
        index = open_index(folder, truth.store, settings.database, child=followers)
        forget_uploads(folder / UPLOADS_FOLDER)
        node = Node(
            truth,
            key,
            index,
            settings,
            clock or SystemClock(),
            folder=folder,
            followers=followers,
        )
    except BaseException:
        os.close(lock)
        raise
    node.hold(lock)
    if foreign is not None:
        # It can be read; that it cannot be extended is told before somebody tries.
        node.sequencer.refuse(another_key(foreign))
    return node


def _foreign_log(store: Store, key: LogKey) -> str | None:
    """Return whose log it is that another key has signed; one key signs all of a store."""
    head = next((head for head in store.log_heads() if head.key_id), None)
    if head is None or head.key_id == key.signer(head.origin).key_id:
        return None
    return head.tenant
