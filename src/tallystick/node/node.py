"""One running Tallystick without its HTTP face: store, sequencer, indexes, identity, ledger.

`open_node` is where these are joined; everything below takes what it needs as arguments. A data
folder belongs to one process at a time, which the lock file in it makes sure of.
"""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.clock import Clock, SystemClock
from tallystick.data_folder import (
    COSIGNED_FOLDER,
    ERASURES_FILE,
    HEADS_FOLDER,
    KEY_FILE,
    TIMESTAMPS_FOLDER,
    UPLOADS_FOLDER,
    hold,
)
from tallystick.dialects import common_settings
from tallystick.errors import Conflict, SettingsError, StoreBusy, StoreCorrupt, StoreError
from tallystick.events.event import Json
from tallystick.followers.acting import ActingFollowers
from tallystick.followers.process import Command, Setup
from tallystick.followers.services import SHARED_IDENTITY_TTL_S, services_of
from tallystick.identity.calling import acting
from tallystick.identity.records import Identity
from tallystick.identity.replay import IdentityDifference, identity_differences
from tallystick.identity.tokens import Issuer
from tallystick.index.open import RULES, Index, open_index
from tallystick.ledger.blobs import Blobs
from tallystick.ledger.erasures import Erasures
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.reads import ReadLog
from tallystick.ledger.retention_run import Retention
from tallystick.ledger.rotations import record_rotation
from tallystick.ledger.tenant_end import TenantEnd
from tallystick.log.clock_step import require_in_step
from tallystick.log.erasure_list import ErasureList
from tallystick.log.head_proof import is_being_copied
from tallystick.log.keys import LogKey, forget_former, missing_key, open_log_key
from tallystick.log.remembered_heads import RememberedHeads
from tallystick.log.sequencer import CommitListener, CommitStats, Sequencer
from tallystick.settings import Settings
from tallystick.store.away import NodesAway
from tallystick.store.base import LogHead, Store
from tallystick.store.sqlite.blobs import forget_uploads
from tallystick.store.truth import Truth, open_truth, require_ledger
from tallystick.witness.cosigned_folder import CosignedFolder
from tallystick.witness.stamper import Stamper, TimestampFolder
from tallystick.witness.status import witness_status
from tallystick.witness.submit import INTERVAL_S, Submitter
from tallystick.witness.trusted_time import require_timestamps
from tallystick.witness.witness_client import WitnessClient, WitnessConflict

WITNESSES_S = 3.0
"""How long a start waits for witnesses; one that answers later may still stop the writing."""

PROVING_S = 5.0
"""How long a start may spend on proving heads; the rest are proven before their first commit."""


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
        self.nodes_away = NodesAway(store.nodes_away)
        self.public_files = truth.public_files
        self.blobs = Blobs(store, truth.blob_content)
        self.key = key
        self.index = index
        self.settings = settings
        self.clock = clock
        self.commit_listeners: list[CommitListener] = []
        ttl_s = None if store.many_tenants else SHARED_IDENTITY_TTL_S
        common = common_settings(settings)
        self.identity = Identity(store, ttl_s=ttl_s, own_events_only=common.own_events_only)
        self.remembered = _remembered(folder, settings, key)
        self.sequencer = Sequencer(
            store,
            key,
            clock,
            committed=self._committed,
            overrun=index.overrun,
            precondition=self.remembered.require,
        )
        self.erasure_list = ErasureList(erasures_in(folder, settings))
        self._join_ledger(index)
        self.issuer = _issuer(key, self.identity, settings, clock)
        self.folder = folder
        self.name = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        """Tells this node from every other one on the same database."""
        self.followers = followers
        self._setup = setup = Setup(settings, self.name, common.own_events_only)
        self.follower_services = services_of(truth, key, setup, folder, clock, self.identity)
        self._acting: ActingFollowers | None = None
        self.cosigned = CosignedFolder(folder / COSIGNED_FOLDER)
        self.witnesses: Submitter | None = None
        """Has checkpoints cosigned; only a server does, not a command."""
        self.timestamps = TimestampFolder(folder / TIMESTAMPS_FOLDER)
        self.stamper: Stamper | None = None
        """Has checkpoints stamped, where the settings say so and this is a server."""
        # Why nothing is written to logs that others continue: on purpose, so no problem.
        self._ended: dict[str, Conflict] = {}
        self.warnings: list[str] = []
        """What was found at the start and does not stop the writing of a log."""
        self._lock: int | None = None

    def follow(self, references: Sequence[str]) -> None:
        """Run followers that act on the log, until `stop_following` or the end.

        Raises: SettingsError for a reference to nothing.
        """
        command = Command(self.folder.absolute(), self._setup, RULES) if self.followers else None
        self._acting = acting = ActingFollowers(references, self.follower_services, command)
        self.commit_listeners.append(acting.committed)
        # Told only now of what there is, so that no commit falls in between.
        acting.tell(self.store.log_heads())

    def stop_following(self) -> None:
        """Stop the followers that act on the log, and wait for their end; idempotent."""
        if self._acting is not None:
            with contextlib.suppress(ValueError):
                self.commit_listeners.remove(self._acting.committed)
            self._acting.close()
            self._acting = None

    def lag(self) -> Mapping[str, int]:
        """Return by how many entries each follower is behind, over all tenants."""
        return {**self.index.lag(), **({} if self._acting is None else self._acting.lag())}

    def _join_ledger(self, index: Index) -> None:
        """Put the ledger over what was joined before, and over it what takes content away."""
        self.ledger = Ledger(
            self.store, self.sequencer, index.reader, self.key, self.clock,
            erased=self._finish_erasures, acting=lambda: acting(self.identity),
        )  # fmt: skip
        self.erasures = Erasures(self.ledger, self.blobs)
        self.retention = Retention(self.ledger, self.blobs)
        self.tenant_end = TenantEnd(self.ledger, self.blobs)
        self.reads = ReadLog(self.ledger)

    def hold(self, lock: int) -> None:
        """Keep the lock of the data folder until the node is closed."""
        self._lock = lock

    def prove(self, *, lost_key: bool = False) -> None:
        """Look at every log before anybody writes to it; what is found stops its writing.

        With `lost_key` it is expected that none is signed with the key of the data folder.
        """
        heads = [head for head in self.store.log_heads() if not is_being_copied(head)]
        self._end_continued()
        tenants = [head.tenant for head in heads if head.tenant not in self._ended]
        strangers = [h for h in heads if h.key_id != self.key.verifier(h.origin, h.key_id).key_id]
        if heads and len(strangers) == len(heads) and not lost_key:
            self.sequencer.refuse(_another_key(tenants[0]))
            return
        self._prove_identity(heads)
        self._sweep_blobs(tenants)
        try:
            self.erasure_list.catch_up(self.store)
        except StoreError as error:
            self.warnings.append(f"the list of erasures is not current: {error.message}")
        vanished = self.remembered.vanished([head.tenant for head in heads])
        if vanished is not None:
            self.sequencer.refuse(_vanished(vanished))
        proven = self.sequencer.prove(tenants, deadline_s=PROVING_S)
        self.remembered.committed(self.sequencer.proven(tenants[:proven]))

    def start_timestamps(self) -> None:
        """Have checkpoints stamped from here on, where the settings say so.

        Raises: SettingsError when the URL or the library is missing.
        """
        settings = self.settings
        if settings.timestamps == "off":
            return
        require_timestamps()
        if settings.timestamp_url is None or settings.timestamp_hours <= 0:
            raise SettingsError("timestamps need timestamp_url, and timestamp_hours above 0")
        stamper = Stamper(
            self.timestamps,
            settings.timestamp_url,
            self.clock.now_ms,
            interval_s=settings.timestamp_hours * 3600,
        )
        stamper.start(self.sequencer.proven([head.tenant for head in self.store.log_heads()]))
        self.stamper = stamper

    def _end_continued(self) -> None:
        """Write no more to logs that another one continues."""
        for tenant in self.identity.tenants():
            if tenant.deleted_ms is not None:
                self._ended[tenant.id] = Conflict(f"the tenant {tenant.id!r} was deleted")
                self.sequencer.refuse(self._ended[tenant.id], tenant.id)
            if tenant.continues is not None:
                error = Conflict(
                    f"the log of {tenant.continues!r} has ended; that of {tenant.id!r} continues it"
                )
                self._ended[tenant.continues] = error
                self.sequencer.refuse(error, tenant.continues)

    def _sweep_blobs(self, tenants: Sequence[str]) -> None:
        """Destroy what a kill left of blobs that were erased."""
        if not self.followers:
            return
        for tenant in tenants:
            try:
                self.blobs.sweep(tenant)
            except (StoreBusy, StoreError) as error:
                self.warnings.append(f"erased blobs were not looked for: {error.message}")

    def start_witnesses(self, *, interval_s: float = INTERVAL_S) -> None:
        """Compare the proven heads with what witnesses know, and have them cosigned from here on.

        Cost: waits for witnesses that do not answer, but only for a moment.
        """
        is_starting = True

        def conflict(tenant: str, error: WitnessConflict) -> None:
            # At a start nobody has written yet: the claim is taken seriously without a proof.
            # Later, a witness that only claims things must not be able to stop a server.
            if is_starting or error.is_proven:
                self.sequencer.refuse(_another_history(tenant, error), tenant)

        client = WitnessClient(self.store, self.ledger.proofs)
        witnesses = Submitter(client, self.identity, self.cosigned, conflict, interval_s=interval_s)
        heads = self.sequencer.proven([head.tenant for head in self.store.log_heads()])
        witnesses.start(heads, deadline_s=WITNESSES_S)
        is_starting = False
        self.witnesses = witnesses

    def _prove_identity(self, heads: Sequence[LogHead]) -> None:
        """Let no record stand for anybody that contradicts the log; say which."""
        found: list[IdentityDifference] = []
        for head in heads:
            try:
                found += identity_differences(self.store, head.tenant, head.size)
            except StoreCorrupt as error:
                self.warnings.append(error.message)
        self.identity.distrust((each.tenant, each.kind, each.id) for each in found)
        self.warnings += [f"identity is not as the log tells: {each}" for each in found]

    def stopped(self, tenant: str) -> str | None:
        """Return why nothing is written to the log of a tenant; None when it is written to."""
        failures = self.sequencer.failures
        error = failures.get(None) or failures.get(tenant)
        return None if error is None else error.message

    def witness_status(self, tenant: str) -> list[Json]:
        """Return the witnesses of a log, each with what it cosigned last and what went wrong."""
        return witness_status(self.identity, self.cosigned, self.witnesses, tenant)

    @property
    def ended(self) -> frozenset[str]:
        """The tenants whose logs others continue."""
        return frozenset(self._ended)

    @property
    def problems(self) -> list[str]:
        """What is wrong with the store, as an operator must know it; empty when nothing is."""
        ended = list(self._ended.values())
        failures = [failure for failure in self.sequencer.failures.values() if failure not in ended]
        stamps: list[str] = []
        if self.stamper is not None and self.settings.timestamps == "required":
            stamps = self.stamper.failures
        return [failure.message for failure in failures] + self.warnings + stamps

    def check_clock(self) -> None:
        """Check that the clock of this server is not ahead of its database's.

        Raises: StoreFailed, StoreBusy.
        """
        require_in_step(self.clock.now_ms(), self.store.now_ms())

    def _finish_erasures(self) -> None:
        self.erasure_list.flush()
        self.store.settle_erased()

    def close(self) -> None:
        """Commit what is queued, stop the followers, release store and folder."""
        self.reads.close()
        self.sequencer.close()
        if self.witnesses is not None:
            self.witnesses.close()
        if self.stamper is not None:
            self.stamper.close()
        self.erasure_list.flush()
        self.remembered.close()
        self.stop_following()
        self.index.close()
        self._truth.close()
        self.key.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _committed(self, heads: Sequence[LogHead], stats: CommitStats) -> None:
        if stats.identity_changed:
            self.identity.changed()
        self.ledger.proofs.committed(heads)
        self.remembered.committed(heads)
        self.erasure_list.committed(heads, stats.erased)
        if self.witnesses is not None:
            self.witnesses.committed(heads)
        if self.stamper is not None:
            self.stamper.committed(heads)
        self.index.committed(heads, stats)
        for listener in self.commit_listeners:
            listener(heads, stats)


def _issuer(key: LogKey, identity: Identity, settings: Settings, clock: Clock) -> Issuer:
    url = settings.external_url or f"http://{settings.server_name}:{settings.port}"
    token_key = key.derive_ec_key(ec.SECP256R1(), "tokens")
    return Issuer(token_key, identity, clock, url=f"{url}/oauth/token")


def _another_key(tenant: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"the log of {tenant!r} is signed with another key",
        hint="start the server with the signing key that the log names",
    )


def _another_history(tenant: str, conflict: WitnessConflict) -> StoreCorrupt:
    return StoreCorrupt(
        f"nothing is written to the log of {tenant!r}: {conflict.message}",
        hint="bring the newer copy back; to go on without it, begin a new log that says so: "
        "tallystick tenants succeed",
    )


def _vanished(path: Path) -> StoreCorrupt:
    return StoreCorrupt(
        f"{path} remembers a log that is not in this store",
        hint="mount or restore the store that holds it; to go on without it: "
        "tallystick restore --accept NAME",
    )


def open_node(
    folder: Path,
    settings: Settings,
    *,
    followers: bool,
    clock: Clock | None = None,
    new: bool = False,
    lost_key: bool = False,
) -> Node:
    """Open the data folder, making it if there is none.

    With `followers` the indexes are kept by a child process, as a server wants it; without, by
    this process whenever it asks, as a command wants it. With `new` an empty log is begun in a
    folder whose ledger is gone; with `lost_key` a new signing key is made where it is gone.
    Raises: StoreLocked when another process has the folder, SchemaMismatch, SettingsError.
    """
    with contextlib.ExitStack() as undo:
        lock = hold(folder)
        undo.callback(os.close, lock)
        if settings.database is None:
            require_ledger(folder, new=new)
        truth = open_truth(folder, settings.database)
        undo.callback(truth.close)
        key = _open_key(folder, settings, truth.store, lost_key=lost_key)
        index = open_index(folder, truth.store, settings, child=followers)
        undo.callback(index.close)
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
        undo.pop_all()
    node.hold(lock)
    if new:
        node.remembered.reset(())
    node.prove(lost_key=lost_key)
    if record_rotation(node.ledger, node.key, node.ended):
        # Not before: a log that the former key signed last could not be extended without it.
        forget_former(folder / KEY_FILE)
    if followers:
        try:
            node.start_witnesses()
            node.start_timestamps()
        except BaseException:
            node.close()
            raise
    return node


def _open_key(folder: Path, settings: Settings, store: Store, *, lost_key: bool) -> LogKey:
    """Open the signing key; a new one is made for a store without logs, or where it is lost."""
    path = folder / KEY_FILE
    if not path.exists() and store.log_heads() and not lost_key:
        raise missing_key(path)
    return open_log_key(path, settings.server_name)


def _remembered(folder: Path, settings: Settings, key: LogKey) -> RememberedHeads:
    return RememberedHeads(
        remembered_in(folder, settings),
        key.verifiers,
        [Path(mirror) for mirror in settings.mirrors],
    )


def remembered_in(folder: Path, settings: Settings) -> list[Path]:
    """Return the folders in which heads are remembered."""
    elsewhere = settings.remembered_heads
    return [folder / HEADS_FOLDER, *([Path(elsewhere)] if elsewhere else [])]


def erasures_in(folder: Path, settings: Settings) -> list[Path]:
    """Return the files in which erasures are listed."""
    elsewhere = settings.erasure_list
    return [folder / ERASURES_FILE, *([Path(elsewhere)] if elsewhere else [])]
