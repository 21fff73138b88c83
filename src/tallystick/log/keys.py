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

from tallystick import durable
from tallystick.errors import SettingsError
from tallystick.log.sealed_key import PASSPHRASE_VARIABLE, is_sealed, unseal
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
        """Return the private key for another purpose that this key implies, always the same."""
        secret = self.derive_secret(purpose, (curve.key_size + 7) // 8 + 8)
        # Eight bytes more than the order has make the reduction's bias negligible.
        order = _ORDERS[curve.name]
        return ec.derive_private_key(int.from_bytes(secret, "big") % (order - 1) + 1, curve)

    def derive_secret(self, purpose: str, length: int = 32) -> bytes:
        """Return secret bytes for another purpose that this key implies, always the same.

        Source: RFC 5869, with the purpose as its info.
        """
        info = f"tallystick {purpose}".encode()
        return HKDF(SHA256(), length, None, info).derive(self._base.seed())


def open_log_key(path: Path, server_name: str) -> LogKey:
    """Read the key in the file `path`; make it, readable by its owner only, if there is none.

    Raises: SettingsError when the file holds no key or others may read it.
    """
    if not path.exists():
        _make(path, server_name)
    if path.stat().st_mode & 0o077:
        raise SettingsError(
            f"{path.name} is readable by users other than its owner", hint=f"chmod 600 {path}"
        )
    return read_log_key(path)


def read_log_key(path: Path) -> LogKey:
    """Read the key in the file `path`, whatever its mode, and change nothing.

    Raises: SettingsError when there is no file, or none that can be read, or it holds no key.
    """
    try:
        text = path.read_text("utf-8")
        if is_sealed(text):
            text = unseal(text, os.environ.get(PASSPHRASE_VARIABLE))
        return LogKey(Signer.from_private_text(text))
    except FileNotFoundError:
        raise missing_key(path) from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path.name} contains no signing key", hint="restore it from a backup"
        ) from error


def missing_key(path: Path) -> SettingsError:
    """Return the error for a key that must be there already."""
    return SettingsError(
        f"{path.parent} holds no {path.name}, the signing key of its logs",
        hint="bring it back from a backup: without it no log can be extended or checked",
    )


def _make(path: Path, server_name: str) -> None:
    """Make a key; a crash at any moment leaves the whole file or none."""
    durable.create_file(path, Signer.generate(server_name).to_private_text().encode())
