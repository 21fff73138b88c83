"""Secrets: making them, hashing them, comparing them. Nothing here remembers or logs one.

API keys and client secrets are long and random, so one SHA-256 is enough to keep them; passwords
are neither, so they go through scrypt. Source of the parameters: RFC 7914 section 2.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

KEY_PREFIX = "tlk_"

_SCRYPT_N = 2**14
_SCRYPT_R = 8
_SCRYPT_P = 1
_SALT_BYTES = 16
_SCRYPT_MEMORY_BYTES = 64 * 1024 * 1024


def new_api_key() -> str:
    """Return a new API key: a prefix that scanners recognise and 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def new_secret() -> str:
    """Return a new client secret.

    Shape: 64 hexadecimal digits.
    """
    return secrets.token_hex(32)


def digest_of_secret(secret: str) -> str:
    """Return what is kept of a long random secret: its SHA-256 in hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_same(left: str, right: str) -> bool:
    """Compare two texts in time that does not depend on where they differ."""
    return hmac.compare_digest(
        left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass")
    )


def is_public_key(pem: str) -> bool:
    """Tell whether a text is a public key in PEM form; a private one is none."""
    try:
        load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def hash_password(password: str) -> str:
    """Return what is kept of a password.

    Cost: about 40 ms and 16 MB.
    """
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"scrypt${b64encode(salt).decode()}${b64encode(_scrypt(password, salt)).decode()}"


def is_password(password: str, hashed: str | None) -> bool:
    """Tell whether `password` is the one that was hashed.

    Takes as long for a user without a password, so that time does not tell who exists.
    """
    salt_text, _, expected_text = (hashed or _NOBODY).removeprefix("scrypt$").partition("$")
    digest = _scrypt(password, b64decode(salt_text))
    return hmac.compare_digest(digest, b64decode(expected_text)) and hashed is not None


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=_SCRYPT_N,
        r=_SCRYPT_R,
        p=_SCRYPT_P,
        maxmem=_SCRYPT_MEMORY_BYTES,
        dklen=32,
    )


_NOBODY = f"scrypt${b64encode(bytes(_SALT_BYTES)).decode()}${b64encode(bytes(32)).decode()}"
