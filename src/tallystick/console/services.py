"""What the console is given beside the services that every API has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tallystick.events.event import Json
from tallystick.ledger.erasures import Erasures
from tallystick.subscriptions.streams.administration import StreamAdministration


class ConsoleServices(NamedTuple):
    """Parts of the server whose state the console shows or whose acts it offers."""

    lag: Callable[[], Mapping[str, int]]
    """Returns by how many entries each follower is behind, over all logs."""
    streams: StreamAdministration
    erasures: Erasures
    witnesses: Callable[[str], Sequence[Json]]
    """Returns the witnesses of a tenant's log."""
    stopped: Callable[[str], str | None]
    """Returns why nothing is written to a tenant's log; None when it is written to."""
