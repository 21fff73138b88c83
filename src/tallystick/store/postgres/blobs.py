"""The content of blobs in PostgreSQL: in pieces, which become visible all at once.

An upload is written to a file beside the database's client first, so that no transaction waits
for a slow caller.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tallystick.errors import StoreCorrupt
from tallystick.store.blob_content import Content
from tallystick.store.postgres.connection import Connection, Pool, Timeouts
from tallystick.store.postgres.errors import translated
from tallystick.store.postgres.public_files import STATEMENTS, select
from tallystick.store.postgres.rows import to_bytes
from tallystick.store.postgres.vacuum import Cleaner
from tallystick.store.sqlite.blobs import FileUpload, failures

CHUNK_BYTES = 256 * 1024

_CONNECTIONS = 4


class PostgresBlobs:
    """Content of blobs in one database whose tables are there."""

    def __init__(self, url: str, uploads: Path) -> None:
        self._pool = Pool(url, name="blobs", size_max=_CONNECTIONS, timeouts=Timeouts())
        self._uploads = uploads
        self._cleaner = Cleaner(url)

    def begin(self, tenant: str) -> FileUpload:
        """Begin an upload."""
        return FileUpload(self._uploads, lambda file, content: self._keep(tenant, file, content))

    def read(self, tenant: str, digest: str, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop) of some content, fewer where it ends."""

        def use(connection: Connection) -> bytes:
            place = {"tenant": to_bytes(tenant), "digest": bytes.fromhex(digest)}
            found = select(connection, "blob_size", **place)
            if not found:
                raise StoreCorrupt(f"content {digest} cannot be read: it is not there")
            end = max(start, min(stop, found[0][0]))
            first, last = start // CHUNK_BYTES, (end - 1) // CHUNK_BYTES
            rows = select(connection, "blob_chunks", **place, first=first, last=last)
            at = first * CHUNK_BYTES
            return b"".join(data for _, data in rows)[start - at : end - at]

        with translated():
            return self._pool.run(use)

    def has(self, tenant: str, digest: str) -> bool:
        """Tell whether some content is there."""
        return bool(self._select("blob_size", tenant, digest=bytes.fromhex(digest)))

    def digests(self, tenant: str) -> list[str]:
        """Return the digests of all content of a tenant, in order."""
        return [digest.hex() for (digest,) in self._select("blob_digests", tenant)]

    def remove(self, tenant: str, digest: str) -> None:
        """Delete some content, and have its rows vacuumed."""
        place = {"tenant": to_bytes(tenant), "digest": bytes.fromhex(digest)}

        def use(connection: Connection) -> None:
            with connection.transaction():
                for statement in ("delete_blob", "delete_blob_chunks", "note_removed_chunks"):
                    connection.execute(STATEMENTS[statement], place, prepare=True)

        with translated():
            self._pool.run(use)
        self._cleaner.wake()

    def _select(self, statement: str, tenant: str, **values: bytes) -> list[tuple[bytes]]:
        with translated():
            return self._pool.run(
                lambda connection: select(connection, statement, tenant=to_bytes(tenant), **values)
            )

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._cleaner.close()
        self._pool.close()

    def _keep(self, tenant: str, path: Path, content: Content) -> None:
        place = {"tenant": to_bytes(tenant), "digest": bytes.fromhex(content.digest)}

        def use(connection: Connection) -> None:
            with failures(), path.open("rb") as file, connection.transaction():
                if not select(connection, "put_blob", **place, size=content.size):
                    return
                for chunk, data in enumerate(iter(partial(file.read, CHUNK_BYTES), b"")):
                    values = {**place, "chunk": chunk, "data": data}
                    connection.execute(STATEMENTS["put_blob_chunk"], values, prepare=True)

        with translated():
            self._pool.run(use)
