"""The server's signing key: made on first start, kept in a file only its owner can read.

One key signs the checkpoints of every log of the server; the note's key name is the origin of the
log, as witnesses expect, so each log has a verifier key of its own. Source: C2SP signed-note and
tlog-checkpoint.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from tallystick import durable
from tallystick.clock import Clock, SystemClock
from tallystick.errors import MalformedNote, SettingsError
from tallystick.log.external_signer import ExternalKey
from tallystick.log.sealed_key import PASSPHRASE_VARIABLE, is_sealed, seal, unseal
from tallystick.tlog.encoding import from_base64, to_base64
from tallystick.tlog.note import Signer, Verifier
from tallystick.tlog.rotation import sign_rotation

_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF"
        "581A0DB248B0A77AECEC196ACCC52973",
        16,
    ),
}


EXTERNAL: Final = "EXTERNAL+KEY+"
_SIGNER: Final = "SIGNER "
_DERIVED: Final = "DERIVED+KEY+"
_FORMER: Final = "FORMER+KEY+"


class FormerKey(NamedTuple):
    """The key before the last rotation, which signs beside the new one for a time."""

    signer: Signer
    until_ms: int


class LogKey:
    """A private key and the signers made from it, one for each log's origin."""

    def __init__(
        self,
        base: Signer,
        *,
        secret: bytes | None = None,
        former: FormerKey | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Take a key; `secret` is what others are derived from, unless that is the key itself."""
        self._base = base
        self._secret = secret
        self._former = former
        self._clock = clock or SystemClock()
        self._signers: dict[str, Signer] = {}
        # With the former key's signature; used until its time is over.
        self._joint: dict[str, Signer] = {}

    @classmethod
    def generate(cls) -> LogKey:
        """Return a new random key."""
        return cls(Signer.generate("log"))

    def signer(self, origin: str) -> Signer:
        """Return the signer of the log with this origin.

        For a time after a rotation, notes carry the former key's signature, too.
        """
        former = self._former
        if former is not None and self.former_signs():
            joint = self._joint.get(origin)
            if joint is None:
                also = (former.signer.under(origin),)
                joint = self._joint[origin] = self._base.under(origin, also)
            return joint
        signer = self._signers.get(origin)
        if signer is None:
            signer = self._signers[origin] = self._base.under(origin)
        return signer

    def verifier(self, origin: str, key_id: bytes = b"") -> Verifier:
        """Return the key that verifies the log with this origin: the former one by its id only."""
        former = self.former_verifier(origin)
        if former is not None and former.key_id == key_id:
            return former
        return self.signer(origin).verifier

    def verifiers(self, origin: str) -> list[Verifier]:
        """Return the keys that a checkpoint of the log may be signed with."""
        former = self.former_verifier(origin)
        return [self.signer(origin).verifier, *([] if former is None else [former])]

    def former_verifier(self, origin: str) -> Verifier | None:
        """Return the key that verified the log before the last rotation, while it still signs."""
        return None if self._former is None else self._former.signer.under(origin).verifier

    def rotation(self, origin: str) -> str | None:
        """Return the statement of the last rotation for one log, signed by both keys."""
        if self._former is None:
            return None
        former = self._former.signer.under(origin)
        return sign_rotation(self._base.under(origin), former, self._former.until_ms)

    def former_signs(self) -> bool:
        """Tell whether the former key still signs beside this one."""
        return self._former is not None and self._clock.now_ms() < self._former.until_ms

    def close(self) -> None:
        """End external signers that run; one is started again when something is to be signed."""
        for signer in (self._base, *([] if self._former is None else [self._former.signer])):
            if isinstance(signer.private_key, ExternalKey):
                signer.private_key.close()

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
        return HKDFExpand(SHA256(), length, info).derive(self.secret())

    def secret(self) -> bytes:
        """Return what secrets are derived from; the signing key cannot be found from it."""
        if self._secret is None:
            self._secret = HKDF.extract(SHA256(), None, self._base.seed())
        return self._secret


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
    return parse_log_key(key_text(path))


def forget_former(path: Path) -> None:
    """Destroy a former key whose time is over. Raises: SettingsError, OSError."""
    text = key_text(path)
    kept = without_former(text, SystemClock().now_ms())
    if kept is not None:
        write_key_text(path, kept)


def key_text(path: Path) -> str:
    """Return the text of a key file, without its passphrase.

    Raises: SettingsError.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise missing_key(path) from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path.name} contains no signing key", hint="restore it from a backup"
        ) from error
    return unseal(text, os.environ.get(PASSPHRASE_VARIABLE)) if is_sealed(text) else text


def write_key_text(path: Path, text: str) -> None:
    """Put other text into a key file, under its passphrase if it has one. Raises: SettingsError."""
    if path.exists() and is_sealed(path.read_text("utf-8")):
        text = seal(text, os.environ.get(PASSPHRASE_VARIABLE, ""))
    durable.replace_file(path, text.encode())


def missing_key(path: Path) -> SettingsError:
    """Return the error for a key that must be there already."""
    return SettingsError(
        f"{path.parent} holds no {path.name}, the signing key of its logs",
        hint="bring it back from a backup: without it no log can be extended or checked",
    )


def _make(path: Path, server_name: str) -> None:
    """Make a key; a crash at any moment leaves the whole file or none."""
    durable.create_file(path, Signer.generate(server_name).to_private_text().encode())


# A key file has one line, the private key, or several: the key, or the public key and the command
# of an external signer; what other secrets are derived from; the former key and how long it signs.


def parse_log_key(text: str) -> LogKey:
    """Read the text of a key file.

    Raises: SettingsError, which repeats nothing of it.
    """
    first, *rest = text.rstrip("\n").split("\n")
    command: str | None = None
    secret: bytes | None = None
    former: FormerKey | None = None
    for line in rest:
        if line.startswith(_SIGNER):
            command = line.removeprefix(_SIGNER)
        elif line.startswith(_DERIVED):
            secret = _secret_of(line.removeprefix(_DERIVED))
        elif line.startswith(_FORMER):
            former = _former_of(line.removeprefix(_FORMER))
        else:
            raise SettingsError("the key file has a line that this version does not know")
    if not first.startswith(EXTERNAL):
        return LogKey(Signer.from_private_text(first), secret=secret, former=former)
    if command is None or secret is None:
        raise SettingsError("the key file names an external key, but not how to reach it")
    return LogKey(external_signer(first, command), secret=secret, former=former)


def external_signer(line: str, command: str) -> Signer:
    """Return the signer that a command is, for the public key in the line of a key file.

    Raises: SettingsError.
    """
    try:
        verifier = Verifier.parse(line.removeprefix(EXTERNAL))
    except MalformedNote as error:
        raise SettingsError("the public key in the key file is damaged") from error
    return Signer(verifier.name, ExternalKey(command, verifier.public_key))


def log_key_text(
    base: Signer,
    secret: bytes,
    *,
    command: str | None = None,
    former: tuple[str, int] | None = None,
) -> str:
    """Return the text of a key file; `former` is the first part of another one, and a time."""
    if command is None:
        lines = [base.to_private_text().rstrip("\n")]
    else:
        lines = [f"{EXTERNAL}{base.verifier}", f"{_SIGNER}{command}"]
    lines.append(f"{_DERIVED}{to_base64(secret)}")
    if former is not None:
        text, until_ms = former
        lines.append(f"{_FORMER}{until_ms} {text}")
    return "".join(f"{line}\n" for line in lines)


def signing_part(text: str) -> str:
    """Return what of a key file's text names the key that signs, as one line."""
    first, *rest = text.rstrip("\n").split("\n")
    commands = [line for line in rest if line.startswith(_SIGNER)]
    return " ".join([first, *commands])


def without_former(text: str, now_ms: int) -> str | None:
    """Return the text of a key file without a former key whose time is over; None if it has none.

    Raises: SettingsError.
    """
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not (line.startswith(_FORMER) and _is_over(line, now_ms))]
    return None if kept == lines else "".join(kept)


def _is_over(line: str, now_ms: int) -> bool:
    return _former_of(line.rstrip("\n").removeprefix(_FORMER)).until_ms <= now_ms


def _former_of(text: str) -> FormerKey:
    until, _, key = text.partition(" ")
    if not until.isdecimal():
        raise SettingsError("the former key in the key file is damaged")
    line, _, command = key.partition(f" {_SIGNER}")
    signer = external_signer(line, command) if command else Signer.from_private_text(line)
    return FormerKey(signer, int(until))


def _secret_of(text: str) -> bytes:
    try:
        return from_base64(text, MalformedNote, "it")
    except MalformedNote as error:
        raise SettingsError("the key file is damaged: what secrets are derived from") from error
