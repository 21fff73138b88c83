"""What the console is given beside the services that every API has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from starlette.requests import Request
from starlette.responses import Response

from tallystick.dialects.services import Door
from tallystick.events.event import Json
from tallystick.exports.jobs.jobs import ExportJobs, ReadyFile
from tallystick.ledger.erasures import Erasures
from tallystick.ledger.retention_run import Retention
from tallystick.subscriptions.streams.administration import StreamAdministration


class FileSender(Protocol):
    """Answers the file of an export, whole or in part."""

    def __call__(
        self, request: Request, door: Door, file: ReadyFile, *, media_type: str, name: str
    ) -> Response:
        """Return the answer; it is cut off when the file may not be shown any more."""


class ConsoleServices(NamedTuple):
    """Parts of the server whose state the console shows or whose acts it offers."""

    lag: Callable[[], Mapping[str, int]]
    """Returns by how many entries each follower is behind, over all logs."""
    streams: StreamAdministration
    erasures: Erasures
    retention: Retention
    exports: ExportJobs
    send_file: FileSender
    witnesses: Callable[[str], Sequence[Json]]
    """Returns the witnesses of a tenant's log."""
    stopped: Callable[[str], str | None]
    """Returns why nothing is written to a tenant's log; None when it is written to."""
