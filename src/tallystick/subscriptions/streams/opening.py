"""Opening what the sending of streams needs: states, carriers, the services of senders."""

from __future__ import annotations

from pathlib import Path

from tallystick.clock import Clock
from tallystick.data_folder import STREAMS_FILE
from tallystick.identity.records import Identity
from tallystick.log.keys import LogKey
from tallystick.settings import Settings
from tallystick.store.base import Store
from tallystick.store.sqlite.stream_states import SqliteStreamStates
from tallystick.store.stream_states import StreamStates
from tallystick.subscriptions.streams.addresses import AllowedNetworks
from tallystick.subscriptions.streams.carriers import Outside
from tallystick.subscriptions.streams.exchange import Dialer
from tallystick.subscriptions.streams.sender import SenderServices
from tallystick.subscriptions.streams.sinks.objects import destination


def open_states(folder: Path, settings: Settings, owner: str) -> StreamStates:
    """Open the states of streams: beside the log, or in the database that holds it."""
    if settings.database is None:
        return SqliteStreamStates(folder / STREAMS_FILE)
    # Imported late: the driver is an extra that a folder does without.
    from tallystick.store.postgres.stream_states import PostgresStreamStates

    return PostgresStreamStates(settings.database, owner)


def outside_of(settings: Settings, key: LogKey) -> Outside:
    """Return what carriers need, as an operator configured it.

    Raises: SettingsError.
    """
    dialer = Dialer(AllowedNetworks(settings.streams_allow))
    for name in settings.streams_destinations:
        destination(name, settings.streams_destinations)
    return Outside(dialer, settings.streams_destinations, key.derive_secret)


def services_of(
    store: Store, states: StreamStates, settings: Settings, *,
    key: LogKey, clock: Clock, identity: Identity,
) -> SenderServices:  # fmt: skip
    """Return what senders need.

    `identity` remembers nothing: a right that was taken away counts for the next delivery.
    """
    outside = outside_of(settings, key)
    return SenderServices(store, states, identity, outside, clock, settings.server_name)
