"""A follower as a value: all that the processes which run it know of it.

The supervisor, the child process and the followers of a command take kinds and import none. A kind
is loaded by its reference, `module:NAME`, so that a process imports the follower it runs and no
other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tallystick.events.dialect_rules import Rules
from tallystick.followers.follow import Follower
from tallystick.followers.loop import FollowerWork
from tallystick.followers.registry import load
from tallystick.followers.services import FollowerServices
from tallystick.settings import Settings
from tallystick.store.base import Store


class FollowerReader(Protocol):
    """Reads what a follower keeps; shared between threads."""

    def close(self) -> None:
        """Release files; idempotent."""


def _nothing(folder: Path) -> Mapping[str, int]:
    return {}


class FollowerKind(NamedTuple):
    """A follower that keeps an index: its name, how it is opened, and how it may lag.

    What it keeps can be made again from the log, in generations.
    """

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
    stored: Callable[[Path], Mapping[str, int]] = _nothing
    """Reads how far a generation at rest had come, by tenant, as far as that is known."""
    in_database: bool = False
    """Whether a database writes it with each batch, so that nothing follows there."""
    configure: Callable[[Any, Settings], Any] | None = None
    """Returns the kind as the settings want it, where it may be kept in several places."""


class TruthKind(NamedTuple):
    """A follower that acts on the log: it sends or signs, and what it did cannot be made again.

    It keeps its cursors with what it does. No read waits for it, and no commit.
    """

    name: str
    """Its name in metrics and messages."""
    open: Callable[[FollowerServices], FollowerWork]
    """Begins its work."""
    is_wanted: Callable[[Store], bool] = lambda store: True
    """Whether there is something for it to do; no process is started before."""
    in_commands: bool = False
    """Whether it also works in a command that opens a data folder, as long as that runs."""


Kind = FollowerKind | TruthKind


def load_kind(reference: str) -> Kind:
    """Return the kind that a reference names.

    Raises: SettingsError when there is none.
    """
    kind = load(reference)
    assert isinstance(kind, Kind), f"{reference} is no kind of follower"
    return kind


def load_index_kind(reference: str, settings: Settings) -> FollowerKind:
    """Return the kind of a follower that keeps an index, where the settings say it is kept.

    Raises: SettingsError when there is none.
    """
    kind = load_kind(reference)
    assert isinstance(kind, FollowerKind), f"{reference} keeps no index"
    return configured(kind, settings)


def configured(kind: FollowerKind, settings: Settings) -> FollowerKind:
    """Return a kind as the settings want it.

    Raises: SettingsError.
    """
    return kind if kind.configure is None else kind.configure(kind, settings)


def load_truth_kind(reference: str) -> TruthKind:
    """Return the kind of a follower that acts on the log.

    Raises: SettingsError when there is none.
    """
    kind = load_kind(reference)
    assert isinstance(kind, TruthKind), f"{reference} keeps an index"
    return kind
