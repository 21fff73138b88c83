"""Receipts of inclusion in both forms, and of consistency with both sizes signed."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.datatrails.merklelog import cose, mmr, receipts, seal
from tallystick.dialects.datatrails.merklelog.receipts import Form
from tallystick.errors import (
    BadConsistencyProof,
    BadInclusionProof,
    BadSignature,
    MalformedReceipt,
    VerificationError,
)
from tests.dialects.datatrails import independent_verifier, logs, vectors

_LOG = logs.public_log([logs.event(i) for i in range(21)], 3)
_NODES = vectors.hashes(vectors.load("mmr39.json")["nodes"])
_PUBLISHED = vectors.load("cose_consistency_receipts.json")
_PUBLISHED_KEY = ec.EllipticCurvePublicNumbers(
    int(_PUBLISHED["key"]["x"], 16), int(_PUBLISHED["key"]["y"], 16), ec.SECP256R1()
).public_key()


def _inclusion(node: int, form: Form) -> bytes:
    path = [_LOG.node(i) for i in mmr.inclusion_path(node, _LOG.size)]
    _, peak = mmr.fold(node, _LOG.node(node), path)
    return receipts.inclusion_receipt(node, path, peak=peak, sealer=logs.SEALER, form=form)


@pytest.mark.row("D-76", "D-77")
@pytest.mark.parametrize("form", Form)
def test_receipt_of_every_leaf_verifies_here_and_independently(form: Form) -> None:
    for leaf in range(21):
        node = mmr.size_of(leaf)
        receipt, value = _inclusion(node, form), _LOG.node(node)
        assert receipts.verify_inclusion_receipt(receipt, value, logs.PUBLIC_KEY) == node
        assert independent_verifier.check_inclusion(receipt, value, logs.PUBLIC_KEY) == node


@pytest.mark.row("D-76")
def test_sample_form_has_the_shape_that_the_vendors_verifier_reads() -> None:
    message = cose.open_message(_inclusion(8, Form.SAMPLE))
    protected: Any = message.protected
    proofs: Any = message.unprotected[396]
    assert protected[395] == 2
    assert protected[13][8][1][-1] == "P-384"
    assert proofs[-1][0].keys() == {1, 2}
    assert proofs[-1][0][1] == 8
    assert message.payload is None


@pytest.mark.row("D-77")
def test_draft_form_has_an_array_in_a_byte_string() -> None:
    message = cose.open_message(_inclusion(8, Form.DRAFT))
    proofs: Any = message.unprotected[396]
    assert message.protected[395] == 3
    index, path = cbor2.loads(proofs[-1][0])
    assert (index, len(path)) == (8, len(mmr.inclusion_path(8, _LOG.size)))


@pytest.mark.row("D-75", "D-77")
def test_anyone_can_complete_a_peak_receipt_out_of_a_seal() -> None:
    presigned = seal.open_seal(_LOG.seal()).peak_receipts
    tops = mmr.peaks(_LOG.size)
    for node in range(_LOG.size):
        path = [_LOG.node(i) for i in mmr.inclusion_path(node, _LOG.size)]
        top, _ = mmr.fold(node, _LOG.node(node), path)
        receipt = receipts.complete_receipt(presigned[tops.index(top)], node, path)
        found = independent_verifier.check_inclusion(receipt, _LOG.node(node), logs.PUBLIC_KEY)
        assert found == node


def test_vendors_tool_may_attach_a_map_to_structure_three() -> None:
    presigned = cose.open_message(seal.peak_receipt(_LOG.node(38), logs.SEALER))
    receipt = cose.with_unprotected(presigned, {396: {-1: [{1: 38, 2: None}]}})
    verified = receipts.verify_inclusion_receipt(receipt, _LOG.node(38), logs.PUBLIC_KEY)
    assert verified == 38


@pytest.mark.parametrize("form", Form)
def test_receipt_does_not_verify_for_another_leaf_or_key(form: Form) -> None:
    receipt = _inclusion(8, form)
    with pytest.raises(BadSignature):
        receipts.verify_inclusion_receipt(receipt, _LOG.node(7), logs.PUBLIC_KEY)
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    with pytest.raises(BadSignature):
        receipts.verify_inclusion_receipt(receipt, _LOG.node(8), other)
    with pytest.raises(BadInclusionProof):
        receipts.verify_inclusion_receipt(receipt, b"short", logs.PUBLIC_KEY)


_HASH = bytes(32)


@pytest.mark.parametrize(
    ("structure", "proofs"),
    [
        (3, {}),
        (3, {396: []}),
        (3, {396: {-1: []}}),
        (3, {396: {-1: [b"\x82\x00\x80"] * 2}}),
        (3, {396: {-1: [b"\x81\x00"]}}),
        (3, {396: {-1: [b"\x82\x20\x80"]}}),
        (3, {396: {-1: [b"\x82\xf5\x80"]}}),
        (3, {396: {-1: [b"\x82\x00\x81\x41\x00"]}}),
        (3, {396: {-1: [cbor2.dumps([0, [_HASH] * 65])]}}),
        (3, {396: {-1: [cbor2.dumps([1 << 63, []])]}}),
        (2, {396: {-1: [b"\x82\x00\x80"]}}),
        (2, {396: {-1: [{2: []}]}}),
        (1, {396: {-1: [{1: 0, 2: []}]}}),
        (None, {396: {-1: [{1: 0, 2: []}]}}),
    ],
    ids=repr,
)
def test_malformed_inclusion_proof_is_refused(structure: int | None, proofs: Any) -> None:
    data = cose.sign(logs.KEY, protected={395: structure}, payload=_HASH, unprotected=proofs)
    with pytest.raises(MalformedReceipt):
        receipts.verify_inclusion_receipt(data, _HASH, logs.PUBLIC_KEY)


def test_attached_payload_is_refused() -> None:
    unprotected = {396: {-1: [b"\x82\x00\x80"]}}
    data = cose.sign(
        logs.KEY, protected={395: 3}, payload=_HASH, published=_HASH, unprotected=unprotected
    )
    with pytest.raises(MalformedReceipt):
        receipts.verify_inclusion_receipt(data, _HASH, logs.PUBLIC_KEY)


def _old_peaks(size: int) -> list[bytes]:
    return [_LOG.node(i) for i in mmr.peaks(size)]


@pytest.mark.row("D-78")
def test_consistency_between_any_two_sizes_verifies_here_and_independently() -> None:
    sizes = [0] + [mmr.size_of(leaves) for leaves in (1, 2, 3, 4, 7, 8, 13, 20, 21)]
    for at, size1 in enumerate(sizes):
        for size2 in sizes[at + 1 :]:
            receipt = receipts.consistency_receipt(
                size1, size2, nodes=_LOG.node, sealer=logs.SEALER
            )
            expected = (size2, _old_peaks(size2))
            for verify in (
                receipts.verify_consistency_receipt,
                independent_verifier.check_consistency,
            ):
                assert verify(receipt, size1, _old_peaks(size1), logs.PUBLIC_KEY) == expected


@pytest.mark.row("D-78")
@pytest.mark.parametrize("row", _PUBLISHED["receipts"], ids=lambda row: row["name"])
def test_published_consistency_receipt_is_accepted(row: dict[str, Any]) -> None:
    peaks1 = [_NODES[i] for i in mmr.peaks(row["size1"])]
    verified = receipts.verify_consistency_receipt(
        bytes.fromhex(row["receipt"]), row["size1"], peaks1, _PUBLISHED_KEY
    )
    assert verified == (row["size2"], [_NODES[i] for i in mmr.peaks(row["size2"])])


@pytest.mark.row("D-78")
@pytest.mark.parametrize("row", _PUBLISHED["rejects"], ids=lambda row: row["name"])
def test_published_bad_consistency_receipt_is_refused(row: dict[str, Any]) -> None:
    peaks1 = [_NODES[i] for i in mmr.peaks(row["size1"])]
    with pytest.raises((BadSignature, BadConsistencyProof)):
        receipts.verify_consistency_receipt(
            bytes.fromhex(row["receipt"]), row["size1"], peaks1, _PUBLISHED_KEY
        )


def test_receipt_made_of_the_published_nodes_carries_the_published_proof() -> None:
    key = ec.derive_private_key(int(_PUBLISHED["key"]["private"], 16), ec.SECP256R1())
    sealer = seal.Sealer(key, "issuer", "subject")
    receipt = receipts.consistency_receipt(7, 8, nodes=_NODES.__getitem__, sealer=sealer)
    ours = cose.open_message(receipt)
    published = cose.open_message(bytes.fromhex(_PUBLISHED["receipts"][1]["receipt"]))
    our_proofs: Any = ours.unprotected[396]
    published_proofs: Any = published.unprotected[396]
    assert our_proofs[-2] == (published_proofs[-2],)
    assert ours.protected.items() >= published.protected.items()
    assert ours.protected[receipts.SIZE_1] == 7


def test_consistency_receipt_is_bound_to_what_the_reader_trusts() -> None:
    receipt = receipts.consistency_receipt(7, 15, nodes=_LOG.node, sealer=logs.SEALER)
    with pytest.raises(BadConsistencyProof):
        receipts.verify_consistency_receipt(receipt, 8, _old_peaks(8), logs.PUBLIC_KEY)
    with pytest.raises(BadSignature):
        receipts.verify_consistency_receipt(receipt, 7, [_HASH], logs.PUBLIC_KEY)


@pytest.mark.parametrize(
    ("protected", "proof"),
    [
        ({395: 2, -65933: 1}, [0, 1, [], [_HASH]]),
        ({395: 3, -65933: 1}, [0, 1, []]),
        ({395: 3, -65933: 1}, [0, 1, 1, [_HASH]]),
        ({395: 3, -65933: 1}, [0, 1, [1], [_HASH]]),
        ({395: 3, -65933: 1}, [0, 1, [], [b""]]),
        ({395: 3, -65933: 1}, [1, 1, [], [_HASH]]),
        ({395: 3, -65933: True}, [0, True, [], [_HASH]]),
        ({395: 3, -65933: 1, -65932: 1}, [0, 1, [], [_HASH]]),
        ({395: 3}, [0, 1, [], [_HASH]]),
    ],
    ids=repr,
)
def test_malformed_consistency_receipt_is_refused(protected: Any, proof: Any) -> None:
    unprotected = {396: {-2: [cbor2.dumps(proof)]}}
    data = cose.sign(logs.KEY, protected=protected, payload=_HASH, unprotected=unprotected)
    with pytest.raises((MalformedReceipt, BadConsistencyProof)):
        receipts.verify_consistency_receipt(data, 0, [], logs.PUBLIC_KEY)


@given(st.sampled_from(list(Form)), st.data())
def test_any_change_of_a_receipt_is_refused_with_our_error(form: Form, data: Any) -> None:
    receipt = bytearray(_inclusion(8, form))
    at = data.draw(st.integers(0, len(receipt) - 1))
    receipt[at] ^= data.draw(st.integers(1, 255))
    try:
        node = receipts.verify_inclusion_receipt(bytes(receipt), _LOG.node(8), logs.PUBLIC_KEY)
    except VerificationError:
        return
    # The label 396 or -1 may be spelled differently, but never what is proven.
    assert node == 8
