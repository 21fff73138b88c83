"""The follower that sends streams, as a value."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec
import structlog

from tallystick.errors import TallystickError, for_operator
from tallystick.followers.kind import TruthKind
from tallystick.followers.messages import FollowerOrder, FollowerReport
from tallystick.followers.services import FollowerServices
from tallystick.identity.streams import Stream
from tallystick.store.base import Store
from tallystick.store.stream_states import StreamStates
from tallystick.subscriptions.streams.opening import open_states, services_of
from tallystick.subscriptions.streams.progress import StreamProgress
from tallystick.subscriptions.streams.senders import Senders
from tallystick.subscriptions.streams.sinks.objects import drop_ambient_credentials

_LOOK_S = 1.0

_log = structlog.get_logger("tallystick.streams")


class StreamsWork:
    """Senders in threads of their own; the loop passes on what grew and reports how far they are.

    Each stream has a cursor of its own, with the leaf hash of the entry before it, which its
    sender compares; see `subscriptions.cursor`. A tenant is as far as the last of its streams.
    """

    gather_s = 0.02

    def __init__(self, senders: Senders, states: StreamStates, store: Store) -> None:
        self._senders = senders
        self._states = states
        self._store = store
        self._heads: dict[str, int] = {}
        self._cursors: dict[str, int] = {}
        self._looked_s = 0.0

    def cursors(self) -> Mapping[str, int]:
        """Return for each tenant up to where all of its streams were delivered."""
        return self._cursors

    def hear(self, order: FollowerOrder) -> None:
        """Pass on which logs have grown; senders compare their cursors before they send."""
        self._heads |= order.heads
        self._senders.committed(order.heads)

    def patience_s(self) -> float:
        """Return how long to wait for an order."""
        return _LOOK_S

    def turn(self) -> FollowerReport | None:
        """Look now and then how far the senders are."""
        if time.monotonic() - self._looked_s < _LOOK_S:
            return None
        try:
            found = self._heads | self._positions()
        except TallystickError as error:
            _log.warning("streams_not_looked_at", reason=for_operator(error))
            return None
        self._looked_s = time.monotonic()
        moved = {tenant: at for tenant, at in found.items() if self._cursors.get(tenant) != at}
        self._cursors |= moved
        return FollowerReport(cursors=moved) if moved else None

    def tidy(self) -> None:
        """Do nothing: states are kept by those who send."""

    def close(self) -> None:
        """Stop the senders; idempotent."""
        self._senders.close()

    def _positions(self) -> dict[str, int]:
        """Return how far the tenants with active streams are."""
        states = {(row.tenant, row.stream): row.doc for row in self._states.all()}
        found: dict[str, int] = {}
        for row in self._store.identities(None, "stream"):
            stream = msgspec.json.decode(row.doc, type=Stream)
            if stream.state != "active":
                continue
            at = stream.start
            doc = states.get((row.tenant, row.id))
            if doc is not None:
                progress = msgspec.json.decode(doc, type=StreamProgress)
                at = progress.at.index if progress.salt == stream.salt else at
            head = self._heads.get(row.tenant, 0)
            found[row.tenant] = min(at, found.get(row.tenant, head), head)
        return found


def _begin(services: FollowerServices) -> StreamsWork:
    # Object stores would otherwise take the credentials of the machine for a customer's.
    drop_ambient_credentials()
    states = open_states(services.folder, services.settings, services.server)
    senders = Senders(
        services_of(
            services.store,
            states,
            services.settings,
            key=services.key,
            clock=services.clock,
            identity=services.fresh_identity(),
        )
    )
    return StreamsWork(senders, states, services.store)


STREAMS_KIND = TruthKind(
    "streams", open=_begin, is_wanted=lambda store: bool(store.identities(None, "stream"))
)
