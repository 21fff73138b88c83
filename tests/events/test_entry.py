"""Entry bytes: what `docs/design/entry.md` says, recomputed by hand; limits; round trips."""

from __future__ import annotations

import base64
import hashlib
import json

import msgspec
import pytest
from hypothesis import given

from tallystick import limits
from tallystick.errors import Malformed, StoreCorrupt, TooLarge
from tallystick.events.entry import (
    NOISE_BYTES,
    SALT_BYTES,
    SECTIONS,
    committed_sections,
    decode,
    id_of,
    prepare,
    recorded_ms_of,
    salt_hash,
    seal,
)
from tallystick.events.event import Draft, Op, Resource
from tests.support.needs import ROOT
from tests.support.strategies import drafts

NOISE = bytes(range(NOISE_BYTES))
CASES = json.loads((ROOT / "tests/vectors/entry_v1.json").read_text("utf-8"))["cases"]


def golden_draft(members: dict[str, object]) -> Draft:
    return msgspec.convert(members, Draft)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_sealing_gives_the_golden_bytes(case: dict[str, object]) -> None:
    draft = golden_draft(case["draft"])  # type: ignore[arg-type]
    noise = bytes.fromhex(str(case["noise_hex"]))
    sealed = seal(prepare(draft), int(str(case["index"])), int(str(case["recorded_ms"])), noise)
    assert sealed.entry.decode() == case["entry"]
    assert sealed.leaf.hex() == case["leaf_hex"]
    assert sealed.id == json.loads(sealed.entry)["id"]
    stored = {
        name: section[SALT_BYTES:].decode()
        for name, section in zip(SECTIONS, sealed.sections, strict=True)
        if section is not None
    }
    assert stored == case["sections"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_golden_bytes_are_what_the_page_says(case: dict[str, object]) -> None:
    """Recomputes commitments and leaf with hashlib alone, salts taken in section order."""
    entry = json.loads(str(case["entry"]))
    noise = bytes.fromhex(str(case["noise_hex"]))
    at = 5
    sections: dict[str, str] = case["sections"]  # type: ignore[assignment]
    assert list(entry["sections"]) == [name for name in SECTIONS if name in sections]
    for name, commitment in entry["sections"].items():
        digest = hashlib.sha256(noise[at : at + 16] + sections[name].encode()).digest()
        assert base64.b64encode(digest).decode() == commitment
        at += 16
    assert hashlib.sha256(b"\x00" + str(case["entry"]).encode()).hexdigest() == case["leaf_hex"]


@given(drafts())
def test_an_event_comes_back_as_it_went_in(draft: Draft) -> None:
    sealed = seal(prepare(draft), 7, 1_700_000_000_000, NOISE)
    event = decode("t", 7, sealed.entry, sealed.sections)
    for member in (
        "kind", "op", "actor", "target", "scopes", "trails", "data", "previous", "dialect",
        "subject", "original",
    ):  # fmt: skip
        assert getattr(event, member) == getattr(draft, member), member
    assert event.id == sealed.id == id_of(sealed.entry)
    assert event.recorded_ms == sealed.recorded_ms == recorded_ms_of(sealed.entry)
    assert event.occurred_ms == sealed.occurred_ms
    assert event.erased == ()
    assert salt_hash(sealed.sections, ()) is not None


def test_an_erased_section_reads_as_empty_and_is_named() -> None:
    draft = Draft(kind="k", actor=Resource("user", "1"), data={"a": 1})
    sealed = seal(prepare(draft), 0, 1, NOISE)
    event = decode("t", 0, sealed.entry, (None, None, None, None, None))
    assert (event.actor, event.data) == (None, {})
    assert event.erased == ("actor", "data") == committed_sections(sealed.entry)
    assert salt_hash(sealed.sections, event.erased) is None


def test_a_time_of_its_own_is_kept_and_one_not_given_is_the_recording() -> None:
    assert seal(prepare(Draft(kind="k", occurred_ms=-5)), 0, 9, NOISE).occurred_ms == -5
    assert seal(prepare(Draft(kind="k")), 0, 9, NOISE).occurred_ms == 9


@pytest.mark.parametrize(
    "draft",
    [
        Draft(kind="x" * 1025), Draft(kind="ü" * 513), Draft(kind="k", trails=("t" * 1025,)),
        Draft(kind="k", actor=Resource("t", "x" * 1025)),
        Draft(kind="k", target=Resource("t", "i", "n" * 1025)),
        Draft(kind="k", scopes=(Resource("t", "i"),) * 17), Draft(kind="k", trails=("t",) * 65),
        Draft(kind="k", data={"a": "x" * limits.EVENT_BYTES}),
    ],
)  # fmt: skip
def test_what_is_too_large_is_refused(draft: Draft) -> None:
    with pytest.raises(TooLarge):
        prepare(draft)


def nested(depth: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(depth - 1):
        value = {"[{": value}
    return value


@pytest.mark.parametrize(
    "draft",
    [
        Draft(kind="k", id="nonsense"), Draft(kind="k", data=nested(65)),
        Draft(kind="k", data=nested(100_000)), Draft(kind="\ud800"),
        Draft(kind="k", data={"a": "\udfff"}), Draft(kind="k", data={"a": object()}),
        Draft(kind="k", occurred_ms=limits.OCCURRED_MS_MIN - 1),
        Draft(kind="k", occurred_ms=limits.OCCURRED_MS_MAX + 1),
    ],
)  # fmt: skip
def test_what_is_malformed_is_refused(draft: Draft) -> None:
    with pytest.raises(Malformed):
        prepare(draft)


def test_limits_are_inclusive() -> None:
    prepare(Draft(kind="x" * 1024, scopes=(Resource("t", "i"),) * 16, trails=("t",) * 64))
    prepare(Draft(kind="k", data=nested(64)))
    prepare(Draft(kind="k", data={"[" * 100: ["}", "\\", '"[']}))


@pytest.mark.parametrize("entry", [b"", b"{}", b"[]", b'{"v":1}', b"\xff"])
def test_damaged_bytes_are_told_as_such(entry: bytes) -> None:
    with pytest.raises(StoreCorrupt):
        decode("t", 0, entry, (None, None, None, None, None))
    with pytest.raises(StoreCorrupt):
        recorded_ms_of(entry)


def test_every_op_is_written_by_its_name() -> None:
    for op in Op:
        assert (
            json.loads(seal(prepare(Draft(kind="k", op=op)), 0, 1, NOISE).entry)["op"] == op.value
        )
