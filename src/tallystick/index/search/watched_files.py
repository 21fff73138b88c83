"""Files that are read as they were checked: a change to one of them by somebody else is noticed.

The files of a commit never change once they are written, and the library maps them into memory: a
byte that is changed under it is believed at once. So before questions are asked, the state of each
file is compared with what it was when the commit was loaded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from tallystick.followers.damage import SearchDamaged

EVERY_S = 0.05
"""How long a look holds: a question costs more than a look, but a burst of them should not."""

State = tuple[int, int, int]


class WatchedFiles:
    """The files of one commit; used by many threads at once."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Note the state of files that exist: the writer may remove them when they are outdated."""
        found = {path: _state_of(path) for path in paths}
        self._states = {path: state for path, state in found.items() if state is not None}
        # Two threads that look at once do no harm.
        self._looked_s = time.monotonic()

    def check(self) -> None:
        """See that nobody wrote to the files.

        Raises: SearchDamaged.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s < EVERY_S:
            return
        for path, state in self._states.items():
            now = _state_of(path)
            if now is not None and now != state:
                raise SearchDamaged(f"the search index file {path.name} was changed by somebody")
        self._looked_s = now_s


def _state_of(path: Path) -> State | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size)
