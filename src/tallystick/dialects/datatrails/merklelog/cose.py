"""COSE_Sign1 messages with ECDSA: exactly what seals and receipts need.

Encoding is deterministic (RFC 8949 section 4.2), decoding accepts definite lengths and unique
map keys only. Source: RFC 9052 section 4 and RFC 9053 section 2.1.
"""

from __future__ import annotations

import io
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from tallystick.errors import BadSignature, MalformedReceipt

ALGORITHM = 1
KEY_ID = 4
CWT_CLAIMS = 15
CWT_CLAIMS_DRAFT = 13
"""The label that CWT claims had while the vendor's programs were written."""

SIGN1_TAG = 18
_DEPTH_MAX = 16

Header = Mapping[int, object]


class Curve(NamedTuple):
    """What COSE and the vendor's key maps say about one curve."""

    algorithm: int
    """COSE algorithm identifier."""
    name: str
    """As the vendor's key maps spell it."""
    curve_id: int
    hash: hashes.HashAlgorithm
    bytes: int
    order: int


def _curve(
    algorithm: int, name: str, digest: hashes.HashAlgorithm, curve: ec.EllipticCurve
) -> Curve:
    return Curve(algorithm, name, _IDS[name], digest, curve.key_size // 8, curve.group_order)


_IDS = {"P-256": 1, "P-384": 2}
_CURVES = {
    "secp256r1": _curve(-7, "P-256", hashes.SHA256(), ec.SECP256R1()),
    "secp384r1": _curve(-35, "P-384", hashes.SHA384(), ec.SECP384R1()),
}


class Message(NamedTuple):
    """A decoded COSE_Sign1; `payload` is None when it is detached."""

    protected_bytes: bytes
    protected: Header
    unprotected: Header
    payload: bytes | None
    signature: bytes


def curve_of(key: ec.EllipticCurvePublicKey) -> Curve:
    """Return what COSE says about a key's curve.

    Raises: ValueError for a curve other than P-256 and P-384.
    """
    try:
        return _CURVES[key.curve.name]
    except KeyError:
        raise ValueError(f"curve {key.curve.name} is not used in this log") from None


def coordinates(key: ec.EllipticCurvePublicKey) -> tuple[bytes, bytes]:
    """Return the point of a public key as two byte strings of full length."""
    numbers, length = key.public_numbers(), curve_of(key).bytes
    return numbers.x.to_bytes(length, "big"), numbers.y.to_bytes(length, "big")


def thumbprint(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the SHA-256 thumbprint of a public key. Source: RFC 9679."""
    x, y = coordinates(key)
    return sha256(encode({1: 2, -1: curve_of(key).curve_id, -2: x, -3: y})).digest()


def public_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return a public key as a JWK, named by its thumbprint. Source: RFC 7518 section 6.2."""
    x, y = (urlsafe_b64encode(part).rstrip(b"=").decode() for part in coordinates(key))
    kid = thumbprint(key).hex()
    return {"kty": "EC", "crv": curve_of(key).name, "kid": kid, "use": "sig", "x": x, "y": y}


def encode(value: object) -> bytes:
    """Return the deterministic encoding of `value`."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes) -> object:
    """Return the one item that `data` holds.

    Raises: MalformedReceipt, also for anything after the item.
    """
    stream = io.BytesIO(data)
    try:
        item: object = cbor2.CBORDecoder(
            stream, max_depth=_DEPTH_MAX, allow_indefinite=False, allow_duplicate_keys=False
        ).decode()
    except (cbor2.CBORError, ValueError, ArithmeticError, RecursionError, TypeError) as error:
        raise MalformedReceipt("not CBOR, or CBOR that no receipt holds") from error
    if stream.tell() != len(data):
        raise MalformedReceipt("there are bytes after the CBOR item")
    return item


def sign(
    key: ec.EllipticCurvePrivateKey,
    *,
    protected: Header,
    payload: bytes,
    unprotected: Header | None = None,
    published: bytes | None = None,
) -> bytes:
    """Return a tagged COSE_Sign1 over `payload` that carries `published` in its place.

    `published` None leaves the payload out. Signatures have a low s.
    """
    protected = {ALGORITHM: curve_of(key.public_key()).algorithm, **protected}
    protected_bytes = encode(protected)
    signature = _sign(key, _to_be_signed(protected_bytes, payload))
    return _tagged(Message(protected_bytes, protected, unprotected or {}, published, signature))


def with_unprotected(message: Message, unprotected: Header) -> bytes:
    """Return `message` encoded with another unprotected header; its signature stays valid."""
    return _tagged(message._replace(unprotected=unprotected))


def open_message(data: bytes) -> Message:
    """Decode a tagged COSE_Sign1.

    Raises: MalformedReceipt.
    """
    item = decode(data)
    if not isinstance(item, cbor2.CBORTag) or item.tag != SIGN1_TAG:
        raise MalformedReceipt("not a tagged COSE_Sign1")
    parts = item.value
    if not isinstance(parts, Sequence) or isinstance(parts, str | bytes) or len(parts) != 4:
        raise MalformedReceipt("a COSE_Sign1 has four parts")
    protected_bytes, unprotected, payload, signature = parts
    if not isinstance(protected_bytes, bytes) or not isinstance(signature, bytes):
        raise MalformedReceipt("protected header and signature are byte strings")
    if payload is not None and not isinstance(payload, bytes):
        raise MalformedReceipt("the payload is a byte string or null")
    protected = decode(protected_bytes) if protected_bytes else {}
    if not isinstance(protected, Mapping) or not isinstance(unprotected, Mapping):
        raise MalformedReceipt("a header is a map")
    return Message(protected_bytes, protected, unprotected, payload, signature)


def verify(
    message: Message, payload: bytes, key: ec.EllipticCurvePublicKey, *, low_s: bool = False
) -> None:
    """Check the signature of `message` over `payload`.

    `low_s` refuses the other of the two signatures that anyone can make of a valid one.
    Raises: BadSignature.
    """
    curve = curve_of(key)
    if message.protected.get(ALGORITHM) != curve.algorithm:
        raise BadSignature("the message is signed with another algorithm than the key's")
    if len(message.signature) != 2 * curve.bytes:
        raise BadSignature(f"a signature of {curve.name} has {2 * curve.bytes} bytes")
    r, s = (
        int.from_bytes(half, "big")
        for half in (message.signature[: curve.bytes], message.signature[curve.bytes :])
    )
    if low_s and s > curve.order // 2:
        raise BadSignature("the signature is not in its canonical form")
    signed = _to_be_signed(message.protected_bytes, payload)
    try:
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(curve.hash))
    except (InvalidSignature, ValueError) as error:
        raise BadSignature("the signature does not match the key and the content") from error


def _sign(key: ec.EllipticCurvePrivateKey, signed: bytes) -> bytes:
    curve = curve_of(key.public_key())
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(curve.hash)))
    s = min(s, curve.order - s)
    return r.to_bytes(curve.bytes, "big") + s.to_bytes(curve.bytes, "big")


def _to_be_signed(protected_bytes: bytes, payload: bytes) -> bytes:
    return encode(["Signature1", protected_bytes, b"", payload])


def _tagged(message: Message) -> bytes:
    parts = [
        message.protected_bytes,
        dict(message.unprotected),
        message.payload,
        message.signature,
    ]
    return encode(cbor2.CBORTag(SIGN1_TAG, parts))
