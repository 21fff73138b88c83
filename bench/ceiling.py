"""The ceiling: the product's own route with authentication and decoding, and a constant answer.

What a durable write may cost is told by its share of this.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tallystick.data_folder import SOCKET_FILE
from tallystick.dialects.services import Door
from tallystick.events.entry import prepare
from tallystick.events.event import Draft
from tallystick.http.app import App
from tallystick.http.server import listen, serve
from tallystick.log.commit_plan import Accepted, Item
from tallystick.node.node import open_node
from tallystick.settings import Settings

_ANSWER = Accepted(1, "01a1fc5c-f743-71be-b867-3300000001f6", 1_795_234_113_475, 1_795_234_113_475)


class _NoStore:
    """A door that accepts everything and stores nothing."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def append(
        self, tenant: str, items: Sequence[Item], *, atomic: bool = False
    ) -> list[Accepted]:
        return [_ANSWER] * len(items)

    async def run(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await self._door.run(function, *args, **kwargs)

    def close(self) -> None:
        self._door.close()  # type: ignore[attr-defined]


class Ceiling(App):
    """The application without its sequencer and store on the write path."""

    def _the_door(self) -> Any:
        if self._door is None:
            self._door = _NoStore(super()._the_door())  # type: ignore[assignment]
        return self._door


def main() -> None:
    """Serve the ceiling on a folder that the product filled: `python -m bench.ceiling DIR PORT`."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    node = open_node(folder, Settings(port=port), followers=False)
    assert prepare(Draft(kind="k")).size_bytes
    try:
        serve(Ceiling(node, ()), listen("127.0.0.1", port), folder / SOCKET_FILE, lambda url: None)
    finally:
        node.close()


if __name__ == "__main__":
    main()
