"""Seals: what the operator signs about the mountain range at one size.

A seal is signed over the list of peaks and published without it, so that its verifier must
take the peaks from the log. It carries one pre-signed receipt a peak, from which anyone can make
an inclusion receipt. Source: wire specification of DataTrails 6.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.dialects.datatrails.merklelog import cose, mmr
from tallystick.errors import MalformedReceipt

PEAK_RECEIPTS = -65931
VDS = 395
"""Header label: which verifiable data structure a receipt is about."""
VDS_MMR = 3

_SIZE, _TIMESTAMP, _IDTIMESTAMP, _EPOCH, _VERSION, _PEAKS = 1, 3, 4, 6, 7, 8
_STATE_VERSION = 2
_ISSUER, _SUBJECT, _CONFIRMATION, _COSE_KEY = 1, 2, 8, 1


class Sealer(NamedTuple):
    """Who signs: the key, under which name, about which log."""

    key: ec.EllipticCurvePrivateKey
    issuer: str
    subject: str

    @property
    def key_id(self) -> str:
        """The hexadecimal thumbprint of the public key."""
        return cose.thumbprint(self.key.public_key()).hex()

    def claims(self) -> dict[int, object]:
        """Return issuer, subject and public key, spelled as the vendor spells them."""
        public = self.key.public_key()
        curve, (x, y) = cose.curve_of(public), cose.coordinates(public)
        key = {1: "EC", 2: self.key_id, 3: curve.algorithm, -1: curve.name, -2: x, -3: y}
        return {_ISSUER: self.issuer, _SUBJECT: self.subject, _CONFIRMATION: {_COSE_KEY: key}}


class SealState(NamedTuple):
    """What a seal says about the range, its peaks apart."""

    size: int
    """Nodes, always a complete size."""
    idtimestamp: bytes
    """9 bytes of the last leaf."""
    timestamp_ms: int
    """When it was signed."""


class Seal(NamedTuple):
    """A decoded seal, not yet checked."""

    state: SealState
    peak_receipts: tuple[bytes, ...]
    message: cose.Message


def make_seal(
    state: SealState,
    peaks: Sequence[bytes],
    sealer: Sealer,
    *,
    presigned: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """Return the bytes of a seal over `state` and `peaks`.

    `presigned` holds receipts of earlier seals by their peaks: high peaks stay for long, and
    theirs need no second signature.
    Cost: one signature, and one more for each peak that has no receipt yet.
    """
    known = presigned or {}
    receipts = [known.get(peak) or peak_receipt(peak, sealer) for peak in peaks]
    return cose.sign(
        sealer.key,
        protected={cose.CWT_CLAIMS_DRAFT: sealer.claims()},
        payload=_payload(state, peaks),
        unprotected={PEAK_RECEIPTS: receipts},
        published=_payload(state, None),
    )


def peak_receipt(peak: bytes, sealer: Sealer) -> bytes:
    """Return the pre-signed receipt of a peak: an inclusion receipt that lacks its path."""
    protected = {
        cose.KEY_ID: sealer.key_id.encode(),
        cose.CWT_CLAIMS_DRAFT: sealer.claims(),
        VDS: VDS_MMR,
    }
    return cose.sign(sealer.key, protected=protected, payload=peak)


def open_seal(data: bytes) -> Seal:
    """Decode a seal; nothing is checked but its shape.

    Raises: MalformedReceipt.
    """
    message = cose.open_message(data)
    if message.payload is None:
        raise MalformedReceipt("a seal carries its payload")
    payload = cose.decode(message.payload)
    receipts = message.unprotected.get(PEAK_RECEIPTS, ())
    if not isinstance(payload, Mapping) or _PEAKS in payload:
        raise MalformedReceipt("the payload of a seal is a map without the peaks")
    if not isinstance(receipts, list | tuple):
        raise MalformedReceipt("peak receipts are a list")
    if not all(isinstance(receipt, bytes) for receipt in receipts):
        raise MalformedReceipt("a peak receipt is a byte string")
    id_part = _natural(payload, _IDTIMESTAMP).to_bytes(8, "big")
    epoch = _natural(payload, _EPOCH)
    size = _natural(payload, _SIZE)
    if epoch > 255 or not mmr.is_complete(size):
        raise MalformedReceipt("a seal is about a complete size in a one-byte epoch")
    if payload.get(_VERSION) != _STATE_VERSION:
        raise MalformedReceipt(f"not a seal of state version {_STATE_VERSION}")
    state = SealState(size, bytes((epoch,)) + id_part, _natural(payload, _TIMESTAMP))
    return Seal(state, tuple(receipts), message)


def verify_seal(data: bytes, peaks: Sequence[bytes], key: ec.EllipticCurvePublicKey) -> SealState:
    """Check a seal and its peak receipts against the peaks that the log's own nodes give.

    Raises: MalformedReceipt, BadSignature.
    """
    seal = open_seal(data)
    cose.verify(seal.message, _payload(seal.state, peaks), key)
    if seal.peak_receipts and len(seal.peak_receipts) != len(peaks):
        raise MalformedReceipt("a seal has one receipt for each of its peaks")
    for receipt, peak in zip(seal.peak_receipts, peaks, strict=False):
        message = cose.open_message(receipt)
        if message.payload is not None or message.protected.get(VDS) != VDS_MMR:
            raise MalformedReceipt("a peak receipt is a detached receipt of an MMR")
        cose.verify(message, peak, key)
    return seal.state


def _payload(state: SealState, peaks: Sequence[bytes] | None) -> bytes:
    content: dict[int, object] = {
        _SIZE: state.size,
        _TIMESTAMP: state.timestamp_ms,
        _IDTIMESTAMP: int.from_bytes(state.idtimestamp[1:], "big"),
        _EPOCH: state.idtimestamp[0],
        _VERSION: _STATE_VERSION,
    }
    if peaks is not None:
        content[_PEAKS] = list(peaks)
    return cose.encode(content)


def _natural(payload: Mapping[object, object], label: int) -> int:
    value = payload.get(label)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 64:
        raise MalformedReceipt(f"member {label} of a seal is an unsigned integer")
    return value
