"""Files of exports: what a kind of file is, how far one is, and where its parts lie."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from tallystick.durable import create_folder, replace_file
from tallystick.events.event import Json
from tallystick.identity.exports import ExportJob
from tallystick.json_text import NOT_JSON
from tallystick.query.expr import Expr

Words = Mapping[str, Sequence[str]]
"""A question in the words of a request: the values of each parameter."""

Phase = Literal["queued", "running", "done", "failed"]

Progress = Callable[[int, int], None]
"""Called with how much is done of how much, every now and then; what it raises ends the work."""

_STATE = "state.json"
_FILE = "file"


class WrittenFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands in a file that was written."""

    sha256: str
    bytes: int
    events: int
    first_index: int | None = None
    last_index: int | None = None
    entries: int | None = None
    """Entries of the log in a bundle."""


class FileState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far the file of an export is; no content of it."""

    tenant: str
    id: str
    size: int
    phase: Phase = "queued"
    done: int = 0
    total: int = 0
    rights: str = ""
    """Digest of what the maker could see when the file was begun."""
    checked: int = 0
    """Size of the log up to which no erasure concerns the file."""
    written: WrittenFile | None = None
    begun_again: bool = False
    problem: str | None = None
    server: str = ""
    """The name of the server that writes it, or wrote it last."""


class FileOrder(NamedTuple):
    """What is to stand in a file: the question of an export, and what its maker sees now."""

    job: ExportJob
    words: Words
    visible: Expr


class FileKind(NamedTuple):
    """A kind of file: exports and bundles are two.

    `write` leaves the same bytes for the same order, goes on where a killed run stopped, and keeps
    its parts in the folder of its target. `entry` returns kind and data of the entry that tells.
    """

    write: Callable[[FileOrder, Path, Progress], WrittenFile]
    entry: Callable[[FileOrder, WrittenFile], tuple[str, Json]]


class FileFolder:
    """The folder of all files of this server, one folder for each; safe to share between threads.

    On a store of one process its states are the states.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Guards the states below, which are those on disk; a commit waits for it.
        self._lock = threading.Lock()
        self._states: dict[tuple[str, str], FileState] = {}
        for path in folder.glob(f"*/{_STATE}"):
            with contextlib.suppress(*NOT_JSON, OSError):
                state = msgspec.json.decode(path.read_bytes(), type=FileState)
                self._states[state.tenant, state.id] = state

    def acquire(self, tenant: str, id: str) -> bool:
        """Do nothing: the folder has one server."""
        return True

    def release(self, tenant: str, id: str) -> None:
        """Do nothing."""

    def load(self, tenant: str, id: str) -> bytes | None:
        """Return the state of a file."""
        state = self.state(tenant, id)
        return None if state is None else msgspec.json.encode(state)

    def save(self, tenant: str, id: str, doc: bytes) -> bool:
        """Write the state of a file."""
        self.keep(msgspec.json.decode(doc, type=FileState))
        return True

    def known(self) -> list[tuple[str, str]]:
        """Return tenant and id of each file."""
        with self._lock:
            return sorted(self._states)

    def close(self) -> None:
        """Do nothing."""

    def state(self, tenant: str, id: str) -> FileState | None:
        """Return the state of a file."""
        with self._lock:
            return self._states.get((tenant, id))

    def states(self, tenant: str) -> list[FileState]:
        """Return the states of a tenant's files."""
        with self._lock:
            return [state for state in self._states.values() if state.tenant == tenant]

    def keep(self, state: FileState) -> None:
        """Write the state of a file."""
        path = self.path(state.id).parent
        create_folder(path)
        replace_file(path / _STATE, msgspec.json.encode(state), may_fall_back=True)
        with self._lock:
            self._states[state.tenant, state.id] = state

    def path(self, id: str) -> Path:
        """Return where the file of an export lies, or will lie."""
        return self._folder / id / _FILE

    def drop(self, id: str) -> None:
        """Remove a file and its parts, but not its state."""
        folder = self.path(id).parent
        for path in list(folder.iterdir()) if folder.is_dir() else ():
            if path.name == _STATE:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def forget(self, tenant: str, id: str) -> None:
        """Remove a file with all that is kept of it."""
        with self._lock:
            self._states.pop((tenant, id), None)
        shutil.rmtree(self.path(id).parent, ignore_errors=True)
