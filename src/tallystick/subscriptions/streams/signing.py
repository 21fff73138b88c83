"""Signatures of deliveries, and the secrets behind them. Source: Standard Webhooks 1.0.

Secrets follow from the log's key and the stream's salt, so that no database and no backup of one
holds them: who has the key file can make them again, and nobody else. What a receiver's operator
gave us (a token, headers) cannot follow from anything and is stored encrypted under such a secret.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import b64encode
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick.errors import StoreCorrupt
from tallystick.identity.streams import Stream

Derive = Callable[[str], bytes]
"""Returns 32 secret bytes for a purpose, always the same."""

OVERLAP_MS = 24 * 3600 * 1000
"""How long deliveries are signed with the secret before the latest one too."""

_NONCE_BYTES = 12


class Secrets(NamedTuple):
    """What a receiver needs to check signatures, in the notation of Standard Webhooks."""

    secret: str
    public_key: str


class WebhookSigner:
    """Signs the deliveries of one stream."""

    def __init__(self, stream: Stream, derive: Derive) -> None:
        self._stream = stream
        self._derive = derive

    def secrets(self) -> Secrets:
        """Return the latest secret, and the public key that belongs to it."""
        generation = self._stream.secret
        public = self._ed25519(generation).public_key()
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return Secrets(
            f"whsec_{b64encode(self._hmac_key(generation)).decode()}",
            f"whpk_{b64encode(raw).decode()}",
        )

    def headers(self, id: str, body: bytes, now_ms: int) -> dict[str, str]:
        """Return the headers that sign a delivery, with every secret that counts now."""
        now_s = now_ms // 1000
        signed = b"%b.%d.%b" % (id.encode(), now_s, body)
        signatures: list[str] = []
        for generation in self._generations(now_ms):
            mac = hmac.new(self._hmac_key(generation), signed, hashlib.sha256).digest()
            signatures.append(f"v1,{b64encode(mac).decode()}")
        for generation in self._generations(now_ms):
            signature = self._ed25519(generation).sign(signed)
            signatures.append(f"v1a,{b64encode(signature).decode()}")
        return {
            "webhook-id": id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": " ".join(signatures),
        }

    def _generations(self, now_ms: int) -> tuple[int, ...]:
        latest, rotated_ms = self._stream.secret, self._stream.rotated_ms
        if rotated_ms is not None and now_ms < rotated_ms + OVERLAP_MS:
            return (latest, latest - 1)
        return (latest,)

    def _hmac_key(self, generation: int) -> bytes:
        return self._derive(f"stream {self._stream.salt} hmac {generation}")

    def _ed25519(self, generation: int) -> Ed25519PrivateKey:
        seed = self._derive(f"stream {self._stream.salt} ed25519 {generation}")
        return Ed25519PrivateKey.from_private_bytes(seed)


def seal(headers: dict[str, str], salt: str, derive: Derive) -> str:
    """Return headers encrypted, as they are stored."""
    nonce = os.urandom(_NONCE_BYTES)
    text = msgspec.json.encode(headers)
    sealed = AESGCM(derive(f"stream {salt} headers")).encrypt(nonce, text, salt.encode())
    return b64encode(nonce + sealed).decode()


def unseal(sealed: str | None, salt: str, derive: Derive) -> dict[str, str]:
    """Return headers as they were given.

    Raises: StoreCorrupt when they were sealed with another key, or changed.
    """
    if sealed is None:
        return {}
    try:
        data = msgspec.json.decode(f'"{sealed}"', type=bytes)
        text = AESGCM(derive(f"stream {salt} headers")).decrypt(
            data[:_NONCE_BYTES], data[_NONCE_BYTES:], salt.encode()
        )
        return msgspec.json.decode(text, type=dict[str, str])
    except (InvalidTag, ValueError, msgspec.MsgspecError):
        raise StoreCorrupt(
            "a stream's headers were encrypted with another key",
            hint="delete the stream and create it again",
        ) from None
