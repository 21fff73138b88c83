"""How far an index came, as its file says at rest: before the process that writes it has started.

The file is read as one that nobody changes, without its write-ahead log, so that nothing of it is
recovered, checked or removed before its writer looks at it. What a kill left in that log is
missing, and the cursors are earlier ones then: nothing but the wait for a start depends on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import apsw

_FLAGS = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


def stored_cursors(file: str, query: str) -> Callable[[Path], Mapping[str, int]]:
    """Return what reads how far each tenant's log was taken in, from a file of a generation.

    It returns nothing where the file is missing or cannot be read: its writer will say why.
    """

    def read(folder: Path) -> Mapping[str, int]:
        path = folder / file
        if not path.exists():
            return {}
        try:
            connection = apsw.Connection(f"{path.absolute().as_uri()}?immutable=1", _FLAGS)
            try:
                rows = connection.execute(query)
                return {str(tenant): int(next) for tenant, next in rows}
            finally:
                connection.close()
        except (apsw.Error, TypeError, ValueError):
            return {}

    return read
