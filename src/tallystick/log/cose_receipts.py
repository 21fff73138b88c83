"""Receipts as COSE messages: the inclusion proof of an entry, signed with the log's own key.

A receipt of RFC 9942 signs the root that the proof leads to; the entry itself travels beside it.
Its structure is number 1, the tree of RFC 9162, which is the tree of every log here.
Source: RFC 9942 sections 4 and 5.2; RFC 9052 section 4.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cbor2

from tallystick.errors import BadSignature, MalformedReceipt
from tallystick.tlog.hashing import HASH_BYTES, leaf_hash
from tallystick.tlog.note import Signer, Verifier
from tallystick.tlog.proof import root_of_inclusion

MEDIA_TYPE = "application/cose"
_SIGN1_TAG = 18
_ALGORITHM, _KEY_ID, _CLAIMS, _STRUCTURE, _PROOFS = 1, 4, 15, 395, 396
_EDDSA, _ED25519 = -8, -19
_RFC9162 = 1
_INCLUSION = -1
_ISSUER, _SUBJECT = 1, 2
_BYTES_MAX = 64 * 1024


class CoseInclusion(NamedTuple):
    """What a COSE receipt proves of an entry."""

    origin: str
    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    size: int
    root: bytes


def to_cose_receipt(
    signer: Signer, event_id: str, *, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bytes:
    """Return the receipt that a log of `size` entries has one at `index`, as a tagged COSE_Sign1.

    The payload, the root, is detached: the verifier computes it.
    Cost: one signature.
    """
    protected = cbor2.dumps(
        {
            _ALGORITHM: _EDDSA,
            _KEY_ID: signer.key_id,
            _CLAIMS: {_ISSUER: signer.name, _SUBJECT: event_id},
            _STRUCTURE: _RFC9162,
        },
        canonical=True,
    )
    proof = cbor2.dumps([size, index, list(path)], canonical=True)
    signature = signer.sign_bytes(_signed(protected, root))
    parts = [protected, {_PROOFS: {_INCLUSION: [proof]}}, None, signature]
    return cbor2.dumps(cbor2.CBORTag(_SIGN1_TAG, parts), canonical=True)


def verify_cose_receipt(data: bytes, entry: bytes, verifier: Verifier) -> CoseInclusion:
    """Check that `verifier` signed that its log has `entry`, and return where.

    Raises: MalformedReceipt, BadInclusionProof, BadSignature.
    """
    protected, unprotected, payload, signature = _parts(data)
    if not (isinstance(protected, bytes) and isinstance(signature, bytes) and payload is None):
        raise MalformedReceipt("a receipt is a signature over a detached payload")
    header = _map(_decode(protected))
    if header.get(_STRUCTURE) != _RFC9162 or header.get(_ALGORITHM) not in (_EDDSA, _ED25519):
        raise MalformedReceipt("the receipt is not Ed25519 over a tree of RFC 9162")
    size, index, path = _proof(unprotected)
    root = root_of_inclusion(leaf_hash(entry), index, size, path)
    origin = _map(header.get(_CLAIMS)).get(_ISSUER)
    if origin != verifier.name or header.get(_KEY_ID) != verifier.key_id:
        raise BadSignature("the receipt belongs to another log or key")
    verifier.verify_bytes(_signed(protected, root), signature)
    return CoseInclusion(verifier.name, index, size, root)


def _signed(protected: bytes, root: bytes) -> bytes:
    return cbor2.dumps(["Signature1", protected, b"", root], canonical=True)


def _parts(data: bytes) -> Sequence[Any]:
    item = _decode(data)
    if not isinstance(item, cbor2.CBORTag) or item.tag != _SIGN1_TAG:
        raise MalformedReceipt("not a tagged COSE_Sign1")
    parts = item.value
    if not isinstance(parts, list | tuple) or len(parts) != 4:
        raise MalformedReceipt("a COSE_Sign1 has four parts")
    return parts


def _proof(unprotected: object) -> tuple[int, int, list[bytes]]:
    proofs = _map(_map(unprotected).get(_PROOFS)).get(_INCLUSION)
    if not isinstance(proofs, list | tuple) or len(proofs) != 1:
        raise MalformedReceipt("a receipt carries one inclusion proof")
    proof = _decode(proofs[0]) if isinstance(proofs[0], bytes) else None
    if not isinstance(proof, list | tuple) or len(proof) != 3:
        raise MalformedReceipt("an inclusion proof is a size, an index and a path")
    size, index, path = proof
    is_path = isinstance(path, list | tuple) and all(
        isinstance(each, bytes) and len(each) == HASH_BYTES for each in path
    )
    if type(size) is not int or type(index) is not int or not is_path:
        raise MalformedReceipt("an inclusion proof is a size, an index and a path")
    return size, index, list(path)


def _map(value: object) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise MalformedReceipt("a header of the receipt is not a map")
    return value


def _decode(data: bytes) -> object:
    if len(data) > _BYTES_MAX:
        raise MalformedReceipt(f"a COSE receipt has at most {_BYTES_MAX} bytes")
    stream = io.BytesIO(data)
    try:
        item: object = cbor2.CBORDecoder(
            stream, max_depth=16, allow_indefinite=False, allow_duplicate_keys=False
        ).decode()
    except (cbor2.CBORError, ValueError, ArithmeticError, RecursionError, TypeError) as error:
        raise MalformedReceipt("not CBOR, or CBOR that no receipt holds") from error
    if stream.tell() != len(data) or cbor2.dumps(item, canonical=True) != data:
        raise MalformedReceipt("the receipt is not in the one encoding that COSE receipts have")
    return item
