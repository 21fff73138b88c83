"""Cosignatures: the statement of a witness that a checkpoint continues all it has seen before.

Ed25519 (`cosignature/v1`), and ML-DSA-44 where the installed `cryptography` has it. Whether a
checkpoint deserves a cosignature is the witness's matter. Source: C2SP tlog-cosignature.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tallystick.errors import BadSignature, MalformedNote, SettingsError
from tallystick.tlog.checkpoint import Checkpoint
from tallystick.tlog.encoding import to_base64
from tallystick.tlog.note import Signature, is_key_name, parse_encoded_key, split_note

try:
    from cryptography.hazmat.primitives.asymmetric import mldsa
except ImportError:  # an older library: such keys are refused by name
    mldsa = None  # type: ignore[assignment]

TIMESTAMP_MAX: Final = 2**63 - 1

_SEED_BYTES: Final = 32
_PRIVATE_PREFIX: Final = "PRIVATE+KEY+"
_TIMESTAMP: Final = struct.Struct(">Q")
_NAME_BYTES_MAX: Final = 255


class CosignatureAlgorithm(IntEnum):
    """The kinds of cosignatures, by the byte that marks their keys."""

    ED25519 = 4
    ML_DSA_44 = 6


_KEY_BYTES: Final = {CosignatureAlgorithm.ED25519: 32, CosignatureAlgorithm.ML_DSA_44: 1312}
_SIGNATURE_BYTES: Final = {CosignatureAlgorithm.ED25519: 64, CosignatureAlgorithm.ML_DSA_44: 2420}


@dataclass(frozen=True, slots=True)
class CosignatureVerifier:
    """A witness's public key under its name; `str` gives the encoded form, the "vkey"."""

    name: str
    algorithm: CosignatureAlgorithm
    public_key: bytes

    def __post_init__(self) -> None:
        if not is_key_name(self.name) or len(self.name.encode()) > _NAME_BYTES_MAX:
            raise MalformedNote("a witness's name is text without spaces and plus signs")
        if len(self.public_key) != _KEY_BYTES[self.algorithm]:
            raise MalformedNote("the witness's key has the wrong length")

    @classmethod
    def parse(cls, vkey_text: str) -> CosignatureVerifier:
        """Read an encoded witness key.

        Raises: MalformedNote unless it is one for cosignatures, with the id its name and key give.
        """
        encoded = parse_encoded_key(vkey_text)
        try:
            algorithm = CosignatureAlgorithm(encoded.algorithm)
        except ValueError:
            raise MalformedNote("the key is not one for cosignatures (type 4 or 6)") from None
        verifier = cls(encoded.name, algorithm, encoded.key)
        if verifier.key_id != encoded.key_id:
            raise MalformedNote("the witness key's id does not match its name and key")
        return verifier

    @property
    def key_id(self) -> bytes:
        """Return the four bytes by which signature lines refer to the key."""
        named = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_key
        return sha256(named).digest()[:4]

    def verify(self, text: str, signature: bytes) -> int:
        """Check a cosignature over the text of a checkpoint; return its time, in POSIX seconds.

        Raises: BadSignature if it is not this key's, or this installation lacks the algorithm.
        """
        size = _TIMESTAMP.size + _SIGNATURE_BYTES[self.algorithm]
        if len(signature) != size:
            raise BadSignature(f"a cosignature by {self.name} has {size} bytes")
        (time_s,) = _TIMESTAMP.unpack(signature[: _TIMESTAMP.size])
        if time_s > TIMESTAMP_MAX:
            raise BadSignature(f"the cosignature by {self.name} is of an impossible time")
        message = _message(self.name, self.algorithm, text, time_s)
        try:
            _verify(self.algorithm, self.public_key, signature[_TIMESTAMP.size :], message)
        except (InvalidSignature, ValueError) as exc:
            raise BadSignature(f"the cosignature is not by {self.name}") from exc
        return int(time_s)

    def __str__(self) -> str:
        key = to_base64(bytes([self.algorithm]) + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{key}"


class Cosignature(NamedTuple):
    """A valid cosignature under a checkpoint: whose, of when, and its line in the note."""

    verifier: CosignatureVerifier
    time_s: int
    line: str


class Cosigner:
    """A witness's private key under its name."""

    def __init__(self, name: str, algorithm: CosignatureAlgorithm, seed: bytes) -> None:
        if algorithm is CosignatureAlgorithm.ML_DSA_44 and not has_ml_dsa():
            raise _no_ml_dsa()
        self._seed = seed
        if algorithm is CosignatureAlgorithm.ED25519:
            key = Ed25519PrivateKey.from_private_bytes(seed)
            self._sign = key.sign
            public_key = key.public_key().public_bytes_raw()
        else:
            post_quantum = mldsa.MLDSA44PrivateKey.from_seed_bytes(seed)
            self._sign = post_quantum.sign
            public_key = post_quantum.public_key().public_bytes_raw()
        self.verifier = CosignatureVerifier(name, algorithm, public_key)

    @classmethod
    def from_private_text(cls, text: str) -> Cosigner:
        """Read the encoded private key, with or without its line end.

        Raises: SettingsError, which never repeats any of it.
        """
        try:
            if not text.startswith(_PRIVATE_PREFIX):
                raise MalformedNote("it does not start as an encoded private key does")
            encoded = parse_encoded_key(text.rstrip("\n").removeprefix(_PRIVATE_PREFIX))
            if len(encoded.key) != _SEED_BYTES:
                raise MalformedNote("its seed has the wrong length")
            cosigner = cls(encoded.name, CosignatureAlgorithm(encoded.algorithm), encoded.key)
        except (MalformedNote, ValueError) as exc:
            raise SettingsError("the witness's private key is damaged") from exc
        if cosigner.verifier.key_id != encoded.key_id:
            raise SettingsError("the witness's private key does not match its own id")
        return cosigner

    def to_private_text(self) -> str:
        """Return the encoded private key, a line to be kept secret."""
        verifier = self.verifier
        seed = to_base64(bytes([verifier.algorithm]) + self._seed)
        return f"{_PRIVATE_PREFIX}{verifier.name}+{verifier.key_id.hex()}+{seed}\n"

    def cosign(self, text: str, time_s: int) -> str:
        """Return the signature line for the text of a checkpoint, with its line end.

        Raises: MalformedNote if it is the text of no checkpoint.
        """
        verifier = self.verifier
        signature = self._sign(_message(verifier.name, verifier.algorithm, text, time_s))
        stamped = _TIMESTAMP.pack(time_s) + signature
        return Signature(verifier.name, verifier.key_id, stamped).to_line()

    def __repr__(self) -> str:
        return f"Cosigner({self.verifier.name!r})"


@cache
def has_ml_dsa() -> bool:
    """Tell whether the installed `cryptography` can make and check ML-DSA-44 signatures."""
    if mldsa is None:
        return False
    try:
        mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(_SEED_BYTES))
    except UnsupportedAlgorithm:
        return False
    return True


def cosignatures_of(
    note: str | bytes, verifiers: Iterable[CosignatureVerifier]
) -> list[Cosignature]:
    """Return the cosignatures by known keys under a checkpoint; others are ignored.

    Raises: MalformedNote; BadSignature if one by a known key is wrong.
    """
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    text, signatures = split_note(note)
    found: dict[CosignatureVerifier, Cosignature] = {}
    for signature in signatures:
        verifier = known.get((signature.name, signature.key_id))
        if verifier is None:
            continue
        if verifier in found:
            raise MalformedNote(f"{signature.name} has cosigned twice")
        time_s = verifier.verify(text, signature.signature)
        found[verifier] = Cosignature(verifier, time_s, signature.to_line())
    return list(found.values())


def _message(name: str, algorithm: CosignatureAlgorithm, text: str, time_s: int) -> bytes:
    if algorithm is CosignatureAlgorithm.ED25519:
        return f"cosignature/v1\ntime {time_s}\n{text}".encode()
    checkpoint = Checkpoint.parse(text)
    return b"".join(
        (
            b"subtree/v1\n\0",
            _with_length(name),
            _TIMESTAMP.pack(time_s),
            _with_length(checkpoint.origin),
            _TIMESTAMP.pack(0),
            _TIMESTAMP.pack(checkpoint.size),
            checkpoint.root,
        )
    )


def _with_length(text: str) -> bytes:
    data = text.encode()
    if len(data) > _NAME_BYTES_MAX:
        raise MalformedNote(f"names under ML-DSA-44 have at most {_NAME_BYTES_MAX} bytes")
    return bytes([len(data)]) + data


def _verify(
    algorithm: CosignatureAlgorithm, public_key: bytes, signature: bytes, message: bytes
) -> None:
    if algorithm is CosignatureAlgorithm.ED25519:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    elif has_ml_dsa():
        mldsa.MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message)
    else:
        raise BadSignature("ML-DSA-44 cannot be checked with the installed cryptography library")


def _no_ml_dsa() -> SettingsError:
    return SettingsError(
        "the installed cryptography library has no ML-DSA-44",
        hint="use an Ed25519 key, or install a newer library",
    )
