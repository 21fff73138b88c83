"""The pages of streams: the list with how far each is behind, and one with its delivery log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import times
from tallystick.console.gate import Gate, Visit
from tallystick.console.pages.admin_frame import ADMIN, AdminFrame, acting
from tallystick.console.questions import moment
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, RequestError
from tallystick.events.event import Json
from tallystick.identity import makers
from tallystick.identity.streams import MODES, SINKS, Maker, Mode, Sink, Stream
from tallystick.query.native_filter import NativeFilter
from tallystick.subscriptions.streams.administration import (
    Place,
    StreamAdministration,
    WantedStream,
)
from tallystick.subscriptions.streams.carriers import DeliveryAttempt

_STREAMS = f"{ADMIN}/streams"
_ATTEMPTS_SHOWN = 50
_DEAD_SHOWN = 50
_SINK_NAMES: Mapping[str, str] = {
    "webhook": "Webhook",
    "hec": "Splunk",
    "otlp": "OpenTelemetry",
    "cloudevents": "CloudEvents",
    "objects": "Object store",
}


_UNKNOWN: Json = dict.fromkeys(
    (
        "delivered", "delivered_at", "problem", "attempts", "failing_since", "next_attempt_at",
        "replay", "waiting", "dead", "public_key",
    )
)  # fmt: skip


def stream_status(streams: StreamAdministration, stream: Stream) -> Json:
    """Return a stream with every member that a page may show; None where nothing is known."""
    return _UNKNOWN | streams.status(stream)


class StreamPages:
    """Handlers of streams."""

    def __init__(
        self,
        services: Services,
        gate: Gate,
        frame: AdminFrame,
        streams: StreamAdministration,
    ) -> None:
        self._identity = services.identity
        self._destinations = sorted(services.settings.streams_destinations)
        self._gate = gate
        self._frame = frame
        self._streams = streams

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on, one = self._gate.administering, f"{_STREAMS}/{{id}}"
        acts: Mapping[str, Callable[[Visit], str | None]] = {
            "pause": self._pause,
            "resume": self._resume,
            "replay": self._replay,
            "revive": self._revive,
            "skip": self._skip,
            "rotate": self._rotate,
        }
        create = acting(self._gate, self._create, _created_page, self._after_create)
        delete = acting(self._gate, self._delete, lambda _: _STREAMS, self._after)
        return [
            Route(_STREAMS, on(self._list), methods=["GET"]),
            Route(f"{_STREAMS}/create", create, methods=["POST"]),
            Route(one, on(self._one), methods=["GET"]),
            Route(f"{one}/test", on(self._test), methods=["POST"]),
            Route(f"{one}/delete", delete, methods=["POST"]),
            *(
                Route(
                    f"{one}/{name}",
                    acting(self._gate, act, _page_of, self._after),
                    methods=["POST"],
                )
                for name, act in acts.items()
            ),
        ]

    # Pages

    def _list(
        self, visit: Visit, error: RequestError | None = None, secret: str | None = None
    ) -> Response:
        streams = [stream_status(self._streams, each) for each in self._streams.all(visit.tenant)]
        return self._frame.show(
            visit, "streams", error=error, secret=secret, streams=streams, sinks=_SINK_NAMES,
            modes=MODES, destinations=self._destinations,
        )  # fmt: skip

    def _one(self, visit: Visit) -> Response:
        return self._after(visit, None, None)

    def _after(
        self,
        visit: Visit,
        error: RequestError | None,
        secret: str | None,
        *,
        id: str | None = None,
        outcome: DeliveryAttempt | None = None,
    ) -> Response:
        stream = self._streams.get(visit.tenant, id or _id(visit))
        dead = self._streams.dead_letters(stream, _DEAD_SHOWN) if stream.mode == "parallel" else []
        return self._frame.show(
            visit, "streams", "admin_stream.html", error=error, secret=secret,
            stream=stream_status(self._streams, stream), sinks=_SINK_NAMES, outcome=outcome,
            attempts=self._streams.deliveries(stream, _ATTEMPTS_SHOWN), dead=dead,
        )  # fmt: skip

    def _after_create(
        self, visit: Visit, error: RequestError | None, secret: str | None
    ) -> Response:
        if error is not None:
            return self._list(visit, error)
        return self._after(visit, None, secret, id=visit.form.get("name", "").strip())

    # Acts

    def _create(self, visit: Visit) -> str | None:
        sink, mode = visit.form.get("sink", ""), visit.form.get("mode", "")
        if sink not in SINKS or mode not in MODES:
            raise Malformed("Choose what receives the events, and in which order.", path="sink")
        chosen: tuple[Sink, Mode] = (sink, mode)  # type: ignore[assignment]  # looked at above
        wanted = WantedStream(
            name=_text(visit, "name") or "",
            sink=chosen[0],
            to=_text(visit, "to") or "",
            mode=chosen[1],
            filter=_filter(visit),
            headers=_pairs(visit, "headers", ":") or None,
            token=_text(visit, "token"),
            options=_pairs(visit, "options", "=") or None,
            start=_place(visit, "start") or "now",
        )
        stream = self._streams.create(visit.tenant, wanted, self._maker(visit), visit.visitor.actor)
        return self._streams.secret(stream)

    def _pause(self, visit: Visit) -> None:
        reason = _text(visit, "reason") or "paused by an administrator"
        self._streams.pause(visit.tenant, _id(visit), reason, visit.visitor.actor)

    def _resume(self, visit: Visit) -> None:
        actor = visit.visitor.actor
        self._streams.resume(visit.tenant, _id(visit), self._maker(visit), actor)

    def _replay(self, visit: Visit) -> None:
        start = _place(visit, "from")
        if start is None:
            raise Malformed("Say from where to send again.", path="from")
        stop = _place(visit, "to")
        self._streams.replay(visit.tenant, _id(visit), start, stop, visit.visitor.actor)

    def _revive(self, visit: Visit) -> None:
        self._streams.revive(visit.tenant, _id(visit), visit.visitor.actor)

    def _skip(self, visit: Visit) -> None:
        self._streams.skip(visit.tenant, _id(visit), _place(visit, "to"), visit.visitor.actor)

    def _rotate(self, visit: Visit) -> str | None:
        stream, _ = self._streams.rotate(visit.tenant, _id(visit), visit.visitor.actor)
        return self._streams.secret(stream)

    def _delete(self, visit: Visit) -> None:
        if visit.form.get("confirm", "").strip() != _id(visit):
            raise Malformed("Nothing was deleted: the name that you typed is not the stream's.")
        self._streams.delete(visit.tenant, _id(visit), visit.visitor.actor)

    def _test(self, visit: Visit) -> Response:
        outcome = self._streams.test(visit.tenant, _id(visit), visit.visitor.actor)
        return self._after(visit, None, None, outcome=outcome)

    def _maker(self, visit: Visit) -> Maker:
        if visit.visitor.token.kind == "operator":
            return makers.OPERATOR
        return makers.maker_of(self._identity, visit.visitor.principal)


def _id(visit: Visit) -> str:
    id: str = visit.request.path_params["id"]
    return id


def _page_of(visit: Visit) -> str:
    return f"{_STREAMS}/{_id(visit)}"


def _created_page(visit: Visit) -> str:
    return f"{_STREAMS}/{_text(visit, 'name')}"


def _text(visit: Visit, field: str) -> str | None:
    return visit.form.get(field, "").strip() or None


def _place(visit: Visit, field: str) -> Place | None:
    """Return a place of the log from a form: `now`, `start`, a position, or a time."""
    text = _text(visit, field)
    if text is None or text in ("now", "start"):
        return text
    if text.isascii() and text.isdigit() and len(text) < 16:
        return int(text)
    time_ms = moment(text, visit.zone, field)
    return None if time_ms is None else times.to_rfc3339(time_ms)


def _filter(visit: Visit) -> NativeFilter:
    kinds = (_text(visit, "kind") or "").replace(",", " ").split()
    return NativeFilter(q=_text(visit, "q"), kind=tuple(kinds))


def _pairs(visit: Visit, field: str, mark: str) -> dict[str, str]:
    """Return names and values from the lines of a field.

    Raises: Malformed.
    """
    pairs: dict[str, str] = {}
    for line in visit.form.get(field, "").splitlines():
        name, found, value = line.partition(mark)
        if not line.strip():
            continue
        if not found or not name.strip():
            raise Malformed(f"Write one NAME{mark}VALUE a line.", path=field)
        pairs[name.strip()] = value.strip()
    return pairs
