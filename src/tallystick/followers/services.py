"""What a follower that acts on the log is given, in whatever process it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.clock import Clock, SystemClock
from tallystick.data_folder import KEY_FILE
from tallystick.followers.process import Setup
from tallystick.identity.records import Identity
from tallystick.log.keys import LogKey, read_log_key
from tallystick.log.views import LogReader
from tallystick.settings import Settings
from tallystick.store.base import Store
from tallystick.store.public_files import PublicFiles
from tallystick.store.truth import Truth, open_truth

SHARED_IDENTITY_TTL_S = 2.0
"""How long another process's change of identity may go unnoticed."""


class FollowerServices(NamedTuple):
    """The log, identity, and what belongs to the server."""

    folder: Path
    """The data folder."""
    store: Store
    log: LogReader
    public_files: PublicFiles
    identity: Identity
    fresh_identity: Callable[[], Identity]
    """Returns one that remembers nothing: a right that was taken away counts at once."""
    settings: Settings
    clock: Clock
    key: LogKey
    server: str
    """Tells this server from every other."""

    def derive_key(self, curve: ec.EllipticCurve, purpose: str) -> ec.EllipticCurvePrivateKey:
        """Return the server's private key for a purpose: always the same one."""
        return self.key.derive_ec_key(curve, purpose)


class OpenedServices(NamedTuple):
    """Services with what has to be closed after them."""

    services: FollowerServices
    truth: Truth

    def close(self) -> None:
        """Release files and connections; idempotent."""
        self.truth.close()


def services_of(
    truth: Truth, key: LogKey, setup: Setup, folder: Path, clock: Clock, identity: Identity
) -> FollowerServices:
    """Return the services over what is open."""

    def fresh_identity() -> Identity:
        return Identity(truth.store, ttl_s=0.0, own_events_only=setup.own_events_only)

    return FollowerServices(
        folder,
        truth.store,
        LogReader(truth.store),
        truth.public_files,
        identity,
        fresh_identity,
        setup.settings,
        clock,
        key,
        setup.server,
    )


def open_services(folder: Path, setup: Setup) -> OpenedServices:
    """Open what a follower beside a server needs.

    Raises: SchemaMismatch, SettingsError, StoreBusy, StoreFailed.
    """
    truth = open_truth(folder, setup.settings.database)
    identity = Identity(
        truth.store, ttl_s=SHARED_IDENTITY_TTL_S, own_events_only=setup.own_events_only
    )
    key = read_log_key(folder / KEY_FILE)
    services = services_of(truth, key, setup, folder, SystemClock(), identity)
    return OpenedServices(services, truth)
