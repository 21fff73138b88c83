"""A private key under a passphrase: one line, AES-256-GCM with a key made by scrypt.

A reader of the file, or of a backup with it, has to guess the passphrase, at 64 MiB and a tenth of
a second a guess.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from tallystick.errors import MalformedNote, SettingsError
from tallystick.tlog.encoding import from_base64, to_base64

PASSPHRASE_VARIABLE: Final = "TALLYSTICK_KEY_PASSPHRASE"  # noqa: S105  # the name of it
"""The variable of the environment that holds the passphrase."""

PASSPHRASE_CHARS_MIN: Final = 12

_PREFIX: Final = "SEALED+KEY+1+"
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_COST: Final = 2**16  # with r=8: 64 MiB


def is_sealed(text: str) -> bool:
    """Tell whether the text of a key file is under a passphrase."""
    return text.startswith(_PREFIX)


def seal(text: str, passphrase: str) -> str:
    """Return the text of a key file under a passphrase.

    Raises: SettingsError when the passphrase is short.
    """
    if len(passphrase) < PASSPHRASE_CHARS_MIN:
        raise SettingsError(f"a passphrase has {PASSPHRASE_CHARS_MIN} characters or more")
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    sealed = _cipher(passphrase, salt).encrypt(nonce, text.encode(), _PREFIX.encode())
    return f"{_PREFIX}{to_base64(salt + nonce + sealed)}\n"


def unseal(text: str, passphrase: str | None) -> str:
    """Return the text that was sealed.

    Raises: SettingsError without a passphrase, or with another one, and for a damaged text.
    """
    if not passphrase:
        raise SettingsError(
            "the signing key is protected by a passphrase", hint=f"set {PASSPHRASE_VARIABLE}"
        )
    try:
        data = from_base64(text.strip().removeprefix(_PREFIX), MalformedNote, "the sealed key")
    except MalformedNote as error:
        raise SettingsError("the encrypted signing key is damaged") from error
    salt, rest = data[:_SALT_BYTES], data[_SALT_BYTES:]
    nonce, sealed = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
    try:
        opened = _cipher(passphrase, salt).decrypt(nonce, sealed, _PREFIX.encode())
    except (InvalidTag, ValueError):
        raise SettingsError(
            "wrong passphrase for the signing key", hint="or the file is damaged"
        ) from None
    return opened.decode()


def _cipher(passphrase: str, salt: bytes) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, length=32, n=_COST, r=8, p=1).derive(passphrase.encode()))
