"""A server process that gets stuck while it holds a tenant: idle, or in the middle of a copy.

It says `held` once it holds the tenant, waits for a line on its input, and then says how its
commit ended: `committed`, or the class of the error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from tallystick.errors import TallystickError
from tallystick.events.entry import Sealed, prepare
from tallystick.log.commit_plan import Item, Planner, Work
from tallystick.log.keys import open_log_key
from tallystick.store.postgres import writer as writing
from tallystick.store.postgres.binary_copy import HEADER, TRAILER, copied
from tallystick.store.postgres.connection import Connection
from tallystick.store.postgres.statements import STATEMENTS
from tallystick.store.postgres.store import open_postgres
from tallystick.store.postgres.writer import Share
from tests.faults.writer import say
from tests.support.recording import draft, origin_of


def get_stuck() -> None:
    """Wait until told to go on."""
    say("held")
    os.read(0, 1)


def copy_half(
    connection: Connection, tenant: bytes, rows: Sequence[Sealed], share: Share | None
) -> None:
    """Copy rows as the store does, but get stuck in the middle."""
    with connection.cursor().copy(STATEMENTS["copy_rows"]) as copy:
        content = HEADER + copied(tenant, rows) + TRAILER
        half = len(content) // 2
        copy.write(content[:half])
        get_stuck()
        copy.write(content[half:])


def main(url: str, key_file: str, tenant: str, where: str) -> None:
    """Hold the tenant, get stuck, go on."""
    # What it says on its output is read line by line; a log line is none of it.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    signer = open_log_key(Path(key_file), "log.test").signer(origin_of(tenant))
    store = open_postgres(url)
    if where == "copying":
        writing._copy_rows = copy_half
    try:
        with store.transaction() as writer:
            planner = Planner(writer, tenant, writer.head(tenant), 0)
            items = [Item(prepare(draft(n))) for n in range(200)]
            planner.add([Work(tenant, items, lambda _: None)])
            if where == "idle":
                get_stuck()
            writer.append(planner.finish(signer))
        say("committed")
    except TallystickError as error:
        say(type(error).__name__)
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
