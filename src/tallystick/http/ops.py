"""Routes for operators: health, readiness, metrics."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tallystick import __version__, json_text
from tallystick.errors import (
    Forbidden,
    NotFound,
    StoreBusy,
    TallystickError,
    Unauthenticated,
    for_operator,
)
from tallystick.events.event import Json
from tallystick.http.auth import CONTROL
from tallystick.http.metrics import Metrics
from tallystick.identity import credentials
from tallystick.node.node import Node
from tallystick.store.write_probe import WriteProbe, try_folder

_PROBE_S = 2.0
"""How long the store may take to write next to nothing before the server is not ready."""
_PAUSE_S = 0.05
_PATIENCE = 15
"""Pauses that a question about readiness waits: less than what probes give up after, a second."""


class OpsApi:
    """Handlers for operators; none of them needs a credential or tells about tenants."""

    def __init__(self, node: Node, metrics: Metrics) -> None:
        self._node = node
        self._metrics = metrics
        self._probe = WriteProbe(
            partial(try_folder, node.folder), node.store.try_write, node.check_clock
        )
        # The one that is under way, which further questions wait for too.
        self._probing: asyncio.Future[TallystickError | None] | None = None

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            Route("/v1/admin/rebuild/{follower}", self.rebuild, methods=["POST"]),
        ]

    async def healthz(self, request: Request) -> Response:
        """Answer that the process lives."""
        return _json({"status": "ok", "version": __version__})

    async def readyz(self, request: Request) -> Response:
        """Answer whether the server takes events and answers reads.

        After a start it may take followers a moment to come up: that is waited for here, so that
        the first question is not answered in vain.
        """
        reasons = self._node.problems
        if reasons:
            return _json({"status": "failed", "reason": reasons[0], "reasons": reasons}, 503)
        failure = await self._failure()
        if failure is not None:
            reason = failure.message
            return _json({"status": "failed", "reason": reason, "reasons": [reason]}, 503)
        patience = _PATIENCE
        while late := self._node.index.late():
            if not patience:
                reason = f"reads wait until {' and '.join(late)} caught up with the log"
                return _json({"status": "starting", "reason": reason, **self._remaking()}, 503)
            patience -= 1
            await asyncio.sleep(_PAUSE_S)
        return _json({"status": "ready", **self._remaking(), **await self._nodes_away()})

    def _remaking(self) -> Json:
        """Return which indexes are being made again, and why, if any are.

        Writes and reads of single events go on; lists or searches answer 503 meanwhile.
        """
        remaking = {
            name: health.remaking
            for name, health in self._node.index.health().items()
            if health.remaking is not None
        }
        return {"indexes_made_again": remaking} if remaking else {}

    async def _nodes_away(self) -> Json:
        """Return which machines of the database do not answer, if any.

        The tenants that are kept there are answered with 503, all others as ever.
        """
        loop = asyncio.get_running_loop()
        away = await loop.run_in_executor(None, self._node.nodes_away.names)
        return {"nodes_away": away} if away else {}

    async def _failure(self) -> TallystickError | None:
        """Return why nothing can be written; a database that says nothing is a reason too."""
        if self._probing is None or self._probing.done():
            loop = asyncio.get_running_loop()
            self._probing = loop.run_in_executor(None, self._probe.failure)
        done, _ = await asyncio.wait((self._probing,), timeout=_PROBE_S)
        return self._probing.result() if done else StoreBusy("the store does not answer")

    async def metrics(self, request: Request) -> Response:
        """Answer the metrics in Prometheus' text format, to those who have the key if it is set."""
        self._require_metrics_key(request)
        away = await asyncio.get_running_loop().run_in_executor(None, self._node.nodes_away.names)
        if self._metrics.outgoing is not None:
            # A store that says nothing leaves the numbers of the look before.
            with contextlib.suppress(TallystickError):
                await asyncio.get_running_loop().run_in_executor(None, self._metrics.outgoing.look)
        return Response(self._metrics.render(away), headers={"Content-Type": Metrics.content_type})

    def _require_metrics_key(self, request: Request) -> None:
        key = self._node.settings.metrics_key
        if key is None or request.scope["state"].get(CONTROL):
            return
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not credentials.is_same(shown.strip(), key):
            raise Unauthenticated("metrics need the key from the setting metrics_key")

    async def rebuild(self, request: Request) -> Response:
        """Rebuild an index beside the one that serves; answer lines of progress."""
        if not request.scope["state"].get(CONTROL):
            raise Forbidden(
                "indexes can only be rebuilt through the control socket of the data folder"
            )
        name = request.path_params["follower"]
        if name not in self._node.index.names:
            raise NotFound(f"no such follower: {name!r}")
        return StreamingResponse(self._rebuild(name), media_type="application/x-ndjson")

    async def _rebuild(self, name: str) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        lines: asyncio.Queue[bytes | None] = asyncio.Queue()

        def tell(line: object) -> None:
            loop.call_soon_threadsafe(lines.put_nowait, json_text.encode(line) + b"\n")

        def run() -> None:
            try:
                self._node.index.rebuild(name, lambda done, total: tell([done, total]))
                tell({"rebuilt": name})
            except TallystickError as error:
                tell({"error": for_operator(error)})
            finally:
                loop.call_soon_threadsafe(lines.put_nowait, None)

        running = loop.run_in_executor(None, run)
        while (line := await lines.get()) is not None:
            yield line
        await running


def _json(value: object, status: int = 200) -> Response:
    return Response(json_text.encode(value), status, media_type="application/json")
