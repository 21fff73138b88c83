"""Base64 as notes, checkpoints and receipts use it: RFC 4648 section 4, one spelling per value."""

from __future__ import annotations

from base64 import b64encode
from binascii import a2b_base64

from tallystick.errors import VerificationError


def to_base64(data: bytes) -> str:
    """Return the base64 spelling of `data`, padded."""
    return b64encode(data).decode("ascii")


def from_base64(text: str, error: type[VerificationError], what: str) -> bytes:
    """Return the bytes that `text` spells.

    Raises: `error`, naming `what`, for anything `to_base64` would have spelled differently.
    """
    try:
        data = a2b_base64(text, strict_mode=True)
    except ValueError as exc:
        raise error(f"{what} is not base64") from exc
    # Strict mode still lets unused bits be set, which would give one value many spellings.
    if to_base64(data) != text:
        raise error(f"{what} is not in the usual spelling of base64")
    return data
