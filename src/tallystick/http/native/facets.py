"""Facets and histogram over the result of any query: what a console draws beside a list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from zoneinfo import ZoneInfo

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text, times
from tallystick.dialects.services import Services
from tallystick.errors import Malformed
from tallystick.events.event import Json
from tallystick.http.native import parameters
from tallystick.identity import access
from tallystick.identity.access import Principal
from tallystick.identity.access import Scope as Right
from tallystick.query.aggregate import (
    Aggregate,
    TimeSeries,
    TimeSeriesResult,
    TopValues,
    TopValuesResult,
)
from tallystick.query.calendar import Interval, check_zone

Handler = Callable[[Request, Principal], Awaitable[Response]]
Guard = Callable[[Right, Handler], Callable[[Request], Awaitable[Response]]]

_FACETS = ("kind", "actor", "target.type")
_FACETS_MAX = 10
_FACET_LIMIT_MAX = 1000
_OFFSET_MINUTES_MAX = 24 * 60


class AnalysisApi:
    """Handlers of facets and histogram; both take every parameter of the list."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ledger = services.ledger

    def routes(self, guarded: Guard) -> Sequence[BaseRoute]:
        """Return the routes; they go before the one of a single event."""
        return [
            Route("/v1/events/facets", guarded(Right.READ, self.facets), methods=["GET"]),
            Route("/v1/events/histogram", guarded(Right.READ, self.histogram), methods=["GET"]),
        ]

    async def facets(self, request: Request, principal: Principal) -> Response:
        """Answer how often each value of some fields occurs, most frequent first."""
        return await self._answer(request, partial(self._facets, request.query_params, principal))

    def _facets(self, params: QueryParams, principal: Principal) -> Response:
        fields = tuple(filter(None, params.get("fields", ",".join(_FACETS)).split(",")))
        if not 0 < len(fields) <= _FACETS_MAX:
            raise Malformed(f"fields names 1 to {_FACETS_MAX} fields", path="fields")
        top = parameters.whole(params, "top", 10, 1, _FACET_LIMIT_MAX)
        known = parameters.fields_of(
            self._ledger.paths, principal.tenant, access.visible(principal)
        )
        requests = [TopValues(known.named(field), limit=top) for field in fields]
        results = self._aggregate(params, principal, requests, frozenset({"fields", "top"}))
        facets: Json = {}
        for field, result in zip(fields, results, strict=True):
            assert isinstance(result, TopValuesResult)
            facets[field] = [{"value": v, "count": count} for v, count in result.entries]
        return _json({"facets": facets})

    async def histogram(self, request: Request, principal: Principal) -> Response:
        """Answer how many events happened in each calendar interval that has any."""
        return await self._answer(
            request, partial(self._histogram, request.query_params, principal)
        )

    async def _answer(self, request: Request, answer: Callable[[], Response]) -> Response:
        return await self._services.door().run(
            parameters.answer_as_of, request.query_params, answer
        )

    def _histogram(self, params: QueryParams, principal: Principal) -> Response:
        names = {interval.value: interval for interval in Interval}
        interval = parameters.one_of(params, "interval", names, "day")
        zone = _time_zone(params)
        offset = _offset_minutes(params)
        requests = [TimeSeries("occurred_ms", interval, offset, zone)]
        own = frozenset({"interval", "offset_minutes", "time_zone"})
        (result,) = self._aggregate(params, principal, requests, own)
        assert isinstance(result, TimeSeriesResult)
        buckets = [_bucket(at, count, zone) for at, count in result.buckets]
        clock: Json = {"offset_minutes": offset} if zone is None else {"time_zone": zone}
        return _json({"interval": interval, **clock, "buckets": buckets})

    def _aggregate(
        self,
        params: QueryParams,
        principal: Principal,
        requests: Sequence[Aggregate],
        own: frozenset[str],
    ) -> Sequence[object]:
        tenant, visible = principal.tenant, access.visible(principal)
        question = parameters.question(self._ledger.paths, tenant, params, visible, more=own)
        return self._ledger.aggregate(tenant, question, requests, visible)


def _bucket(start_ms: int, count: int, zone: str | None) -> Json:
    start: Json = {"start": times.to_rfc3339(start_ms)}
    if zone is not None:
        start["local"] = times.in_zone(start_ms, ZoneInfo(zone)).isoformat()
    return {**start, "count": count}


def _time_zone(params: QueryParams) -> str | None:
    name = params.get("time_zone")
    if name is None:
        return None
    if "offset_minutes" in params:
        raise Malformed("pass time_zone or offset_minutes, not both", path="offset_minutes")
    return check_zone(name, "time_zone")


def _offset_minutes(params: QueryParams) -> int:
    text = params.get("offset_minutes", "0")
    number = text.removeprefix("-")
    whole = number.isascii() and number.isdigit() and len(number) < 5
    if not whole or int(number) > _OFFSET_MINUTES_MAX:
        raise Malformed(
            f"offset_minutes is a whole number of at most a day, {_OFFSET_MINUTES_MAX}, either way",
            path="offset_minutes",
        )
    return int(text)


def _json(value: object) -> Response:
    return Response(json_text.encode(value), media_type="application/json")
