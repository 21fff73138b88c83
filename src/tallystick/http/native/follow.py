"""Following the log: the live tail, and pages for pollers.

Both take the filters of the list, show what the list shows, and go on from the same cursor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from tallystick import limits
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound
from tallystick.events.event import Json, Op
from tallystick.events.rendering import EventOut
from tallystick.http.live.hub import Hub
from tallystick.http.live.reader import LiveReader
from tallystick.http.live.response import LiveResponse
from tallystick.http.native import parameters
from tallystick.identity import access
from tallystick.identity.access import Principal
from tallystick.identity.admission import ADMISSION
from tallystick.ledger.entries_read import note_question
from tallystick.query.native_filter import FILTER_PARAMETERS
from tallystick.query.question import Over
from tallystick.query.values import Values
from tallystick.store.base import LogHead
from tallystick.subscriptions import cursor, notices
from tallystick.subscriptions.changes import Change, LogPosition, read_changes
from tallystick.subscriptions.subscription import Disclosure, Judge, Subscription

_TAIL_PARAMETERS = FILTER_PARAMETERS | {"cursor", "since", "view"}
_PAGE_PARAMETERS = _TAIL_PARAMETERS | {"follow", "limit"}
_OF_LISTS = frozenset({"order", "sort", "offset", "total", "explain"})
_SECRETS = frozenset(
    {"key", "api_key", "apikey", "api-key", "access_token", "token", "auth", "authorization"}
)
_VIEWS = {"default": Over.EVENTS, "log": Over.LOG}
_PAGE_S = 1.0
"""How long a page may look for events before it is answered with those found."""


class Followed(NamedTuple):
    """A page of the log for a poller."""

    answer: Json
    next: str


class LogFollower:
    """Answers those who follow a log."""

    def __init__(self, services: Services, hub: Hub) -> None:
        self._services = services
        self._ledger = services.ledger
        self._hub = hub

    async def stream(self, request: Request, principal: Principal) -> Response:
        """Answer a live tail to the bearer of a credential."""
        state = {k: v for k, v in request.scope["state"].items() if k != ADMISSION}
        scope = {**request.scope, "state": state}

        def look() -> Principal:
            state.pop(ADMISSION, None)
            return self._services.authenticate(scope)

        params, headers = request.query_params, request.headers
        return await self.respond(principal, params, headers.get("last-event-id"), look)

    async def respond(
        self,
        principal: Principal,
        params: QueryParams,
        last_id: str | None,
        look: Callable[[], Principal],
    ) -> Response:
        """Answer a live tail to a principal; `look` tells who it is now, or raises.

        Raises: Malformed, InvalidQuery, Conflict for a cursor of a log that was set back.
        """
        subscription, position = await self._services.door().run(
            self._begin, principal, params, last_id
        )
        return LiveResponse(self._hub, LiveReader(principal, subscription, position, look))

    def _begin(
        self, principal: Principal, params: QueryParams, last_id: str | None
    ) -> tuple[Subscription, LogPosition]:
        check_no_secret(params)
        parameters.check_names(params, _TAIL_PARAMETERS)
        subscription = self._subscription(principal, params)
        head = self._head(principal.tenant)
        position = self._start(head, params, last_id)
        if position is None:
            position = cursor.at(self._ledger.store, head.tenant, head.size)
        return subscription, position

    def page(self, principal: Principal, params: QueryParams) -> Followed:
        """Return the next events in the order of the log, and what happened to earlier ones.

        Raises: Malformed, InvalidQuery, Conflict for a cursor of a log that was set back.
        """
        check_no_secret(params)
        for name in sorted(_OF_LISTS & set(params)):
            raise Malformed(f"{name} cannot be combined with follow=true", path=name)
        parameters.check_names(params, _PAGE_PARAMETERS)
        limit = parameters.whole(params, "limit", limits.LIST_LIMIT, 1, limits.LIST_LIMIT_MAX)
        subscription = self._subscription(principal, params)
        head = self._head(principal.tenant)
        start = self._start(head, params, None) or LogPosition(0)
        passed, following = self._passed(subscription, head, start, limit)
        events: list[EventOut] = []
        changes: list[Json] = []
        for change, disclosure in passed:
            content = notices.content_of(change, disclosure, subscription.over)
            if not isinstance(content, EventOut):
                changes.append({"op": change.op, "notice": content})
            elif change.op is Op.REVISE and subscription.over is Over.EVENTS:
                changes.append({"op": change.op, "event": content})
            else:
                events.append(content)
        after = cursor.encode(head.origin, following)
        is_more = following.index < head.size
        return Followed(
            {"events": events, "changes": changes, "next": after, "more": is_more}, after
        )

    def _passed(
        self, subscription: Subscription, head: LogHead, start: LogPosition, limit: int
    ) -> tuple[list[tuple[Change, Disclosure]], LogPosition]:
        """Return the next changes that pass, `limit` at most, and where to go on."""
        judge, store = Judge(subscription), self._ledger.store
        room_bytes = self._services.settings.page_bytes
        passed: list[tuple[Change, Disclosure]] = []
        until_s = time.monotonic() + _PAGE_S
        while start.index < head.size:
            part = read_changes(store, head.tenant, start, head.size, over=subscription.over)
            for change in part.changes:
                disclosure = judge(change, Values(change.view))
                if disclosure is not Disclosure.NOTHING:
                    passed.append((change, disclosure))
                if len(passed) == limit:
                    return passed, change.following
            start = part.following
            room_bytes -= limits.SLICE_BYTES if passed else 0
            if time.monotonic() >= until_s or room_bytes < limits.SLICE_BYTES:
                break
        return passed, start

    def _subscription(self, principal: Principal, params: QueryParams) -> Subscription:
        visible = access.visible(principal)
        fields = parameters.fields_of(self._ledger.paths, principal.tenant, visible)
        return Subscription(
            where=parameters.filter_of(params).where(fields),
            visible=visible,
            over=parameters.one_of(params, "view", _VIEWS, "default"),
        )

    def _head(self, tenant: str) -> LogHead:
        note_question(tenant)
        head = self._ledger.store.log_head(tenant)
        if head is None:
            raise NotFound(f"tenant {tenant!r} has no log")
        return head

    def _start(self, head: LogHead, params: QueryParams, last_id: str | None) -> LogPosition | None:
        text = last_id or params.get("cursor")
        if text is not None:
            return cursor.resume(self._ledger.store, head, text)
        since_ms = parameters.time(params, "since")
        return None if since_ms is None else cursor.since(self._ledger.store, head, since_ms)


def check_no_secret(params: QueryParams) -> None:
    """Refuse a credential in a URL: URLs are logged, kept in histories and sent as referrers.

    Raises: Malformed.
    """
    for name in params:
        if name.lower() in _SECRETS:
            raise Malformed(
                f"{name[:64]!r} is not accepted in the URL",
                path=name,
                hint="send the key in the Authorization header",
            )
