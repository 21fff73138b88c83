"""Events read and searched, each with its place in the public log.

Synchronous: the routes run it in worker threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tallystick.dialects.datatrails import attachments, filters, rendering, wire
from tallystick.dialects.datatrails.caller import DataTrailsCaller
from tallystick.dialects.services import Services
from tallystick.errors import NotFound
from tallystick.events.event import Json, Op, View
from tallystick.ledger.selections import Row, Selection
from tallystick.query.expr import RECORDED_ORDER
from tallystick.query.question import Find


class Published(NamedTuple):
    """How many of a tenant's entries are in the public log, and how many a seal covers."""

    committed: int
    confirmed: int


class TrailEvents:
    """Reads events for callers."""

    def __init__(self, services: Services) -> None:
        self._ledger = services.ledger
        self._files = services.followers.public_files

    def created(self, caller: DataTrailsCaller, index: int) -> Json:
        """Return an event that was just stored, as create answers it."""
        view = self._ledger.view_at(caller.tenant, index)
        return wire.from_event(view, tenant_uuid=caller.tenant_uuid)

    def view(self, caller: DataTrailsCaller, uuid: str) -> View:
        """Return an event that the caller may see.

        Raises: NotFound.
        """
        index = self._ledger.index_of(caller.tenant, uuid)
        if index is not None:
            view = self._ledger.view_at(caller.tenant, index)
            if view.first.op is Op.RECORD and self._ledger.may_see(view, caller.visible):
                return view
        raise NotFound(f"there is no event {wire.identity(uuid)}")

    def read(self, caller: DataTrailsCaller, uuid: str) -> Json:
        """Return an event by its UUID.

        Raises: NotFound.
        """
        return self._rendered(caller, self.view(caller, uuid), self._published(caller))

    def search(
        self, caller: DataTrailsCaller, asked: wire.EventSearch
    ) -> tuple[Selection, Callable[[Row], Json]]:
        """Return a page of the events that match a filter, in the order they were recorded.

        With it comes what shows each as the API does.

        Raises: InvalidQuery, FollowerBehind.
        """
        published = self._published(caller)
        wanted = filters.parse_filter(
            asked.filter, tenant_uuid=caller.tenant_uuid, committed=published.committed
        )
        question = Find(
            where=wanted.expr,
            dialect=rendering.DIALECT,
            sort=RECORDED_ORDER,
            limit=asked.top,
            offset=asked.skip,
            total=True,
        )
        page = self._ledger.select(caller.tenant, question, caller.visible)
        return page, lambda row: self._rendered(caller, row[0], published)

    def require_attachment(self, caller: DataTrailsCaller, uuid: str, blob_id: str) -> None:
        """Let the caller have a blob through an event that names it.

        Raises: NotFound.
        """
        view = self.view(caller, uuid)
        shown = rendering.shown(view.first, view.salt_hash)
        if not attachments.names_blob(shown.attributes, blob_id):
            raise NotFound(f"the event has no attachment {blob_id}")

    def _published(self, caller: DataTrailsCaller) -> Published:
        log = self._files.cursor(caller.tenant)
        return Published(0, 0) if log is None else Published(log.leaves, log.sealed)

    @staticmethod
    def _rendered(caller: DataTrailsCaller, view: View, published: Published) -> Json:
        status = wire.status_of(view.index, committed=published[0], confirmed=published[1])
        return wire.from_event(view, tenant_uuid=caller.tenant_uuid, status=status)
