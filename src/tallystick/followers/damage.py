"""What is wrong with an index, as the reader and the follower of it find out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tallystick.errors import StoreCorrupt


class Cursor(NamedTuple):
    """How far a follower has read a log: entries below `next`, the last of which has `mark`."""

    next: int
    mark: bytes


class IndexDamaged(StoreCorrupt):
    """An index contradicts itself; it has to be made again."""

    follower: str | None = None
    """Which one, if that is known where it is found out."""


class ListsDamaged(IndexDamaged):
    """The lists contradict themselves."""

    follower = "views"


class SearchDamaged(IndexDamaged):
    """The search index contradicts itself."""

    follower = "search"


class LogSetBack(StoreCorrupt):
    """Entries that were followed are not in the log any more, as after a failover or a restore.

    `cursors` are those whose entries are gone, by tenant.
    """

    def __init__(self, cursors: Mapping[str, Cursor]) -> None:
        tenants = ", ".join(repr(tenant) for tenant in sorted(cursors)[:3])
        more = f" and {len(cursors) - 3} more" if len(cursors) > 3 else ""
        super().__init__(
            f"the log of {tenants}{more} is not the one that was followed",
            hint="the index is made again from the log as it is now",
        )
        self.cursors = dict(cursors)


class Health(NamedTuple):
    """How an index is: why it is being rebuilt, if it is, and what happened to it so far."""

    remaking: str | None = None
    remade: int = 0
    """How often it was made again because something was wrong with it."""
    set_back: int = 0
    """How often entries that it had taken in were gone from a log."""
