"""The page of the log: its checkpoint, how it grows, who follows it, and checking a receipt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from tallystick import times
from tallystick.console.gate import Gate, Visit
from tallystick.console.pages.streams import stream_status
from tallystick.console.services import ConsoleServices
from tallystick.console.session import PATH
from tallystick.dialects.services import Services
from tallystick.query.aggregate import TimeSeries, TimeSeriesResult
from tallystick.query.calendar import Interval
from tallystick.query.expr import Range
from tallystick.query.question import Find

_DAYS = 30


class Growth(NamedTuple):
    """Events that were recorded on a day."""

    start_ms: int
    count: int  # type: ignore[assignment]  # a tuple has a method of that name
    height: float


class LogPages:
    """Handlers of the page of the log."""

    def __init__(self, services: Services, gate: Gate, parts: ConsoleServices) -> None:
        self._services = services
        self._ledger = services.ledger
        self._gate = gate
        self._parts = parts

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        reading = self._gate.reading
        return [
            Route(f"{PATH}/log", reading(self._page), methods=["GET"]),
            Route(f"{PATH}/log/checkpoint", reading(self._checkpoint), methods=["GET"]),
        ]

    def _page(self, visit: Visit) -> Response:
        head = self._ledger.proofs.head(visit.tenant)
        growth, parts, tenant = self._growth(visit), self._parts, visit.tenant
        is_admin = visit.visitor.is_admin
        streams = parts.streams.all(tenant) if is_admin else []
        return visit.show(
            "log.html",
            head=head, root=head.root.hex(), growth=growth, days=_DAYS,
            verifier_key=self._ledger.proofs.verifier_key(visit.tenant),
            tenant=self._services.identity.tenant(visit.tenant),
            followers=dict(parts.lag()) if is_admin else None,
            streams=[stream_status(parts.streams, stream) for stream in streams],
            witnesses=parts.witnesses(tenant), stopped=parts.stopped(tenant),
        )  # fmt: skip

    def _growth(self, visit: Visit) -> list[Growth]:
        """Return the events of each of the last days, as far as the reader may see them."""
        now_ms = self._services.clock.now_ms()
        request = TimeSeries("recorded_ms", Interval.DAY, zone=visit.zone.key)
        calendar = request.calendar
        days = [calendar.start_of(now_ms)]
        while len(days) < _DAYS:
            days.append(calendar.start_of(days[-1] - times.HOUR_MS))
        question = Find(where=Range("recorded_ms", days[-1], None), limit=0)
        (result,) = self._ledger.aggregate(visit.tenant, question, [request], visit.visible)
        assert isinstance(result, TimeSeriesResult)
        counts = dict(result.buckets)
        highest = max(counts.values(), default=1)
        return [
            Growth(day, counts.get(day, 0), round(counts.get(day, 0) / highest * 60, 2))
            for day in reversed(days)
        ]

    def _checkpoint(self, visit: Visit) -> Response:
        return PlainTextResponse(self._ledger.proofs.head(visit.tenant).checkpoint)
