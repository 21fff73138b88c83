"""Administration of reviews: who looked through which stretch of the log, and what nobody did."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import times
from tallystick.dialects.services import Services
from tallystick.errors import NotFound
from tallystick.events import references
from tallystick.events.event import Json
from tallystick.http.admin.guard import ONE, AdminGuard, Input, decode, json_response
from tallystick.ledger.reviews import Review, review, reviews_of, unreviewed
from tallystick.store.base import LogHead

_REVIEWS = ONE + "/reviews"


class ReviewIn(Input, frozen=True, rename={"from_": "from"}):
    """A stretch of the log that was reviewed; without `to`, up to its end."""

    remark: str
    from_: int = 0
    to: int | None = None


class AdminReviewsApi:
    """Handlers of reviews; each is an entry in the tenant's log."""

    def __init__(self, services: Services, guard: AdminGuard) -> None:
        self._services = services
        self._ledger = services.ledger
        self._guard = guard

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._guard.on
        return [
            Route(_REVIEWS, on(self._list), methods=["GET"]),
            Route(_REVIEWS, on(self._review), methods=["POST"]),
        ]

    def _list(self, request: Request, tenant: str) -> Response:
        head = self._head(tenant)
        found = reviews_of(self._ledger.store, tenant)
        return json_response(
            {
                "size": head.size,
                "reviews": [_told(each) for each in found],
                "unreviewed": unreviewed(found, head.size),
            }
        )

    def _review(self, request: Request, tenant: str) -> Response:
        wanted = decode(ReviewIn, request.state.body)
        head = self._head(tenant)
        draft = review(
            wanted.from_,
            head.size if wanted.to is None else wanted.to,
            wanted.remark,
            by=self._guard.actor(request),
            size=head.size,
            origin=head.origin,
        )
        [accepted] = self._ledger.append(tenant, [draft])
        found = reviews_of(self._ledger.store, tenant)
        return json_response(_told(next(r for r in found if r.index == accepted.index)), 201)

    def _head(self, tenant: str) -> LogHead:
        head = self._ledger.store.log_head(tenant)
        if head is None:
            raise NotFound(f"there is no tenant {tenant!r}")
        return head


def _told(one: Review) -> Json:
    reviewer = one.reviewer
    return {
        "index": one.index,
        "from": one.start,
        "to": one.stop,
        "remark": one.remark,
        "reviewer": None if reviewer is None else references.to_text(*reviewer.key),
        "recorded_at": times.to_rfc3339(one.recorded_ms),
    }
