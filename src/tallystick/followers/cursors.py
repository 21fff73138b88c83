"""The cursor law: a follower goes on only where the log is still the one that it read.

A cursor is a position in a tenant's log and a mark: a hash of the log's id and of the leaf hash of
the entry before that position. A leaf hash covers salted content, so no other log and no other
history of the same log has it there. Every follower keeps its cursors so, in the transaction that
moves them, and compares the mark whenever it opens, reads on, or is told that a log went back.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from tallystick.followers.damage import Cursor, LogSetBack
from tallystick.store.base import Store


def mark_of(origin: str, leaf: bytes) -> bytes:
    """Return the mark of a cursor behind an entry with a leaf hash, in the log with an origin."""
    return sha256(origin.encode("utf-8", "surrogatepass") + b"\0" + leaf).digest()


def check_cursors(store: Store, cursors: Iterable[tuple[str, Cursor]]) -> None:
    """Check that every cursor is one of the log as it is stored.

    Raises: LogSetBack.
    Cost: a point read a tenant.
    """
    origins = {head.tenant: head.origin for head in store.log_heads()}
    gone: dict[str, Cursor] = {}
    for tenant, cursor in cursors:
        if not cursor.next:
            continue
        leaves = store.leaves(tenant, cursor.next - 1, cursor.next)
        origin = origins.get(tenant)
        if not leaves or origin is None or mark_of(origin, leaves[0]) != cursor.mark:
            gone[tenant] = cursor
    if gone:
        raise LogSetBack(gone)
