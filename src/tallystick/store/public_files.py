"""Public files: what a follower of the log publishes in a format of its own.

What was published once can never be made again, so these files are truth, as the log is: they are
stored, backed up and checked. They grow at their end and are filled in place; what the bytes mean
is the publisher's matter. The implementations are in `store`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import NamedTuple, Protocol

from tallystick.errors import Conflict


class PublicationCursor(NamedTuple):
    """How far the public files of one tenant have come.

    `tail` is what the publisher needs to go on; nobody else looks into it.
    """

    leaves: int
    """Entries of the log that were published, from the first one on."""
    sealed: int
    """How many of them a seal covers."""
    tail: bytes


class Patch(NamedTuple):
    """Bytes to write into a file at an offset, beyond its end as well."""

    file: int
    offset: int
    data: bytes


class PublishedSeal(NamedTuple):
    """What was signed about a file last."""

    file: int
    leaves: int
    """The size of the log, in entries, that it is about."""
    data: bytes


class PublicFiles(Protocol):
    """The public files of all tenants.

    `advance` is atomic and durable, and it is the only write beside `remove`: a step that was cut
    off anywhere happened whole or not at all, and of two processes that try the same step one
    succeeds.
    """

    def tenants(self) -> list[str]:
        """Return the tenants that have public files."""

    def cursor(self, tenant: str) -> PublicationCursor | None:
        """Return how far a tenant's files have come; None when there are none."""

    def advance(
        self,
        tenant: str,
        before: PublicationCursor | None,
        after: PublicationCursor,
        *,
        patches: Sequence[Patch] = (),
        seals: Sequence[PublishedSeal] = (),
    ) -> None:
        """Go from one cursor to the next, writing what lies between them.

        A seal replaces the earlier one of its file.
        Raises: Conflict when the files are not at `before`; StoreBusy, StoreFailed.
        """

    def remove(self, tenant: str, before: PublicationCursor) -> None:
        """Remove all files of a tenant at once: those of a log that is not the stored one.

        Raises: Conflict when the files are not at `before`; StoreBusy, StoreFailed.
        """

    def size(self, tenant: str, file: int) -> int | None:
        """Return how many bytes a file has; None when there is no such file."""

    def read(self, tenant: str, file: int, start: int = 0, stop: int | None = None) -> bytes | None:
        """Return the bytes [start, stop) of a file, as of one moment; None when there is none.

        Shape: fewer bytes when the file ends before `stop`; what was never written reads as zero.
        """

    def seal(self, tenant: str, file: int) -> PublishedSeal | None:
        """Return the latest seal of a file."""

    def close(self) -> None:
        """Release files and connections; idempotent."""


_UNFINISHED = PublicationCursor(0, 0, b"")
"""Stands in a target until all files are there; no publisher takes it for a place to go on from."""


def copy_public_files(source: PublicFiles, target: PublicFiles) -> int:
    """Copy every tenant's files that `target` does not have; return how many files were copied.

    Nobody may write to either meanwhile; a copy that was cut off is begun again.
    Raises: Conflict when the target has other files of a tenant.
    """
    copied = 0
    for tenant in source.tenants():
        cursor, there = source.cursor(tenant), target.cursor(tenant)
        if cursor is None or cursor == there:
            continue
        if there not in (None, _UNFINISHED):
            raise Conflict(f"the target has other public files of tenant {tenant!r}")
        if there is None:
            target.advance(tenant, None, _UNFINISHED)
        for file in count():
            content = source.read(tenant, file)
            if content is None:
                break
            seal = source.seal(tenant, file)
            target.advance(
                tenant,
                _UNFINISHED,
                _UNFINISHED,
                patches=[Patch(file, 0, content)],
                seals=[] if seal is None else [seal],
            )
            copied += 1
        target.advance(tenant, _UNFINISHED, cursor)
    return copied
