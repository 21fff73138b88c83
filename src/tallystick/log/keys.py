"""The server's signing key: made on first start, kept in a file only its owner can read.

One key signs the checkpoints of every log of the server; the note's key name is the origin of the
log, as witnesses expect, so each log has a verifier key of its own. Source: C2SP signed-note and
tlog-checkpoint.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tallystick.errors import SettingsError
from tallystick.tlog.note import Signer

_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF"
        "581A0DB248B0A77AECEC196ACCC52973",
        16,
    ),
}


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

    def derive_ec_key(self, curve: ec.EllipticCurve, purpose: str) -> ec.EllipticCurvePrivateKey:
        """Return the private key for another purpose that this key implies, always the same.

        Source: RFC 5869, with the purpose as its info.
        """
        length = (curve.key_size + 7) // 8 + 8
        info = f"tallystick {purpose}".encode()
        secret = HKDF(SHA256(), length, None, info).derive(self._base.seed())
        # Eight bytes more than the order has make the reduction's bias negligible.
        order = _ORDERS[curve.name]
        return ec.derive_private_key(int.from_bytes(secret, "big") % (order - 1) + 1, curve)


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
