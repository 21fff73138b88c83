"""What a reader of logs remembers: the key of each log, and the last head that it was shown.

One file for each log, named after its key and so after its origin, holds the last checkpoint; one
file for each place (a URL and the credential used there) holds the key that is expected there.
Files are replaced whole. Readers that share a folder never write a head that another one has not
been compared with.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from tallystick.durable import create_folder, replace_file
from tallystick.errors import MalformedNote, SettingsError, VerificationError
from tallystick.json_text import NOT_JSON
from tallystick.tlog.checkpoint import Checkpoint, open_checkpoint
from tallystick.tlog.note import Verifier

FOLDER_VARIABLE: Final = "TALLYSTICK_HEADS"
"""The variable of the environment that names the folder."""

_HEAD: Final = ".head"
_PLACE: Final = ".place"
_CONFLICT: Final = ".conflict"

_ELSEWHERE: Final = f"name another folder with {FOLDER_VARIABLE}"

T = TypeVar("T")


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    """What is expected at a place."""

    url: str
    key: str


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    """The last head of a log."""

    key: str
    checkpoint: str


class HeadMoved(Exception):
    """Another reader remembered a head meanwhile: compare with that one first."""


def default_folder() -> Path:
    """Return where heads are remembered unless a folder is named."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "tallystick" / "heads"


class PinnedHeads:
    """The keys and heads in one folder; safe to share between processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def require_writable(self) -> None:
        """See that heads can be remembered. Raises: SettingsError."""
        try:
            create_folder(self.folder)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise SettingsError(f"{self.folder} cannot be written", hint=_ELSEWHERE)

    def key_at(self, place: str) -> Verifier | None:
        """Return the key that is pinned for a place.

        Raises: SettingsError when the file is damaged.
        """
        path = self._path(place, _PLACE)
        data = _read(path)
        return None if data is None else _key(path, _decode(path, data, _Place).key)

    def pin(self, place: str, url: str, key: Verifier) -> None:
        """Expect a key at a place from here on. Raises: SettingsError."""
        self._write(self._path(place, _PLACE), msgspec.json.encode(_Place(url, str(key))))

    def keys_of(self, origin: str) -> list[Verifier]:
        """Return the keys under which heads of logs with this origin are remembered.

        Raises: SettingsError.
        """
        found: list[Verifier] = []
        for path in sorted(self.folder.glob(f"*{_HEAD}")):
            data = _read(path)
            if data is not None:
                key = _key(path, _decode(path, data, _Head).key)
                found += [key] if key.name == origin else []
        return found

    def head(self, key: Verifier) -> Checkpoint | None:
        """Return the last head of the log with this key, verified once more.

        Raises: SettingsError when the file is damaged.
        """
        path = self.path_of(key)
        data = _read(path)
        if data is None:
            return None
        found = _decode(path, data, _Head)
        try:
            # After a rotation, what was carried over is signed by the former key.
            return open_checkpoint(found.checkpoint, [_key(path, found.key)], key.name)
        except VerificationError as error:
            raise _damaged(path, error.message) from error

    def remember(self, key: Verifier, note: str, *, instead_of: Checkpoint | None) -> None:
        """Remember a head that was proven to continue `instead_of`; nothing else is done after it.

        Raises: HeadMoved when that is not the last head any more; SettingsError.
        """
        with self._locked(key):
            if self.head(key) != instead_of:
                raise HeadMoved
            data = msgspec.json.encode(_Head(str(key), note))
            self._write(self.path_of(key), data)

    def carry_over(self, key: Verifier, new: Verifier) -> None:
        """Have the head of a log stand under its new key, unless one stands there already.

        Raises: SettingsError.
        """
        data = _read(self.path_of(key))
        if data is not None and not self.path_of(new).exists():
            self._write(self.path_of(new), data)

    def keep_conflict(self, key: Verifier, note: str) -> Path:
        """Keep a checkpoint that contradicts the remembered one: both are signed, so they prove it.

        Raises: SettingsError.
        """
        path = self.path_of(key).with_suffix(_CONFLICT)
        self._write(path, note.encode())
        return path

    def path_of(self, key: Verifier) -> Path:
        """Return the file of the last head of the log with this key."""
        return self._path(str(key), _HEAD)

    def _path(self, name: str, suffix: str) -> Path:
        return self.folder / (hashlib.sha256(name.encode()).hexdigest()[:32] + suffix)

    def _write(self, path: Path, data: bytes) -> None:
        try:
            create_folder(self.folder)
            replace_file(path, data)
        except OSError as error:
            raise _unwritable(path, error) from error

    @contextlib.contextmanager
    def _locked(self, key: Verifier) -> Iterator[None]:
        """Keep other readers from remembering a head of this log for one block."""
        path = self.path_of(key).with_suffix(".lock")
        try:
            create_folder(self.folder)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error


def _decode(path: Path, data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except NOT_JSON as error:
        raise _damaged(path, "it is not JSON of its form") from error


def _key(path: Path, text: str) -> Verifier:
    try:
        return Verifier.parse(text)
    except MalformedNote as error:
        raise _damaged(path, error.message) from error


def _unwritable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(f"{path} cannot be written: {error.strerror}", hint=_ELSEWHERE)


def _damaged(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"{path} is damaged: {why}",
        hint="restore it from a backup; without it, nothing is known of what the log showed before",
    )
