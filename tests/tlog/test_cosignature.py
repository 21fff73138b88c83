"""Cosignatures: the document's own example, every byte that counts, and both algorithms."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from tallystick.errors import BadSignature, MalformedNote, SettingsError
from tallystick.tlog import cosignature
from tallystick.tlog.checkpoint import Checkpoint, sign_checkpoint
from tallystick.tlog.cosignature import (
    CosignatureAlgorithm,
    CosignatureVerifier,
    Cosigner,
    cosignatures_of,
    has_ml_dsa,
)
from tallystick.tlog.note import Signer, split_note

ORIGIN = "example.com/behind-the-sofa"
TIME_S = 1_679_315_147
ALGORITHMS = [
    CosignatureAlgorithm.ED25519,
    pytest.param(
        CosignatureAlgorithm.ML_DSA_44,
        marks=pytest.mark.skipif(not has_ml_dsa(), reason="cryptography has no ML-DSA-44"),
    ),
]


@pytest.fixture(params=ALGORITHMS)
def cosigner(request: pytest.FixtureRequest) -> Cosigner:
    return Cosigner("witness.example/w1", request.param, bytes(range(32)))


def note() -> str:
    return sign_checkpoint(Signer.generate(ORIGIN), ORIGIN, 20852163, b"r" * 32)


def text_of(note: str) -> str:
    return note.partition("\n\n")[0] + "\n"


def test_cosignature_verifies_and_tells_its_time(cosigner: Cosigner) -> None:
    signed = note()
    line = cosigner.cosign(text_of(signed), TIME_S)
    (found,) = cosignatures_of(signed + line, [cosigner.verifier])
    assert (found.verifier, found.time_s, found.line) == (cosigner.verifier, TIME_S, line)


def test_the_key_survives_its_texts(cosigner: Cosigner) -> None:
    again = Cosigner.from_private_text(cosigner.to_private_text())
    assert again.verifier == cosigner.verifier
    assert CosignatureVerifier.parse(str(cosigner.verifier)) == cosigner.verifier
    assert cosigner.to_private_text().strip() not in repr(cosigner)


def test_no_flipped_byte_of_statement_time_or_signature_verifies(cosigner: Cosigner) -> None:
    text = text_of(note())
    line = cosigner.cosign(text, TIME_S)
    signature = split_note(f"{text}\n{line}")[1][0].signature
    for at in (*range(12), len(signature) // 2, len(signature) - 1):
        wrong = bytearray(signature)
        wrong[at] ^= 1
        with pytest.raises(BadSignature):
            cosigner.verifier.verify(text, bytes(wrong))
    for other in (text.replace("20852163", "20852164"), text.replace("sofa", "sofb")):
        with pytest.raises(BadSignature):
            cosigner.verifier.verify(other, signature)
    with pytest.raises(BadSignature):
        cosigner.verifier.verify(text, signature[:-1])


def test_strangers_are_ignored_and_wrong_lines_of_known_keys_are_not(cosigner: Cosigner) -> None:
    signed = note()
    stranger = Cosigner("witness.example/w1", cosigner.verifier.algorithm, b"s" * 32)
    lines = stranger.cosign(text_of(signed), TIME_S)
    assert cosignatures_of(signed + lines, [cosigner.verifier]) == []
    other = cosigner.cosign(text_of(signed).replace("20852163", "7"), TIME_S)
    with pytest.raises(BadSignature):
        cosignatures_of(signed + other, [cosigner.verifier])
    twice = cosigner.cosign(text_of(signed), TIME_S)
    with pytest.raises(MalformedNote, match="twice"):
        cosignatures_of(signed + twice + twice, [cosigner.verifier])


def test_ed25519_signs_exactly_the_message_of_the_document() -> None:
    cosigner = Cosigner("witness.example/w1", CosignatureAlgorithm.ED25519, bytes(32))
    text = f"{ORIGIN}\n20852163\n{'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I='}\n"
    line = cosigner.cosign(text, TIME_S)
    signature = split_note(f"{text}\n{line}")[1][0].signature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    message = f"cosignature/v1\ntime {TIME_S}\n{text}".encode()
    assert signature[:8] == TIME_S.to_bytes(8, "big")
    key.verify(signature[8:], message)


@pytest.mark.skipif(not has_ml_dsa(), reason="cryptography has no ML-DSA-44")
def test_ml_dsa_signs_exactly_the_structure_of_the_document() -> None:
    from cryptography.hazmat.primitives.asymmetric import mldsa

    cosigner = Cosigner("w/1", CosignatureAlgorithm.ML_DSA_44, bytes(32))
    text = f"{ORIGIN}\n20852163\n{'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I='}\n"
    line = cosigner.cosign(text, TIME_S)
    signature = split_note(f"{text}\n{line}")[1][0].signature
    root = Checkpoint.parse(text).root
    message = (
        b"subtree/v1\n\0" + b"\x03w/1" + TIME_S.to_bytes(8, "big")
        + bytes([len(ORIGIN)]) + ORIGIN.encode()
        + bytes(8) + (20852163).to_bytes(8, "big") + root
    )  # fmt: skip
    key = mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32)).public_key()
    key.verify(signature[8:], message)


def test_without_ml_dsa_such_keys_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosignature, "has_ml_dsa", lambda: False)
    with pytest.raises(SettingsError, match="no ML-DSA-44"):
        Cosigner("w/1", CosignatureAlgorithm.ML_DSA_44, bytes(32))
    verifier = CosignatureVerifier("w/1", CosignatureAlgorithm.ML_DSA_44, bytes(1312))
    with pytest.raises(BadSignature, match="ML-DSA-44 cannot be checked"):
        verifier.verify(text_of(note()), bytes(8 + 2420))


@pytest.mark.parametrize(
    "key",
    [
        str(Signer.generate("w/1").verifier),  # a log's key
        "w/1+00000000+BAAA",
        "no key",
        "",
    ],
    ids=["key-of-a-log", "wrong-hash", "text", "empty"],
)
def test_keys_of_other_kinds_and_damaged_ones_are_refused(key: str) -> None:
    with pytest.raises(MalformedNote):
        CosignatureVerifier.parse(key)


@pytest.mark.parametrize("text", ["", "x", "PRIVATE+KEY+w/1+00000000+BAAA"])
def test_damaged_private_keys_are_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Cosigner.from_private_text(text)
    assert not text or text not in str(refused.value)


def test_name_of_a_witness_has_no_spaces() -> None:
    with pytest.raises(MalformedNote, match="without spaces"):
        CosignatureVerifier("a b", CosignatureAlgorithm.ED25519, bytes(32))


def test_key_whose_id_is_of_another_key_is_refused(cosigner: Cosigner) -> None:
    name, _, key = str(cosigner.verifier).split("+", 2)
    with pytest.raises(MalformedNote, match="does not match"):
        CosignatureVerifier.parse(f"{name}+00000000+{key}")
    private = cosigner.to_private_text().replace(cosigner.verifier.key_id.hex(), "00000000")
    with pytest.raises(SettingsError, match="its own id"):
        Cosigner.from_private_text(private)


def test_time_beyond_every_clock_is_refused() -> None:
    verifier = Cosigner("w/1", CosignatureAlgorithm.ED25519, bytes(32)).verifier
    with pytest.raises(BadSignature, match="impossible time"):
        verifier.verify(text_of(note()), b"\xff" * 8 + bytes(64))


def test_library_without_ml_dsa_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        @staticmethod
        def from_seed_bytes(seed: bytes) -> None:
            raise UnsupportedAlgorithm("no ML-DSA")

    probe = has_ml_dsa.__wrapped__
    monkeypatch.setattr(cosignature, "mldsa", None)
    assert probe() is False
    monkeypatch.setattr(cosignature, "mldsa", SimpleNamespace(MLDSA44PrivateKey=Refusing))
    assert probe() is False


def test_module_loads_beside_an_older_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is loaded again under another name: the classes of the first stay as they are."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mldsa", None)
    monkeypatch.delattr("cryptography.hazmat.primitives.asymmetric.mldsa", raising=False)
    spec = importlib.util.spec_from_file_location("an_older_library", cosignature.__file__)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, loaded)
    spec.loader.exec_module(loaded)
    assert loaded.has_ml_dsa() is False


@pytest.mark.skipif(not has_ml_dsa(), reason="cryptography has no ML-DSA-44")
def test_origin_too_long_for_ml_dsa_is_refused() -> None:
    cosigner = Cosigner("w/1", CosignatureAlgorithm.ML_DSA_44, bytes(32))
    signer = Signer.generate("o" * 300)
    with pytest.raises(MalformedNote, match="at most"):
        cosigner.cosign(text_of(sign_checkpoint(signer, "o" * 300, 1, b"r" * 32)), TIME_S)
