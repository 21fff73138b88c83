"""The store on PostgreSQL 15 and newer, shared by any number of server processes.

The head row of a tenant's log is the only lock, taken for the length of one batch, so tenants never
wait for each other and a log never forks. There are no advisory locks, no sequences, and nothing
depends on notifications. The schema is in `migrations`, every statement in `queries.sql`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from psycopg import sql

from tallystick.errors import StoreFailed
from tallystick.store.base import (
    Claim,
    IdentityRow,
    IdentityWrite,
    LogHead,
    LogRow,
    ResourceHead,
    Writer,
)
from tallystick.store.postgres import citus
from tallystick.store.postgres import rows as reading
from tallystick.store.postgres.connection import APPLICATION_NAME, Connection, Pool, Timeouts
from tallystick.store.postgres.errors import translated
from tallystick.store.postgres.migrate import require_current
from tallystick.store.postgres.partitions import Partitions
from tallystick.store.postgres.rows import from_bytes, select, to_bytes
from tallystick.store.postgres.vacuum import Cleaner, ErasureHorizon
from tallystick.store.postgres.writer import Extension, Held, PostgresWriter

_SERVER_WIDE = b""
_TIMEOUTS = Timeouts()

Result = TypeVar("Result")


_OUR_TABLES = """
SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
    AND relnamespace = current_schema()::regnamespace
"""


def _take_number(connection: Connection) -> None:
    with connection.transaction():
        connection.execute("SELECT pg_current_xact_id()")


def _analyse(connection: Connection) -> None:
    # Without names it would look at catalogues too, and say that it may not.
    for (table,) in connection.execute(_OUR_TABLES).fetchall():
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)), prepare=False)


def open_postgres(
    url: str,
    *,
    writers: int = 6,
    readers: int = 12,
    timeouts: Timeouts = _TIMEOUTS,
    extension: Extension | None = None,
    read_only: bool = False,
) -> PostgresStore:
    """Open the store in the database at `url`, making the tables if it is empty.

    `writers` and `readers` bound the connections of this process; `extension` writes its share
    in the transaction of every batch. With `read_only` nothing is made or written.
    Raises: SchemaMismatch, StoreBusy, StoreFailed.
    """
    with translated():
        require_current(url, make=not read_only)
        writers = 0 if read_only else writers
        return PostgresStore(url, writers, readers, timeouts, extension)


_READ_STATEMENT_MS = 10_000


class PostgresStore:
    """A store in one database; see `store.base` for what it promises."""

    name = "postgres"
    many_tenants = False

    def __init__(
        self,
        url: str,
        writers: int,
        readers: int,
        timeouts: Timeouts,
        extension: Extension | None,
    ) -> None:
        self._extension = extension
        self._timeouts = timeouts
        self._may_write = writers > 0
        self._writers = Pool(url, name="writer", size_max=writers, timeouts=timeouts)
        # Where others wait for connections, no statement that only reads keeps one for long.
        bounded = timeouts._replace(statement_ms=_READ_STATEMENT_MS if writers else 0)
        self._readers = Pool(url, name="reader", size_max=readers, timeouts=bounded)
        self._partitions = Partitions(url, timeouts)
        self._cleaner = Cleaner(url)
        if writers:
            # Before the first transaction: one that is open must not wait for a second session,
            # or a few of them hold all that a pooler has, and wait for each other.
            with translated():
                self._partitions.require(0)
            # Of what an earlier process erased, something may still be there.
            self._cleaner.wake()

    # Writing

    def extend_with(self, extension: Extension) -> None:
        """Let `extension` write its share in the transaction of every batch from here on."""
        self._extension = extension

    @contextmanager
    def transaction(self) -> Iterator[Writer]:
        """Open a transaction over one tenant; leaving the block commits it."""
        self._require_writers()
        with translated():
            writer = PostgresWriter(
                self._writers, self._evict_stuck, self._partitions.require, self._extension
            )
            try:
                yield writer
            except BaseException:
                writer.abandon()
                raise
            writer.commit()
        if writer.erased:
            self._cleaner.wake()

    def try_write(self) -> None:
        """Commit a transaction with a number, which the server writes and flushes."""
        with translated():
            self._writers.run(_take_number)

    def now_ms(self) -> int | None:
        """Return what time it is in the database."""
        [(now_ms,)] = self._read("now")
        return int(now_ms)

    def nodes_away(self) -> list[str]:
        """Return the nodes of a Citus that do not answer."""
        return self.read(citus.nodes_away)

    def loaded(self) -> None:
        """Have every table analysed, so that the planner knows what was loaded."""
        with translated():
            self._writers.run(_analyse)

    def with_head(self, tenant: str, extend: Callable[[Held], Result]) -> Result | None:
        """Let `extend` write beside a tenant's log, in a transaction that holds its head.

        Returns None if there is no log.
        """
        self._require_writers()
        with translated():
            writer = PostgresWriter(
                self._writers, self._evict_stuck, self._partitions.require, self._extension
            )
            try:
                result = writer.use(tenant, extend)
            except BaseException:
                writer.abandon()
                raise
            writer.commit()
        return result

    def _require_writers(self) -> None:
        if not self._may_write:
            raise StoreFailed("the store was opened for reading only")

    def read(self, use: Callable[[Connection], Result]) -> Result:
        """Return what `use`, which only reads, makes of a connection; it may be tried twice."""
        with translated():
            return self._readers.run(use)

    def _evict_stuck(self) -> None:
        self._read(
            "evict_stuck",
            application=f"{APPLICATION_NAME} writer",
            idle_ms=self._timeouts.idle_ms,
        )

    # Reading

    def _read(self, statement: str, **values: Any) -> list[Any]:
        return self.read(lambda connection: select(connection, statement, **values))

    def log_head(self, tenant: str) -> LogHead | None:
        """Return the committed head of a tenant's log."""
        found = self._read("log_head", tenant=to_bytes(tenant))
        return reading.log_head(tenant, found[0]) if found else None

    def log_heads(self) -> list[LogHead]:
        """Return the committed heads of all logs, by tenant."""
        found = self._read("log_heads")
        return [reading.log_head(from_bytes(row[0]), row[1:]) for row in found]

    def rows(self, tenant: str, start: int, stop: int) -> list[LogRow]:
        """Return the entries [start, stop) that exist, in order."""
        return self.read(lambda c: reading.rows(c, to_bytes(tenant), start, stop))

    def rows_at(self, tenant: str, indexes: Iterable[int]) -> dict[int, LogRow]:
        """Return the entries at `indexes` that exist."""
        wanted = list(indexes)
        return self.read(lambda c: reading.rows_at(c, to_bytes(tenant), wanted))

    def rows_within(self, tenant: str, indexes: Sequence[int], max_bytes: int) -> dict[int, LogRow]:
        """Return the entries at the first of `indexes` that have `max_bytes` together."""
        return self.read(lambda c: reading.rows_within(c, to_bytes(tenant), indexes, max_bytes))

    def entries(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the entry bytes of [start, stop)."""
        return self.read(lambda c: reading.entries(c, to_bytes(tenant), start, stop))

    def system_indexes(self, tenant: str, start: int, stop: int) -> list[int]:
        """Return where entries of op `system` stand in [start, stop), in order."""
        found = self._read("system_indexes", tenant=to_bytes(tenant), start=start, stop=stop)
        return [index for (index,) in found]

    def act_indexes(self, tenant: str, start: int, stop: int) -> list[int]:
        """Return where entries of op `system` stand in [start, stop) that do more than report."""
        found = self._read("act_indexes", tenant=to_bytes(tenant), start=start, stop=stop)
        return [index for (index,) in found]

    def leaves(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the leaf hashes of [start, stop)."""
        return self.read(lambda c: reading.leaves(c, to_bytes(tenant), start, stop))

    def tile(self, tenant: str, level: int, number: int) -> bytes | None:
        """Return the hashes of a complete tile."""
        return self.read(lambda c: reading.tile(c, to_bytes(tenant), level, number))

    def tile_roots(self, tenant: str, level: int, start: int, stop: int) -> list[bytes]:
        """Return the roots of the complete tiles [start, stop) of a level."""
        name = to_bytes(tenant)
        return self.read(lambda c: reading.tile_roots(c, name, level, start, stop))

    def resource_heads(self, tenant: str, keys: Sequence[bytes]) -> dict[bytes, ResourceHead]:
        """Return the committed heads that exist among `keys`."""
        return self.read(lambda c: reading.resource_heads(c, to_bytes(tenant), keys))

    def claims(self, tenant: str, claims: Sequence[bytes]) -> dict[bytes, Claim]:
        """Return the committed claims that exist among `claims`."""
        return self.read(lambda c: reading.claims(c, to_bytes(tenant), claims))

    def claims_of(self, tenant: str, indexes: Iterable[int]) -> list[Claim]:
        """Return the claims that lead to entries at `indexes`."""
        return self.read(lambda c: reading.claims_of(c, to_bytes(tenant), indexes))

    def identity(self, tenant: str, kind: str, id: str) -> IdentityRow | None:
        """Return one identity record."""
        keys = to_bytes(tenant), to_bytes(kind), to_bytes(id)
        return self.read(lambda connection: reading.identity(connection, *keys))

    def identities(self, tenant: str | None, kind: str) -> list[IdentityRow]:
        """Return the records of a kind, of one tenant or of all, by tenant and id."""
        if tenant is None:
            found = self._read("all_identities", kind=to_bytes(kind))
        else:
            found = self._read("identities", tenant=to_bytes(tenant), kind=to_bytes(kind))
        return [reading.identity_row(row) for row in found]

    def find_identity(self, namespace: str, text: str) -> IdentityRow | None:
        """Return the record that a lookup leads to."""
        found = self._read(
            "find_lookup",
            tenant=_SERVER_WIDE,
            namespace=to_bytes(namespace),
            text=to_bytes(text),
        )
        return self.identity(*map(from_bytes, found[0])) if found else None

    def scan_heads(self, tenant: str, after: bytes, limit: int) -> list[tuple[bytes, ResourceHead]]:
        """Return the next heads of a tenant by key."""
        found = self._read("scan_heads", tenant=to_bytes(tenant), after=after, limit=limit)
        return [(key, ResourceHead(index, live)) for key, index, live in found]

    def scan_claims(self, tenant: str, after: bytes, limit: int) -> list[Claim]:
        """Return the next claims of a tenant."""
        found = self._read("scan_claims", tenant=to_bytes(tenant), after=after, limit=limit)
        return [Claim(*row) for row in found]

    def scan_identity(self, after: tuple[str, str, str] | None, limit: int) -> list[IdentityWrite]:
        """Return the next identity records, with their lookups."""
        start = dict(
            zip(("tenant", "kind", "id"), map(to_bytes, after or ("", "", "")), strict=True)
        )
        found = self._read("scan_identity", **start, limit=limit)
        return [
            IdentityWrite(
                from_bytes(owner), from_bytes(kind), from_bytes(id), doc,
                self._lookups(owner, kind, id),
            )
            for owner, kind, id, doc in found
        ]  # fmt: skip

    def _lookups(self, owner: bytes, kind: bytes, id: bytes) -> tuple[tuple[str, str], ...]:
        found = self._read("lookups_of", tenant=_SERVER_WIDE, owner=owner, kind=kind, id=id)
        return tuple((from_bytes(namespace), from_bytes(text)) for namespace, text in found)

    # Erasing for good

    def erasure_horizon(self) -> ErasureHorizon:
        """Return where bytes may still stand that were erased and that no query returns."""
        [row] = self._read("erasure_horizon")
        return ErasureHorizon(*row)

    def wait_until_vacuumed(self, timeout_s: float) -> bool:
        """Wait until no erased row is left to vacuum; tell whether that came to pass in time."""
        return self._cleaner.wait(timeout_s)

    def scrub(self) -> None:
        """Rewrite every table with erased rows that were not cleaned up, locking it meanwhile.

        A vacuum, which runs by itself after every erasure, frees erased rows but leaves their
        bytes in the free space of pages until that is used again; this leaves nothing.
        """
        with translated():
            self._cleaner.scrub()

    def settle_erased(self) -> None:
        """Do nothing: the thread that vacuums was woken by the commit."""

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._cleaner.close()
        self._writers.close()
        self._readers.close()
