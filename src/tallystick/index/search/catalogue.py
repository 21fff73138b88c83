"""What the index calls tenants and paths, and how far it has read: a small file beside it.

The index and this file are two things that no transaction covers. So the file is written first:
for each tenant it holds the cursor before the coming commit of the index and the cursor after it;
once the commit is made, that is noted too. Where a crash left it open whether a commit happened,
the cursor before it counts, and the writer takes out of the index whatever is beyond a cursor
before it adds anything there: reading on twice is harmless. Names are never given to anything else,
so a name without documents does no harm.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import apsw

from tallystick.errors import StoreFailed
from tallystick.followers.damage import Cursor, SearchDamaged
from tallystick.index.page_checksums import open_checked
from tallystick.index.search.documents.hyperloglog import Sketch

VERSION = 4

NUMBERS_PATH = 0
"""Stands for the path of words in numbers and booleans, which no field has."""

OTHER_PATHS = 1
"""Stands for all paths of a tenant beyond those that are kept apart."""

FIRST_PATH = 2

_BUSY_MS = 5_000


class NewPath(NamedTuple):
    """A path with its ordinal and what is known of its values."""

    tenant: int
    path: str
    ordinal: int
    sketch: bytes


class TenantRow(NamedTuple):
    """A tenant's ordinal, the cursors before and after the coming commit, and its latest time."""

    tenant: str
    ordinal: int
    before: Cursor
    after: Cursor
    latest_ms: int


class NamesWriter:
    """The writing side; used by one thread."""

    def __init__(self, file: Path) -> None:
        self._connection = _open(file, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        with _failures():
            self._create()
            about: tuple[str, bytes, int, int] = self._connection.execute(
                "SELECT id, secret, commits, stamp FROM about"
            ).get
            self.id, self.secret, self._commits, self.stamp = about
            # What the file says of a commit that may never have been must not come true by the
            # next one.
            self._connection.execute(
                "UPDATE tenants SET after = before, after_mark = before_mark WHERE base = ?",
                (self._commits,),
            )

    def tenants(self) -> dict[str, tuple[int, Cursor]]:
        """Return ordinal and cursor of every tenant."""
        rows = self._connection.execute("SELECT tenant, ordinal, after, after_mark FROM tenants")
        return {tenant: (ordinal, Cursor(*cursor)) for tenant, ordinal, *cursor in rows}

    def paths(self, tenant: int) -> dict[str, tuple[int, bytes]]:
        """Return ordinal and sketch of every path of a tenant."""
        rows = self._connection.execute(
            "SELECT path, ordinal, sketch FROM paths WHERE tenant = ?", (tenant,)
        )
        return {path: (ordinal, sketch) for path, ordinal, sketch in rows}

    def write(
        self, tenants: Iterable[TenantRow], paths: Iterable[NewPath], *, erased: bool
    ) -> None:
        """Write what becomes true with the coming commit; it is on disk then.

        `erased` says that the commit takes away what was erased.
        """
        with _failures(), self._connection:
            self._connection.executemany(
                "INSERT INTO tenants VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (tenant) DO UPDATE SET base = excluded.base,"
                " before = excluded.before, before_mark = excluded.before_mark,"
                " after = excluded.after, after_mark = excluded.after_mark,"
                " latest_ms = max(latest_ms, excluded.latest_ms)",
                [
                    (row.tenant, row.ordinal, self._commits, *row.before, *row.after, row.latest_ms)
                    for row in tenants
                ],
            )
            self._connection.executemany(
                "INSERT INTO paths VALUES (?, ?, ?, ?)"
                " ON CONFLICT (tenant, path) DO UPDATE SET sketch = excluded.sketch",
                paths,
            )
            if erased:
                self._connection.execute("UPDATE about SET erased = 1")

    def committed(self, stamp: int) -> None:
        """Note that the commit happened; should that be lost, it is only made again."""
        with _failures():
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("UPDATE about SET commits = commits + 1, stamp = ?", (stamp,))
            self._connection.execute("PRAGMA synchronous = FULL")
        self._commits += 1
        self.stamp = stamp

    def erased(self) -> bool:
        """Tell whether words of what was erased may be in the files of the index."""
        with _failures():
            return bool(self._connection.execute("SELECT erased FROM about").get)

    def forget_erased(self) -> None:
        """Note that they are not."""
        with _failures():
            self._connection.execute("UPDATE about SET erased = 0")

    def verify(self) -> None:
        """Compare the checksums of all pages.

        Raises: SearchDamaged.
        """
        with _failures():
            # Reads every page, whose checksums are compared on the way.
            found = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check(1)")]
        if found != ["ok"]:
            raise SearchDamaged(f"the names of the search index contradict themselves: {found[0]}")

    def close(self) -> None:
        """Close the file; idempotent."""
        self._connection.close()

    def _create(self) -> None:
        found = self._connection.execute(
            "SELECT count(*) FROM sqlite_schema WHERE name = 'about'"
        ).get
        if not found:
            script = resources.files(__package__).joinpath("catalogue.sql").read_text("utf-8")
            with self._connection:
                self._connection.execute(script)
                self._connection.execute(
                    "INSERT INTO about VALUES (?, ?, ?, 0, 0, 0)",
                    (VERSION, secrets.token_hex(16), secrets.token_bytes(16)),
                )
        version = self._connection.execute("SELECT version FROM about").get
        if version != VERSION:
            raise SearchDamaged(f"the search index has version {version}, not {VERSION}")


class NamesReader:
    """The reading side; used by many threads."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        # Closing the file as the last one writes to it.
        self._connection = _open(file, apsw.SQLITE_OPEN_READWRITE)
        with _failures():
            self._connection.execute("PRAGMA query_only = ON")
            about: tuple[str, bytes] = self._connection.execute("SELECT id, secret FROM about").get
            self.id, self.secret = about
        # Both only grow; what is in them stays true.
        self._tenants: dict[str, int] = {}
        self._paths: dict[tuple[int, str], int] = {}

    def tenant(self, tenant: str) -> int | None:
        """Return the ordinal of a tenant that has documents."""
        found = self._tenants.get(tenant)
        if found is None:
            found = self._one("SELECT ordinal FROM tenants WHERE tenant = ?", (tenant,))
            if found is not None:
                self._tenants[tenant] = found
        return found

    def extent(self, tenant: int) -> tuple[int, int]:
        """Return how many entries of a tenant's log were taken in, and the latest time in them.

        What is about to be taken in counts.
        """
        with self._lock, _failures():
            found: tuple[int, int] | None = self._connection.execute(
                "SELECT after, latest_ms FROM tenants WHERE ordinal = ?", (tenant,)
            ).fetchone()
            return found or (0, 0)

    def cursor(self, tenant: str, stamp: int | None) -> int | None:
        """Return how far a tenant's log is in the index as of the commit with a stamp.

        Shape: None when that is not certain, as while a commit is under way.
        """
        with self._lock, _failures():
            row: tuple[int, int, int | None, int, int] | None = self._connection.execute(
                "SELECT stamp, commits, base, before, after"
                " FROM about LEFT JOIN tenants ON tenant = ?",
                (tenant,),
            ).fetchone()
        assert row is not None, "the file is about one index"
        noted, commits, base, before, after = row
        if noted != stamp:
            return None
        if base is None:
            return 0
        return before if base == commits else after

    def path(self, tenant: int, path: str) -> int | None:
        """Return the ordinal of a path where the tenant has values."""
        found = self._paths.get((tenant, path))
        if found is None:
            sql = "SELECT ordinal FROM paths WHERE tenant = ? AND path = ?"
            found = self._one(sql, (tenant, path))
            if found is not None:
                self._paths[tenant, path] = found
        return found

    def paths(self, tenant: int) -> list[str]:
        """Return all paths of a tenant, in order."""
        with self._lock, _failures():
            rows = self._connection.execute("SELECT path FROM paths WHERE tenant = ?", (tenant,))
            return [path for (path,) in rows]

    def values(self, tenant: int, path: str) -> int:
        """Return about how many different strings a path has."""
        with self._lock, _failures():
            sketch = self._connection.execute(
                "SELECT sketch FROM paths WHERE tenant = ? AND path = ?", (tenant, path)
            ).get
        return 0 if sketch is None else Sketch(sketch).estimate()

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._lock:
            self._connection.close()

    def _one(self, sql: str, values: tuple[int | str, ...]) -> int | None:
        with self._lock, _failures():
            found: int | None = self._connection.execute(sql, values).get
            return found


def _open(file: Path, flags: int) -> apsw.Connection:
    with _failures():
        connection = open_checked(file, flags)
        connection.set_busy_timeout(_BUSY_MS)
        # The file must not be older than the index it speaks of, even after a crash.
        connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        return connection


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise SearchDamaged("the names of the search index cannot be read") from error
    except apsw.Error as error:
        raise StoreFailed(
            "the names of the search index cannot be used", hint="check disk and rights"
        ) from error
