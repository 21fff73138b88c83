"""Seals are signed with the peaks, published without them, and carry a receipt for each."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.datatrails.merklelog import cose, seal
from tallystick.errors import BadSignature, MalformedReceipt
from tests.dialects.datatrails import independent_verifier, logs

_LOG = logs.public_log([logs.event(i) for i in range(11)], 3)
_SEAL = _LOG.seal()


@pytest.mark.row("D-74")
def test_seal_is_signed_with_the_peaks_and_published_without_them() -> None:
    message = cose.open_message(_SEAL)
    assert message.payload is not None
    assert cbor2.loads(message.payload).keys() == {1, 3, 4, 6, 7}
    with pytest.raises(BadSignature):
        cose.verify(message, message.payload, logs.PUBLIC_KEY)
    state = seal.verify_seal(_SEAL, _LOG.peaks, logs.PUBLIC_KEY)
    assert state == (_LOG.size, _LOG.massifs[-1].idtimestamp, logs.START_MS)


@pytest.mark.row("D-74")
def test_seal_names_algorithm_issuer_subject_and_key_as_the_vendor_does() -> None:
    protected: Any = cose.open_message(_SEAL).protected
    assert protected.keys() == {1, 13}
    assert protected[1] == -35
    claims = protected[13]
    assert (claims[1], claims[2]) == (logs.SEALER.issuer, logs.SEALER.subject)
    key = claims[8][1]
    assert (key[1], key[-1]) == ("EC", "P-384")
    assert (key[-2], key[-3]) == cose.coordinates(logs.PUBLIC_KEY)


@pytest.mark.row("D-74", "D-75")
def test_independent_verifier_accepts_the_seal_of_every_size() -> None:
    for count in range(1, 18):
        log = logs.public_log([logs.event(i) for i in range(count)], 3)
        read = independent_verifier.read_log(log.files, height=3)
        assert independent_verifier.check_seal(log.seal(), read, logs.PUBLIC_KEY) == log.size


@pytest.mark.row("D-75")
def test_each_peak_has_its_presigned_receipt() -> None:
    opened = seal.open_seal(_SEAL)
    assert len(opened.peak_receipts) == len(_LOG.peaks) == 3
    for receipt, peak in zip(opened.peak_receipts, _LOG.peaks, strict=True):
        message = cose.open_message(receipt)
        assert message.protected[395] == 3
        assert message.protected[cose.KEY_ID] == logs.SEALER.key_id.encode()
        assert message.payload is None
        cose.verify(message, peak, logs.PUBLIC_KEY)


def test_receipt_of_a_peak_that_stays_is_taken_from_the_seal_before() -> None:
    older = logs.public_log([logs.event(i) for i in range(9)], 3)
    receipts = seal.open_seal(older.seal()).peak_receipts
    presigned = dict(zip(older.peaks, receipts, strict=True))
    state = seal.SealState(_LOG.size, _LOG.massifs[-1].idtimestamp, logs.START_MS)
    made = seal.make_seal(state, _LOG.peaks, logs.SEALER, presigned=presigned)
    assert seal.verify_seal(made, _LOG.peaks, logs.PUBLIC_KEY) == state
    assert seal.open_seal(made).peak_receipts[0] == receipts[0]


def test_seal_does_not_verify_for_other_peaks_or_another_key() -> None:
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    for peaks, key in (
        (_LOG.peaks[:-1], logs.PUBLIC_KEY),
        (_LOG.peaks[::-1], logs.PUBLIC_KEY),
        (_LOG.peaks, other),
        (_LOG.peaks, ec.generate_private_key(ec.SECP256R1()).public_key()),
    ):
        with pytest.raises(BadSignature):
            seal.verify_seal(_SEAL, peaks, key)


def _with_receipts(*receipts: object) -> bytes:
    message = cose.open_message(_SEAL)
    return cose.with_unprotected(message, {seal.PEAK_RECEIPTS: list(receipts)})


def test_seal_with_wrong_peak_receipts_is_refused() -> None:
    receipts = seal.open_seal(_SEAL).peak_receipts
    with pytest.raises(MalformedReceipt):
        seal.verify_seal(_with_receipts(*receipts[1:]), _LOG.peaks, logs.PUBLIC_KEY)
    with pytest.raises(BadSignature):
        seal.verify_seal(_with_receipts(*receipts[::-1]), _LOG.peaks, logs.PUBLIC_KEY)
    with pytest.raises(MalformedReceipt):
        seal.open_seal(_with_receipts(1))
    with pytest.raises(MalformedReceipt):
        seal.verify_seal(_with_receipts(*[_SEAL] * 3), _LOG.peaks, logs.PUBLIC_KEY)


def test_seal_with_peak_receipts_that_are_no_list_is_refused() -> None:
    data = cose.with_unprotected(cose.open_message(_SEAL), {seal.PEAK_RECEIPTS: b"receipt"})
    with pytest.raises(MalformedReceipt):
        seal.open_seal(data)


def test_signature_of_another_length_is_refused() -> None:
    message = cose.open_message(_SEAL)
    shorter = cose.with_unprotected(message._replace(signature=message.signature[:-1]), {})
    with pytest.raises(BadSignature):
        seal.verify_seal(shorter, _LOG.peaks, logs.PUBLIC_KEY)


_GOOD_STATE = {1: _LOG.size, 3: 1, 4: 1, 6: 1, 7: 2}


@pytest.mark.parametrize(
    "state",
    [
        _GOOD_STATE | {8: list(_LOG.peaks)},
        _GOOD_STATE | {1: 5},
        _GOOD_STATE | {1: -1},
        _GOOD_STATE | {1: True},
        _GOOD_STATE | {1: 1 << 64},
        _GOOD_STATE | {4: "1"},
        _GOOD_STATE | {6: 256},
        _GOOD_STATE | {7: 1},
        {1: 1},
        [],
        1.5,
    ],
    ids=repr,
)
def test_seal_over_a_malformed_state_is_refused(state: object) -> None:
    payload = cose.encode(state)
    data = cose.sign(logs.KEY, protected={}, payload=payload, published=payload)
    with pytest.raises(MalformedReceipt):
        seal.open_seal(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        _SEAL + b"\x00",
        cbor2.dumps(cbor2.CBORTag(17, [b"", {}, None, b""])),
        cbor2.dumps(cbor2.CBORTag(18, [b"", {}, None])),
        cbor2.dumps(cbor2.CBORTag(18, "abcd")),
        cbor2.dumps(cbor2.CBORTag(18, ["", {}, None, b""])),
        cbor2.dumps(cbor2.CBORTag(18, [b"", {}, "", b""])),
        cbor2.dumps(cbor2.CBORTag(18, [b"", [], None, b""])),
        cbor2.dumps(cbor2.CBORTag(18, [b"\x01", {}, None, b""])),
        cbor2.dumps(cbor2.CBORTag(18, [b"", {}, None, b""])),
        b"\xd2" + b"\x81" * 400,
        b"\xd8\x23\x62\x61\x28",
    ],
    ids=lambda data: data[:12].hex() + str(len(data)),
)
def test_what_is_no_seal_is_refused_as_malformed(data: bytes) -> None:
    with pytest.raises(MalformedReceipt):
        seal.open_seal(data)


@given(st.binary(max_size=200))
def test_garbage_raises_only_our_error(data: bytes) -> None:
    for garbage in (data, b"\xd2\x84" + data):
        with pytest.raises(MalformedReceipt):
            seal.open_seal(garbage)


def test_key_of_another_curve_is_not_used() -> None:
    with pytest.raises(ValueError, match="secp521r1"):
        cose.curve_of(ec.generate_private_key(ec.SECP521R1()).public_key())


def test_encoding_is_deterministic() -> None:
    assert cose.encode({395: 1, -1: 2, 1: 3, "a": 4}) == cose.encode({"a": 4, 1: 3, -1: 2, 395: 1})
