"""A follower as a value: all that the processes which run it know of it.

The supervisor, the child process and the followers of a command take kinds and import none. A kind
is loaded by its reference, `module:NAME`, so that a process imports the follower it runs and no
other.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from tallystick.events.dialect_rules import Rules
from tallystick.followers.follow import Follower
from tallystick.followers.registry import load
from tallystick.store.base import Store


class FollowerReader(Protocol):
    """Reads what a follower keeps; shared between threads."""

    def close(self) -> None:
        """Release files; idempotent."""


class FollowerKind(NamedTuple):
    """One follower: its name, how it is opened, and how it may lag."""

    name: str
    """Its name in commands, metrics, messages, and of its folder."""
    open: Callable[[Path, Store, Rules], Follower]
    """Opens a generation for writing, filling an empty folder. Raises IndexDamaged."""
    read: Callable[[Path, Store, Rules], FollowerReader]
    """Opens a generation for reading, beside the process that writes it. Raises IndexDamaged."""
    commits: bool = False
    """Whether entries can be read only after a commit, which a waiting read has to ask for."""
    lag_max: int = 16_384
    """Entries it may be behind before commits wait for it."""
    suspect: bool = False
    """Whether a failed read that damage would explain has its checksums compared."""
    in_database: bool = False
    """Whether a database writes it with each batch, so that nothing follows there."""


def load_kind(reference: str) -> FollowerKind:
    """Return the kind that a reference names.

    Raises: SettingsError when there is none.
    """
    kind = load(reference)
    assert isinstance(kind, FollowerKind), f"{reference} is no kind of follower"
    return kind
