"""Public files in PostgreSQL: a tenant's cursor row is compared and moved with every step.

Any number of processes may try the same step; the row lets one of them through.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any, Final

from tallystick.errors import Conflict
from tallystick.store import file_chunks
from tallystick.store.postgres.connection import Connection, Pool, Timeouts, fetch, transaction
from tallystick.store.postgres.errors import translated
from tallystick.store.postgres.migrate import require_current
from tallystick.store.postgres.rows import from_bytes, to_bytes
from tallystick.store.postgres.statements import load
from tallystick.store.public_files import Patch, PublicationCursor, PublishedSeal

STATEMENTS: Final = load(resources.files(__package__).joinpath("files.sql").read_text("utf-8"))

_CONNECTIONS = 4


class PostgresPublicFiles:
    """Public files in one database; see `publicfiles` for what it promises."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        with translated():
            require_current(url, make=not read_only)
        self._pool = Pool(url, name="public", size_max=_CONNECTIONS, timeouts=Timeouts())

    def tenants(self) -> list[str]:
        """Return the tenants that have public files."""
        return [from_bytes(tenant) for (tenant,) in self._read("publishers")]

    def cursor(self, tenant: str) -> PublicationCursor | None:
        """Return how far a tenant's files have come."""
        found = self._read("publication", tenant=to_bytes(tenant))
        return PublicationCursor(*found[0]) if found else None

    def advance(
        self,
        tenant: str,
        before: PublicationCursor | None,
        after: PublicationCursor,
        *,
        patches: Sequence[Patch] = (),
        seals: Sequence[PublishedSeal] = (),
    ) -> None:
        """Go from one cursor to the next in one transaction."""
        name = to_bytes(tenant)
        with translated(), self._pool.lent() as connection, transaction(connection):
            _move(connection, name, before, after)
            _write(connection, name, patches)
            _seal(connection, name, seals)

    def remove(self, tenant: str, before: PublicationCursor) -> None:
        """Remove all files of a tenant in one transaction."""
        name = to_bytes(tenant)
        with translated(), self._pool.lent() as connection, connection.transaction():
            if not select(connection, "end_publication", tenant=name, **before._asdict()):
                raise Conflict("the public files were brought forward by somebody else")
            for statement in ("remove_seals", "remove_chunks", "remove_files"):
                _run(connection, statement, tenant=name)

    def size(self, tenant: str, file: int) -> int | None:
        """Return how many bytes a file has."""
        found = self._read("file_size", tenant=to_bytes(tenant), file=file)
        return found[0][0] if found else None

    def read(self, tenant: str, file: int, start: int = 0, stop: int | None = None) -> bytes | None:
        """Return the bytes [start, stop) of a file, as of one moment."""

        def use(connection: Connection) -> bytes | None:
            return _bytes(connection, to_bytes(tenant), file, start, stop)

        with translated():
            # One snapshot, so that size and chunks are of one moment.
            return self._pool.run(use, snapshot=True)

    def seal(self, tenant: str, file: int) -> PublishedSeal | None:
        """Return the latest seal of a file."""
        found = self._read("file_seal", tenant=to_bytes(tenant), file=file)
        return PublishedSeal(*found[0]) if found else None

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._pool.close()

    def _read(self, statement: str, **values: Any) -> list[Any]:
        with translated():
            return self._pool.run(lambda connection: select(connection, statement, **values))


def select(connection: Connection, statement: str, **values: Any) -> list[Any]:
    """Return the rows of a named statement about what stands beside the log."""
    return fetch(connection, STATEMENTS[statement], values)


def _move(
    connection: Connection,
    tenant: bytes,
    before: PublicationCursor | None,
    after: PublicationCursor,
) -> None:
    values: dict[str, Any] = {"tenant": tenant, **after._asdict()}
    if before is None:
        moved = select(connection, "begin_publication", **values)
    else:
        values |= {f"old_{name}": value for name, value in before._asdict().items()}
        moved = select(connection, "move_publication", **values)
    if not moved:
        raise Conflict("the public files were brought forward by somebody else")


def _write(connection: Connection, tenant: bytes, patches: Sequence[Patch]) -> None:
    places = file_chunks.touched(patches)
    if not places:
        return
    files, numbers = (list(column) for column in zip(*places, strict=True))
    found = select(connection, "chunks_at", tenant=tenant, files=files, chunks=numbers)
    there = {(file, chunk): data for file, chunk, data in found}
    changed = file_chunks.patched(there, patches)
    data = [changed[place] for place in places]
    _run(connection, "put_chunks", tenant=tenant, files=files, chunks=numbers, data=data)
    sizes = file_chunks.sizes(patches)
    _run(connection, "put_sizes", tenant=tenant, files=list(sizes), sizes=list(sizes.values()))


def _seal(connection: Connection, tenant: bytes, seals: Sequence[PublishedSeal]) -> None:
    if seals:
        files, leaves, data = (list(column) for column in zip(*seals, strict=True))
        _run(connection, "put_seals", tenant=tenant, files=files, leaves=leaves, data=data)


def _run(connection: Connection, statement: str, **values: Any) -> None:
    connection.execute(STATEMENTS[statement], values, prepare=True)


def _bytes(
    connection: Connection, tenant: bytes, file: int, start: int, stop: int | None
) -> bytes | None:
    found = select(connection, "file_size", tenant=tenant, file=file)
    if not found:
        return None
    size: int = found[0][0]
    end = max(start, size if stop is None else min(stop, size))
    first, last = file_chunks.span(start, end)
    rows = select(connection, "file_chunks", tenant=tenant, file=file, first=first, last=last)
    return file_chunks.joined(rows, start, end)
