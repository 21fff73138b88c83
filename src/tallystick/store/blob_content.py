"""Where the bytes of blobs are kept, as a protocol: by tenant and SHA-256, each content once."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Content(NamedTuple):
    """What an upload turned out to be."""

    digest: str
    """SHA-256 in hex."""
    size: int


class Upload(Protocol):
    """Content on its way in; used by one thread at a time."""

    size: int
    """How many bytes were written so far."""

    @property
    def digest(self) -> str:
        """SHA-256 in hex of what was written so far."""

    def write(self, data: bytes) -> None:
        """Add to the content."""

    def finish(self) -> Content:
        """Make the content durable and readable by its digest; nothing may be added then.

        Called again, it puts back content that was removed meanwhile, where `has` says so.
        """

    def abort(self) -> None:
        """Forget what was written; harmless after `finish`."""


class BlobContent(Protocol):
    """Stores the bytes of blobs."""

    def begin(self, tenant: str) -> Upload:
        """Begin an upload.

        Raises: StoreFailed.
        """

    def read(self, tenant: str, digest: str, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop) of some content, fewer where it ends.

        Raises: StoreCorrupt when there is no such content.
        """

    def has(self, tenant: str, digest: str) -> bool:
        """Tell whether some content is there."""

    def digests(self, tenant: str) -> list[str]:
        """Return the digests of all content of a tenant, in order."""

    def remove(self, tenant: str, digest: str) -> None:
        """Destroy some content, from the files of the store too; harmless when there is none.

        Raises: StoreFailed.
        """

    def close(self) -> None:
        """Release files and connections; idempotent."""
