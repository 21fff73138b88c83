"""The server's signing key: made on first start, kept in a file only its owner can read.

One key signs the checkpoints of every log of the server; the note's key name is the origin of the
log, as witnesses expect, so each log has a verifier key of its own. Source: C2SP signed-note and
tlog-checkpoint.
"""

from __future__ import annotations

import os
from pathlib import Path

from tallystick.errors import SettingsError
from tallystick.tlog.note import Signer


class LogKey:
    """A private key and the signers made from it, one for each log's origin."""

    def __init__(self, base: Signer) -> None:
        self._base = base
        self._signers: dict[str, Signer] = {}

    @classmethod
    def generate(cls) -> LogKey:
        """Return a new random key."""
        return cls(Signer.generate("log"))

    def signer(self, origin: str) -> Signer:
        """Return the signer of the log with this origin."""
        signer = self._signers.get(origin)
        if signer is None:
            signer = self._signers[origin] = self._base.under(origin)
        return signer


def open_log_key(path: Path, server_name: str) -> LogKey:
    """Read the key in the file `path`; make it, readable by its owner only, if there is none.

    Raises: SettingsError when the file holds no key or others may read it.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    signer = Signer.generate(server_name)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(signer.to_private_text())
        file.flush()
        os.fsync(file.fileno())
    return _read(path)


def _read(path: Path) -> LogKey:
    if path.stat().st_mode & 0o077:
        raise SettingsError(
            f"{path.name} can be read by others than its owner", hint=f"chmod 600 {path}"
        )
    try:
        return LogKey(Signer.from_private_text(path.read_text("utf-8")))
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path.name} holds no signing key", hint="restore it from a backup"
        ) from error
