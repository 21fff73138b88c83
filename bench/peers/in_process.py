"""Libraries without a server, each asked in a process of its own: single durable appends.

`python -m bench.peers.in_process eventsourcing|pymerkle FOLDER SECONDS` prints appends a second.
There is no HTTP, no schema and no search on their side.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from bench.write import events


def eventsourcing(folder: Path) -> Callable[[bytes], None]:
    """Return what appends an event to an aggregate of its own, in SQLite."""
    from eventsourcing.persistence import StoredEvent
    from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

    recorder = SQLiteApplicationRecorder(SQLiteDatastore(str(folder / "eventsourcing.db")))
    recorder.create_table()

    def append(state: bytes) -> None:
        recorder.insert_events([StoredEvent(uuid4(), 1, "Event", state)])

    return append


def pymerkle(folder: Path) -> Callable[[bytes], None]:
    """Return what appends an entry to a Merkle tree in SQLite."""
    from pymerkle import SqliteTree

    tree = SqliteTree(str(folder / "pymerkle.db"))

    def append(state: bytes) -> None:
        tree.append_entry(state)

    return append


LIBRARIES = {"eventsourcing": eventsourcing, "pymerkle": pymerkle}


def main() -> None:
    """Append for a time and print the rate."""
    name, folder, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    append = LIBRARIES[name](folder)
    states = [event.encode() for event in events(1_000)]
    count, began_s = 0, time.perf_counter()
    while (elapsed_s := time.perf_counter() - began_s) < seconds:
        append(states[count % len(states)])
        count += 1
    json.dump({"rate": count / elapsed_s}, sys.stdout)


if __name__ == "__main__":
    main()
