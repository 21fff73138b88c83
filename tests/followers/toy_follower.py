"""Followers that only the tests have: one keeps counts in a JSON file, one acts on the log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tallystick.events.dialect_rules import Rules
from tallystick.followers.damage import Cursor
from tallystick.followers.follow import Slice
from tallystick.followers.kind import FollowerKind, TruthKind
from tallystick.followers.services import FollowerServices
from tallystick.followers.step_work import StepWork
from tallystick.store.base import Store

_FILE = "counts.json"


class CountingFollower:
    """Keeps a count a kind, and its cursors beside them."""

    name = "counts"

    def __init__(self, folder: Path, store: Store, rules: Rules) -> None:
        self._folder = folder
        self._counts: Counter[str] = Counter()
        self._cursors: dict[str, Cursor] = {}
        self._changed = False
        path = folder / _FILE
        if path.exists():
            kept = json.loads(path.read_text("utf-8"))
            self._counts.update(kept["counts"])
            for tenant, (upto, mark) in kept["cursors"].items():
                self._cursors[tenant] = Cursor(upto, bytes.fromhex(mark))

    def cursors(self) -> Mapping[str, Cursor]:
        """Return how far each log was counted."""
        return self._cursors

    def apply(self, parts: Sequence[Slice]) -> None:
        """Count what the slices hold."""
        for part in parts:
            self._counts.update(view.first.kind for view in part.fresh)
            self._cursors[part.tenant] = Cursor(part.stop, part.mark)
        self._changed = True

    def commit(self, *, urgent: bool) -> bool:
        """Write counts and cursors together."""
        if self._changed:
            cursors = {tenant: (at.next, at.mark.hex()) for tenant, at in self._cursors.items()}
            begun = self._folder / f"{_FILE}.new"
            begun.write_text(json.dumps({"counts": self._counts, "cursors": cursors}), "utf-8")
            begun.rename(self._folder / _FILE)
        moved, self._changed = self._changed, False
        return moved

    def tidy(self) -> bool:
        """Find nothing to do."""
        return False

    def verify(self) -> None:
        """Find nothing wrong: the file is replaced as a whole."""

    def residue(self) -> bool:
        """Counts hold no content."""
        return False

    def close(self) -> None:
        """Release nothing: no file is open."""


class CountReader:
    """Reads the counts that were committed last."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE

    def counts(self) -> dict[str, int]:
        """Return the number of entries of each kind."""
        found: dict[str, int] = json.loads(self._path.read_text("utf-8"))["counts"]
        return found

    def close(self) -> None:
        """Release nothing: no file is open."""


KIND = FollowerKind(
    "counts", open=CountingFollower, read=lambda folder, store, rules: CountReader(folder)
)


class WritingSteps:
    """Writes the kind of each entry to a file of its own tenant: the toy that acts on the log."""

    def __init__(self, services: FollowerServices) -> None:
        self._services = services

    def follows(self, tenant: str) -> bool:
        """Follow every tenant."""
        return True

    def step(self, tenant: str) -> bool:
        """Write one entry's kind."""
        (entry,) = self._services.log.read(tenant, at := self.position(tenant), at + 1)
        with self._path(tenant).open("a", encoding="utf-8") as written:
            written.write(f"{entry.view.first.kind}\n")
        return at + 1 < self._services.log.size(tenant)

    def position(self, tenant: str) -> int:
        """Return how many lines were written."""
        path = self._path(tenant)
        return len(path.read_text("utf-8").splitlines()) if path.exists() else 0

    def close(self) -> None:
        """Release nothing: no file is open."""

    def _path(self, tenant: str) -> Path:
        return self._services.folder / f"{tenant}.kinds"


TRUTH_KIND = TruthKind(
    "writer",
    open=lambda services: StepWork("writer", WritingSteps(services)),
    in_commands=True,
)
