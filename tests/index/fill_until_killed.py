"""Fills a search index in a folder, a few events a commit, until it is killed.

Run by a test: prints a line after each commit and each batch, so that it can be killed anywhere.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from tallystick.index.search import SearchWriter
from tests.index.search_world import TENANT, at, document, event


def fill(folder: Path) -> None:
    """Go on from the cursor and never end."""
    writer = SearchWriter(folder)
    cursor = writer.cursors().get(TENANT, at(0)).next
    for batch in count():
        size = 1 + batch % 5
        views = [event(n, {"n": n, f"path{n}": "x"}) for n in range(cursor, cursor + size)]
        cursor += size
        writer.apply(TENANT, [document(view) for view in views], [], at(cursor))
        print("applied", cursor, flush=True)
        if batch % 3 == 2:
            writer.commit()
            print("committed", cursor, flush=True)


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
