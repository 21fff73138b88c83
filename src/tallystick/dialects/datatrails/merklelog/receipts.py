"""COSE receipts: an inclusion or a consistency proof with the operator's signature on it.

Inclusion receipts come in the two forms that readers in the field understand. Source: wire
specification of DataTrails 6.2; RFC 9942 for the headers.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.dialects.datatrails.merklelog import cose, mmr
from tallystick.dialects.datatrails.merklelog.seal import VDS, VDS_MMR, Sealer, peak_receipt
from tallystick.errors import BadConsistencyProof, BadInclusionProof, MalformedReceipt

PROOFS = 396
"""Header label: the proofs themselves, never signed."""
SIZE_1 = -65932
SIZE_2 = -65933

_INCLUSION, _CONSISTENCY = -1, -2
_INDEX, _PATH = 1, 2
_VDS_SAMPLE = 2


class Form(enum.IntEnum):
    """Which spelling of an inclusion receipt; the number is what `?vds=` asks for."""

    SAMPLE = 2
    """Proof as a map, structure number 2, the key in the claims: for the vendor's samples."""
    DRAFT = 3
    """Proof as an array in a byte string, structure number 3: the draft's text."""


class MmrInclusion(NamedTuple):
    """A decoded inclusion receipt, not yet checked."""

    node: int
    path: tuple[bytes, ...]
    message: cose.Message


def inclusion_receipt(
    index: int, path: Sequence[bytes], *, peak: bytes, sealer: Sealer, form: Form
) -> bytes:
    """Return a receipt that node `index` lies below `peak`."""
    if form is Form.DRAFT:
        return complete_receipt(peak_receipt(peak, sealer), index, path)
    return cose.sign(
        sealer.key,
        protected={cose.CWT_CLAIMS_DRAFT: sealer.claims(), VDS: _VDS_SAMPLE},
        payload=peak,
        unprotected={PROOFS: {_INCLUSION: [{_INDEX: index, _PATH: list(path)}]}},
    )


def complete_receipt(presigned: bytes, index: int, path: Sequence[bytes]) -> bytes:
    """Return a peak receipt out of a seal with a proof attached, in the draft's form.

    No key is needed: the signature covers the peak only.
    Raises: MalformedReceipt.
    """
    proof = cose.encode([index, list(path)])
    return cose.with_unprotected(cose.open_message(presigned), {PROOFS: {_INCLUSION: [proof]}})


def open_inclusion(data: bytes) -> MmrInclusion:
    """Decode an inclusion receipt of either form.

    Raises: MalformedReceipt.
    """
    message = cose.open_message(data)
    proof = _only_proof(message, _INCLUSION)
    structure = message.protected.get(VDS)
    if isinstance(proof, bytes) and structure == VDS_MMR:
        proof = cose.decode(proof)
    elif isinstance(proof, Mapping) and structure in (_VDS_SAMPLE, VDS_MMR):
        # The vendor's own tool attaches the map to receipts of structure 3 as well.
        proof = [proof.get(_INDEX), proof.get(_PATH) or []]
    if not isinstance(proof, list | tuple) or len(proof) != 2:
        raise MalformedReceipt("an inclusion proof is an index and a path")
    index, path = proof
    if not _is_index(index):
        raise MalformedReceipt("the index of an inclusion proof is an unsigned integer")
    return MmrInclusion(index, _hashes(path), message)


def verify_inclusion_receipt(data: bytes, value: bytes, key: ec.EllipticCurvePublicKey) -> int:
    """Check that the node with `value` lies below a peak that `key` signed; return its index.

    Raises: MalformedReceipt, BadInclusionProof, BadSignature.
    """
    receipt = open_inclusion(data)
    if receipt.message.payload is not None:
        raise MalformedReceipt("the payload of a receipt is detached")
    if len(value) != mmr.HASH_BYTES:
        raise BadInclusionProof("a node is 32 bytes")
    _, peak = mmr.fold(receipt.node, value, receipt.path)
    cose.verify(receipt.message, peak, key)
    return receipt.node


def consistency_receipt(
    size1: int,
    size2: int,
    *,
    nodes: mmr.Nodes,
    sealer: Sealer,
) -> bytes:
    """Return a receipt that the range at `size2` extends the one at `size1`.

    Both sizes are signed, because the proof alone would fold for another `size2` too.
    Shape: complete sizes, `size1` 0 or lower than `size2`; `nodes` knows all nodes below `size2`.
    """
    paths = [[nodes(i) for i in path] for path in mmr.consistency_paths(size1, size2)]
    right = [nodes(i) for i in mmr.right_peaks(size1, size2)]
    proof = cose.encode([size1, size2, paths, right])
    return cose.sign(
        sealer.key,
        protected={
            cose.KEY_ID: sealer.key_id.encode(),
            cose.CWT_CLAIMS: sealer.claims(),
            VDS: VDS_MMR,
            SIZE_1: size1,
            SIZE_2: size2,
        },
        payload=b"".join(nodes(i) for i in mmr.peaks(size2)),
        unprotected={PROOFS: {_CONSISTENCY: [proof]}},
    )


def verify_consistency_receipt(
    data: bytes, size1: int, peaks1: Sequence[bytes], key: ec.EllipticCurvePublicKey
) -> tuple[int, list[bytes]]:
    """Check a consistency receipt against a trusted state; return the size and peaks it proves.

    Raises: MalformedReceipt, BadConsistencyProof, BadSignature.
    """
    message = cose.open_message(data)
    if message.protected.get(VDS) != VDS_MMR or message.payload is not None:
        raise MalformedReceipt("a consistency receipt is a detached receipt of an MMR")
    proof = _only_proof(message, _CONSISTENCY)
    parts = cose.decode(proof) if isinstance(proof, bytes) else None
    if (
        not isinstance(parts, list | tuple)
        or len(parts) != 4
        or not isinstance(parts[2], list | tuple)
    ):
        raise MalformedReceipt("a consistency proof is two sizes, paths and right peaks")
    said1, said2, paths, right = parts
    signed2 = message.protected.get(SIZE_2)
    if not _is_index(signed2) or message.protected.get(SIZE_1, size1) != size1:
        raise BadConsistencyProof("the sizes are not signed")
    if (said1, said2) != (size1, signed2):
        raise BadConsistencyProof("the proof speaks of other sizes than the signature")
    peaks2 = mmr.consistent_peaks(
        size1, peaks1, size2=said2, paths=[_hashes(path) for path in paths], right=_hashes(right)
    )
    cose.verify(message, b"".join(peaks2), key, low_s=True)
    return said2, peaks2


def _only_proof(message: cose.Message, kind: int) -> object:
    proofs = message.unprotected.get(PROOFS)
    found = proofs.get(kind) if isinstance(proofs, Mapping) else None
    if isinstance(found, bytes) and kind == _CONSISTENCY:
        # The draft speaks of one proof here and of a list there; both are in use.
        return found
    if isinstance(found, list | tuple) and len(found) == 1:
        return found[0]
    raise MalformedReceipt("a receipt carries one proof of its kind")


def _hashes(path: object) -> tuple[bytes, ...]:
    if not isinstance(path, list | tuple) or len(path) > mmr.PATH_MAX:
        raise MalformedReceipt(f"a path has at most {mmr.PATH_MAX} nodes")
    if not all(isinstance(node, bytes) and len(node) == mmr.HASH_BYTES for node in path):
        raise MalformedReceipt("a node is 32 bytes")
    return tuple(path)


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63
