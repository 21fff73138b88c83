"""Routes for whoever runs the server: health, readiness, metrics."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import __version__, jsontext
from tallystick.http.metrics import Metrics
from tallystick.node import Node


class OpsApi:
    """Handlers for operators; none of them needs a credential or tells about tenants."""

    def __init__(self, node: Node, metrics: Metrics) -> None:
        self._node = node
        self._metrics = metrics

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def healthz(self, request: Request) -> Response:
        """Answer that the process lives."""
        return _json({"status": "ok", "version": __version__})

    async def readyz(self, request: Request) -> Response:
        """Answer whether the server takes events."""
        failure = self._node.sequencer.failure
        if failure is not None:
            return _json({"status": "failed", "reason": failure.message}, 503)
        return _json({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """Answer the metrics in Prometheus' text format."""
        return Response(self._metrics.render(), headers={"Content-Type": Metrics.content_type})


def _json(value: object, status: int = 200) -> Response:
    return Response(jsontext.encode(value), status, media_type="application/json")
