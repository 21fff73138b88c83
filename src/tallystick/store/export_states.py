"""What a store of exports' states promises: how far each file is, and which server writes it.

It is no truth: a state that is lost means that the file is written again, with the same bytes. It
holds positions, counts and digests, never content.

A file is written by one server at a time. `acquire` makes this server the writer, and `save` writes
nothing once another one has taken over.
"""

from __future__ import annotations

from typing import Protocol

LEASE_S = 8.0
"""How long a server that says nothing keeps others from taking over, on a shared store."""


class ExportStates(Protocol):
    """States of exports; safe to share between threads."""

    def acquire(self, tenant: str, id: str) -> bool:
        """Become the writer of an export, or stay it; tell whether this server is."""

    def release(self, tenant: str, id: str) -> None:
        """Let another server take over at once."""

    def load(self, tenant: str, id: str) -> bytes | None:
        """Return the state of an export, if it has one."""

    def save(self, tenant: str, id: str, doc: bytes) -> bool:
        """Write the state of an export durably; tell whether this server is the writer.

        Raises: StoreBusy, StoreFailed.
        """

    def forget(self, tenant: str, id: str) -> None:
        """Remove what is kept of an export."""

    def known(self) -> list[tuple[str, str]]:
        """Return tenant and id of each export that has a state."""

    def close(self) -> None:
        """Release files and connections; idempotent."""
