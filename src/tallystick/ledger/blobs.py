"""Blobs: files that were uploaded to stand beside events.

Content is stored once per tenant and SHA-256, by a `BlobContent`; each upload has a record of its
own among the identity records, written together with an entry in the tenant's log, so that what
was uploaded when can be proven. A record never changes. It is erased together with what its entry
says of the content; the content goes once no other record of the tenant has it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from tallystick.errors import StoreCorrupt, for_operator
from tallystick.events.event import Draft, Op, Resource
from tallystick.identity.acts import Act
from tallystick.ledger.striped_locks import Turns
from tallystick.store.base import IdentityWrite, Store
from tallystick.store.blob_content import BlobContent, Content, Upload

__all__ = [
    "Blob",
    "BlobContent",
    "Blobs",
    "Content",
    "Upload",
    "add_blob",
    "check_blobs",
    "copy_content",
]

CHUNK_BYTES = 256 * 1024
"""Content is read and checked in pieces of this size."""

_KIND = "blob"

T = TypeVar("T")


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """The record of one upload."""

    id: str
    tenant: str
    digest: str
    size: int
    mime_type: str
    accepted_ms: int


class Blobs:
    """Blobs of all tenants; safe to share between threads."""

    def __init__(self, store: Store, content: BlobContent) -> None:
        self._store = store
        self._turns = Turns()
        self.content = content

    def get(self, tenant: str, id: str) -> Blob | None:
        """Return the record of a tenant's blob."""
        row = self._store.identity(tenant, _KIND, id)
        return None if row is None else msgspec.json.decode(row.doc, type=Blob)

    def list(self, tenant: str) -> list[Blob]:
        """Return the records of a tenant's blobs by id."""
        rows = self._store.identities(tenant, _KIND)
        return [msgspec.json.decode(row.doc, type=Blob) for row in rows]

    def keep(
        self,
        upload: Upload,
        tenant: str,
        administer: Callable[[str, Act], object],
        *,
        mime_type: str,
        now_ms: int,
        dialect: str,
        id: str | None = None,
        actor: Resource | None = None,
    ) -> Blob:
        """Make an upload a blob of a tenant; `id` may be an old one.

        Raises: Conflict when the id is taken.
        """
        with self._turns.taken([(tenant, upload.digest)]):
            content = upload.finish()
            blob, act = add_blob(
                tenant, content,
                mime_type=mime_type, now_ms=now_ms, dialect=dialect, id=id, actor=actor,
            )  # fmt: skip
            administer(tenant, act)
            if not self.content.has(tenant, content.digest):
                # Another server erased the last blob with this content before ours was on record.
                upload.finish()
        return blob

    def forget(self, blob: Blob, erase: Callable[[], T]) -> T:
        """Run `erase`, which erases the record of a blob, and destroy content that nobody has.

        Raises: what `erase` raises.
        """
        with self._turns.taken([(blob.tenant, blob.digest)]):
            erased = erase()
            self._remove_unused(blob.tenant, [blob.digest])
        return erased

    def sweep(self, tenant: str) -> None:
        """Destroy content that no record has, as after a kill in the middle of an erasure."""
        used = {blob.digest for blob in self.list(tenant)}
        unused = [digest for digest in self.content.digests(tenant) if digest not in used]
        with self._turns.taken([(tenant, digest) for digest in unused]):
            self._remove_unused(tenant, unused)

    def _remove_unused(self, tenant: str, digests: Sequence[str]) -> None:
        if not digests:
            return
        with self._store.transaction() as writer:
            # While the log is held no record can be added, on whichever server.
            writer.head(tenant)
            used = {blob.digest for blob in self.list(tenant)}
            for digest in digests:
                if digest not in used:
                    self.content.remove(tenant, digest)

    def read(self, blob: Blob, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop) of a blob.

        Raises: StoreCorrupt.
        """
        return self.content.read(blob.tenant, blob.digest, start, stop)


def add_blob(
    tenant: str,
    content: Content,
    *,
    mime_type: str,
    now_ms: int,
    dialect: str,
    id: str | None = None,
    actor: Resource | None = None,
) -> tuple[Blob, Act]:
    """Return the record of uploaded content and the act that makes it; `id` may be an old one."""
    blob = Blob(
        id=id or str(uuid.uuid4()),
        tenant=tenant,
        digest=content.digest,
        size=content.size,
        mime_type=mime_type,
        accepted_ms=now_ms,
    )
    draft = Draft(
        kind="blob.stored",
        op=Op.SYSTEM,
        actor=actor,
        target=Resource("blob", blob.id),
        data={"sha256": blob.digest, "size": blob.size, "mime_type": mime_type},
        dialect=dialect,
    )
    write = IdentityWrite(tenant, _KIND, blob.id, msgspec.json.encode(blob))
    return blob, Act(draft, (write,))


def check_blobs(blobs: Blobs, tenants: Iterable[str]) -> Iterator[str | None]:
    """Hash the content of every blob; yield what is wrong with each, None if nothing is."""
    for tenant in tenants:
        checked: dict[str, str | None] = {}
        for blob in blobs.list(tenant):
            if blob.digest not in checked:
                checked[blob.digest] = _difference(blobs, blob)
            wrong = checked[blob.digest]
            yield None if wrong is None else f"tenant {tenant!r}, blob {blob.id}: {wrong}"


def copy_content(blobs: Blobs, tenants: Iterable[str], target: BlobContent) -> int:
    """Copy the content of every blob; return how many there were. Records travel with the store.

    Raises: StoreCorrupt when content is missing or not what was uploaded.
    """
    copied = 0
    for tenant in tenants:
        for blob in {blob.digest: blob for blob in blobs.list(tenant)}.values():
            upload = target.begin(tenant)
            try:
                for at in range(0, blob.size, CHUNK_BYTES):
                    upload.write(blobs.read(blob, at, at + CHUNK_BYTES))
                if upload.finish().digest != blob.digest:
                    raise StoreCorrupt(f"blob {blob.id} of tenant {tenant!r} is damaged")
            finally:
                upload.abort()
            copied += 1
    return copied


def _difference(blobs: Blobs, blob: Blob) -> str | None:
    digest = hashlib.sha256()
    at = 0
    try:
        while data := blobs.read(blob, at, at + CHUNK_BYTES):
            digest.update(data)
            at += len(data)
    except StoreCorrupt as error:
        return for_operator(error)
    if (digest.hexdigest(), at) != (blob.digest, blob.size):
        return "its content is not what was uploaded"
    return None
