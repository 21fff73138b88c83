"""Checkpoints against C2SP tlog-checkpoint."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import BadSignature, MalformedNote
from tallystick.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from tallystick.tlog.hashing import EMPTY_ROOT, SIZE_MAX
from tallystick.tlog.note import Signer

ROOT = bytes(range(32))
ROOT_TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ORIGIN = "example.com/log"
SIGNER = Signer.generate(ORIGIN)


def test_the_published_example_is_read() -> None:
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    checkpoint = Checkpoint.parse(text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.root.hex().startswith("0ac5186a91863e8e")
    assert checkpoint.to_text() == text


def test_a_signed_checkpoint_is_opened() -> None:
    note = sign_checkpoint(SIGNER, ORIGIN, 17, ROOT)
    assert note.startswith(f"{ORIGIN}\n17\n{ROOT_TEXT}\n\n\u2014 {ORIGIN} ")
    expected = Checkpoint(ORIGIN, 17, ROOT)
    assert open_checkpoint(note, [SIGNER.verifier]) == expected
    assert open_checkpoint(note.encode(), [SIGNER.verifier], ORIGIN) == expected


def test_a_checkpoint_of_another_log_is_refused() -> None:
    note = sign_checkpoint(SIGNER, "example.com/other", 17, ROOT)
    with pytest.raises(BadSignature):
        open_checkpoint(note, [SIGNER.verifier], ORIGIN)


def test_a_checkpoint_signed_by_a_stranger_is_refused() -> None:
    note = sign_checkpoint(Signer.generate(ORIGIN), ORIGIN, 17, ROOT)
    with pytest.raises(BadSignature):
        open_checkpoint(note, [SIGNER.verifier], ORIGIN)


def test_a_note_that_is_no_checkpoint_is_refused() -> None:
    with pytest.raises(MalformedNote):
        open_checkpoint(SIGNER.sign("any text\n"), [SIGNER.verifier])


LINE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)


@given(LINE, st.integers(1, SIZE_MAX), st.binary(min_size=32, max_size=32), st.lists(LINE))
def test_any_checkpoint_is_read_back(
    origin: str, size: int, root: bytes, extensions: list[str]
) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert Checkpoint.parse(checkpoint.to_text()) == checkpoint
    assert open_checkpoint(SIGNER.sign(checkpoint.to_text()), [SIGNER.verifier]) == checkpoint


def test_the_empty_log_has_a_checkpoint() -> None:
    text = Checkpoint(ORIGIN, 0, EMPTY_ROOT).to_text()
    assert Checkpoint.parse(text).size == 0
    assert "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n" in text


@pytest.mark.parametrize(
    ("origin", "size", "root", "extensions"),
    [
        ("", 1, ROOT, ()),
        ("two\nlines", 1, ROOT, ()),
        (ORIGIN, -1, ROOT, ()),
        (ORIGIN, SIZE_MAX + 1, ROOT, ()),
        (ORIGIN, True, ROOT, ()),
        (ORIGIN, 1, ROOT[:-1], ()),
        (ORIGIN, 0, ROOT, ()),
        (ORIGIN, 1, ROOT, ("",)),
        (ORIGIN, 1, ROOT, ("two\nlines",)),
    ],
)
def test_a_statement_that_cannot_be_written_is_refused(
    origin: str, size: Any, root: bytes, extensions: tuple[str, ...]
) -> None:
    with pytest.raises(MalformedNote):
        Checkpoint(origin, size, root, extensions)


@pytest.mark.parametrize("origin", ["tab\there", "bell\x07", "half\udc00"])
def test_an_origin_that_no_note_can_hold_is_not_signed(origin: str) -> None:
    with pytest.raises(MalformedNote):
        sign_checkpoint(SIGNER, origin, 1, ROOT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\n\n\n",
        f"{ORIGIN}\n1\n",
        f"{ORIGIN}\n1\n{ROOT_TEXT}",
        f"{ORIGIN}\n1\n{ROOT_TEXT}\n\n",
        f"{ORIGIN}\n1\n{ROOT_TEXT}\nextension\n\n",
        f"{ORIGIN}\n1\n{ROOT_TEXT}\n\nextension\n",
        f"\n1\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n01\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n00\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n+1\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n-1\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n1_0\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n 1\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n\u0661\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n9223372036854775808\n{ROOT_TEXT}\n",
        pytest.param(f"{ORIGIN}\n1{'0' * 5000}\n{ROOT_TEXT}\n", id="5,001 digits"),
        f"{ORIGIN}\n0\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n1\n{ROOT_TEXT[:-1]}\n",
        f"{ORIGIN}\n1\n{ROOT_TEXT[:-2]}9=\n",
        f"{ORIGIN}\n1\n{ROOT_TEXT} \n",
        f"{ORIGIN}\n1\nAAAA\n",
        f"{ORIGIN}\n1\n{ROOT.hex()}\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(MalformedNote):
        Checkpoint.parse(text)


@given(st.text(), st.text(), st.text(), st.text())
def test_any_text_is_a_checkpoint_or_refused(a: str, b: str, c: str, d: str) -> None:
    for text in (a, f"{a}\n{b}\n{c}\n{d}", f"{ORIGIN}\n5\n{ROOT_TEXT}\n{a}\n{b}"):
        try:
            checkpoint = Checkpoint.parse(text)
        except MalformedNote:
            continue
        assert checkpoint.to_text() == text
