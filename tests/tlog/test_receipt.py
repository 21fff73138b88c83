"""Receipts: the golden one, made without the product, and every way of tampering with one."""

from __future__ import annotations

import copy
import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import (
    BadInclusionProof,
    BadSignature,
    ContentMismatch,
    MalformedReceipt,
    StoreCorrupt,
)
from tallystick.tlog.checkpoint import sign_checkpoint
from tallystick.tlog.hashing import leaf_hash, node_hash, section_commitment
from tallystick.tlog.note import Signer, Verifier
from tallystick.tlog.receipt import (
    DEPTH_MAX,
    RECEIPT_BYTES_MAX,
    build_receipt,
    to_receipt_text,
    verify_receipt,
)
from tests.tlog.trees import VECTORS, vectors

REFUSALS = (BadInclusionProof, BadSignature, ContentMismatch, MalformedReceipt)
GOLDEN = (VECTORS / "receipt_v1.json").read_bytes()
ORIGIN = "log.example/0198c0de"
PINNED = Verifier.parse(vectors("receipt_v1.json")["verifier_key"])
SIGNER = Signer.generate(ORIGIN)
SALT = bytes(16)

Json = dict[str, Any]
Change = Callable[[Json], None]


def golden() -> Json:
    receipt: Json = json.loads(GOLDEN)
    return receipt


def encoded(data: bytes) -> str:
    return b64encode(data).decode()


def signed(entry: str, sections: Json) -> Json:
    """Return the receipt of a log with this entry only, so that it fails on nothing but that."""
    leaf = leaf_hash(entry.encode())
    return {
        "format": "tallystick-receipt/1",
        "origin": ORIGIN,
        "index": 0,
        "entry": entry,
        "sections": sections,
        "inclusion_proof": [],
        "checkpoint": sign_checkpoint(SIGNER, ORIGIN, 1, leaf),
        "verifier_key": str(SIGNER.verifier),
    }


def signed_section(text: str, **replaced: Any) -> Json:
    """Return the receipt of an entry whose section `data` has these bytes."""
    commitment = encoded(section_commitment(SALT, text.encode("utf-8", "surrogatepass")))
    entry = entry_with(sections={"data": replaced.pop("commitment", commitment)})
    return signed(entry, {"data": {"salt": encoded(SALT), "bytes": text, **replaced}})


def entry_with(**members: Any) -> str:
    entry = {
        "v": 1,
        "id": "0198c0de-0000-7000-8000-000000000000",
        "op": "record",
        "kind": "a.b",
        "occurred_ms": 1,
        "recorded_ms": 2,
        "dialect": "native",
        "sections": {},
        **members,
    }
    return json.dumps({name: value for name, value in entry.items() if value is not ...})


# Good receipts


def test_the_golden_receipt_is_verified() -> None:
    verified = verify_receipt(GOLDEN, verifier=PINNED)
    assert (verified.origin, verified.index, verified.size) == (ORIGIN, 2, 5)
    assert verified.pinned
    assert verified.key == str(PINNED)
    assert verified.entry["kind"] == "document.published"
    assert verified.sections["actor"]["name"] == 'Jos\u00e9 "Pepe" Garc\u00eda'
    assert verified.sections["data"]["ordinal"] == 618485351434448900
    assert verified.sections["previous"] is None
    assert verified.erased == ("previous",)


def test_the_golden_receipt_is_built_from_its_parts() -> None:
    receipt = golden()
    parts = {
        name: part and (bytes([place]) * 16, part["bytes"].encode())
        for place, (name, part) in enumerate(receipt["sections"].items(), 1)
    }
    built = build_receipt(
        origin=ORIGIN,
        index=2,
        entry=receipt["entry"].encode(),
        sections=parts,
        proof=[
            leaf_hash(b"entry 3"),
            node_hash(leaf_hash(b"entry 0"), leaf_hash(b"entry 1")),
            leaf_hash(b"entry 4"),
        ],
        checkpoint=receipt["checkpoint"],
        verifier=PINNED,
    )
    assert to_receipt_text(built) == GOLDEN


def test_a_receipt_may_come_as_bytes_text_or_object() -> None:
    forms = [verify_receipt(form) for form in (GOLDEN, GOLDEN.decode(), golden())]
    assert forms[0] == forms[1] == forms[2]


def test_without_a_key_the_receipt_is_verified_but_not_pinned() -> None:
    verified = verify_receipt(GOLDEN)
    assert not verified.pinned
    assert verified.key == str(PINNED)


def test_an_entry_may_have_a_subject_and_no_sections() -> None:
    verified = verify_receipt(signed(entry_with(subject="s"), {}), verifier=SIGNER.verifier)
    assert (verified.entry["subject"], verified.sections, verified.erased) == ("s", {}, ())


def test_a_section_may_be_null_without_being_erased() -> None:
    verified = verify_receipt(signed_section("null"))
    assert (verified.sections, verified.erased) == ({"data": None}, ())


def test_a_section_may_hold_what_json_can_say() -> None:
    nested = "[" * (DEPTH_MAX - 1) + "1" + "]" * (DEPTH_MAX - 1)
    text = '{"big":' + "9" * 4000 + ',"float":1e308,"nul":"\\u0000","deep":' + nested + "}"
    verified = verify_receipt(signed_section(text))
    assert verified.sections["data"]["big"] == int("9" * 4000)
    assert verified.sections["data"]["nul"] == "\x00"


def test_bytes_that_are_not_utf8_make_no_receipt() -> None:
    with pytest.raises(StoreCorrupt):
        build_receipt(
            origin=ORIGIN,
            index=0,
            entry=b"\xff",
            sections={},
            proof=[],
            checkpoint="",
            verifier=PINNED,
        )


# The wrong key


def test_a_stranger_cannot_make_a_receipt_for_a_pinned_log() -> None:
    forged = signed(entry_with(), {})
    assert not verify_receipt(forged).pinned
    with pytest.raises(BadSignature):
        verify_receipt(forged, verifier=PINNED)


def test_the_key_in_the_receipt_is_ignored_once_one_is_pinned() -> None:
    receipt = golden() | {"verifier_key": "anything"}
    assert verify_receipt(receipt, verifier=PINNED).key == str(PINNED)
    with pytest.raises(MalformedReceipt):
        verify_receipt(receipt)


# Tampering with a good receipt


def put(*way: Any) -> Change:
    """Return the change that sets the member at the end of `way` but one to the last value."""
    *parents, name, value = way

    def change(receipt: Json) -> None:
        place: Any = receipt
        for parent in parents:
            place = place[parent]
        place[name] = value

    return change


def drop(*way: Any) -> Change:
    *parents, name = way

    def change(receipt: Json) -> None:
        place: Any = receipt
        for parent in parents:
            place = place[parent]
        del place[name]

    return change


def edit(old: str, new: str, member: str) -> Change:
    def change(receipt: Json) -> None:
        assert old in receipt[member]
        receipt[member] = receipt[member].replace(old, new)

    return change


def reverse_proof(receipt: Json) -> None:
    receipt["inclusion_proof"].reverse()


def swap_sections(receipt: Json) -> None:
    sections = receipt["sections"]
    sections["actor"], sections["target"] = sections["target"], sections["actor"]


HASH = encoded(bytes(32))
TAMPERINGS: dict[str, tuple[type[Exception], Change]] = {
    "format of a later version": (MalformedReceipt, put("format", "tallystick-receipt/2")),
    "unknown member": (MalformedReceipt, put("extra", 1)),
    "origin of another log": (BadSignature, put("origin", "log.example/other")),
    "another index": (BadInclusionProof, put("index", 3)),
    "index beyond the log": (BadInclusionProof, put("index", 5)),
    "negative index": (BadInclusionProof, put("index", -1)),
    "huge index": (BadInclusionProof, put("index", 10**400)),
    "index as a float": (MalformedReceipt, put("index", 2.0)),
    "index as a truth": (MalformedReceipt, put("index", True)),
    "index as a text": (MalformedReceipt, put("index", "2")),
    "another kind": (BadInclusionProof, edit("published", "withdrawn", "entry")),
    "one more space": (BadInclusionProof, edit('"v":1', '"v": 1', "entry")),
    "entry as an object": (MalformedReceipt, put("entry", {})),
    "half a surrogate pair in the entry": (MalformedReceipt, put("entry", "\ud800")),
    "proof without a hash": (BadInclusionProof, drop("inclusion_proof", 0)),
    "proof with a hash more": (
        BadInclusionProof,
        lambda receipt: receipt["inclusion_proof"].append(HASH),
    ),
    "proof backwards": (BadInclusionProof, reverse_proof),
    "another hash": (BadInclusionProof, put("inclusion_proof", 1, HASH)),
    "short hash": (MalformedReceipt, put("inclusion_proof", 1, HASH[4:])),
    "hash in other letters": (MalformedReceipt, put("inclusion_proof", 1, "_" + HASH[1:])),
    "hash as a number": (MalformedReceipt, put("inclusion_proof", 1, 7)),
    "proof as an object": (MalformedReceipt, put("inclusion_proof", {})),
    "larger log": (BadSignature, edit("\n5\n", "\n6\n", "checkpoint")),
    "checkpoint without signature": (MalformedReceipt, put("checkpoint", ORIGIN + "\n5\n")),
    "checkpoint as a list": (MalformedReceipt, put("checkpoint", [])),
    "half a surrogate pair in it": (MalformedReceipt, edit("\n5\n", "\udc00\n5\n", "checkpoint")),
    "no key": (MalformedReceipt, drop("verifier_key")),
    "damaged key": (MalformedReceipt, edit("0198c0de", "0198c0df", "verifier_key")),
    "another key": (BadSignature, put("verifier_key", str(SIGNER.verifier))),
    "another content": (ContentMismatch, put("sections", "actor", "bytes", "{}")),
    "another salt": (ContentMismatch, put("sections", "actor", "salt", encoded(bytes(16)))),
    "short salt": (MalformedReceipt, put("sections", "actor", "salt", encoded(bytes(15)))),
    "salt as a number": (MalformedReceipt, put("sections", "actor", "salt", 1)),
    "no salt": (MalformedReceipt, drop("sections", "actor", "salt")),
    "bytes as an object": (MalformedReceipt, put("sections", "actor", "bytes", {})),
    "half a surrogate pair in bytes": (
        MalformedReceipt,
        put("sections", "actor", "bytes", '"\ud800"'),
    ),
    "more than salt and bytes": (MalformedReceipt, put("sections", "actor", "more", 1)),
    "section as a text": (MalformedReceipt, put("sections", "actor", "Jos\u00e9")),
    "section as a false": (MalformedReceipt, put("sections", "actor", False)),
    "swapped sections": (ContentMismatch, swap_sections),
    "section left out": (ContentMismatch, drop("sections", "data")),
    "erased section left out": (ContentMismatch, drop("sections", "previous")),
    "section nobody committed to": (ContentMismatch, put("sections", "links", None)),
    "section of no known name": (ContentMismatch, put("sections", "weather", None)),
    "sections as a list": (MalformedReceipt, put("sections", [])),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_receipt_that_was_tampered_with_is_refused(name: str) -> None:
    error, change = TAMPERINGS[name]
    receipt = golden()
    change(receipt)
    with pytest.raises(error):
        verify_receipt(receipt)
    if "key" not in name:
        with pytest.raises(error):
            verify_receipt(json.dumps(receipt), verifier=PINNED)


@pytest.mark.parametrize("name", golden())
def test_every_member_is_needed(name: str) -> None:
    receipt = golden()
    del receipt[name]
    with pytest.raises(MalformedReceipt):
        verify_receipt(receipt)


def test_a_section_can_be_withheld_but_is_then_named() -> None:
    """Nobody but the log can tell erased from withheld; the receipt says that it is not there."""
    receipt = golden()
    receipt["sections"]["data"] = None
    assert verify_receipt(receipt).erased == ("data", "previous")


# Entries that a log has signed, but that are none of ours


@pytest.mark.parametrize(
    "members",
    [
        {"v": 2},
        {"v": 1.0},
        {"v": True},
        {"v": ...},
        {"id": 5},
        {"id": ...},
        {"op": None},
        {"kind": []},
        {"occurred_ms": "1"},
        {"recorded_ms": 1.5},
        {"recorded_ms": False},
        {"dialect": ...},
        {"subject": 5},
        {"subject": None},
        {"sections": []},
        {"sections": ...},
        {"sections": {"weather": HASH}},
    ],
    ids=repr,
)
def test_an_entry_of_another_shape_is_refused(members: Json) -> None:
    with pytest.raises(MalformedReceipt):
        verify_receipt(signed(entry_with(**members), {}))


@pytest.mark.parametrize(
    "entry", ["", "7", "[]", "null", "{", "{}", '"text"', "{'v':1}", "\ufeff{}"]
)
def test_an_entry_that_is_no_object_is_refused(entry: str) -> None:
    with pytest.raises(MalformedReceipt):
        verify_receipt(signed(entry, {}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nul",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        '{"a":1,"a":1}',
        '{"a":{"b":1,"b":2}}',
        '"\t"',
        "[1,]",
        "\ufeff1",
        pytest.param("9" * 5000, id="too many digits"),
        pytest.param("[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1), id="deep"),
        pytest.param('{"a":' * (DEPTH_MAX + 1) + "1" + "}" * (DEPTH_MAX + 1), id="deep objects"),
        pytest.param("[" * 100_000 + "]" * 100_000, id="very deep"),
    ],
)
def test_a_committed_section_that_is_no_safe_json_is_refused(text: str) -> None:
    with pytest.raises(MalformedReceipt):
        verify_receipt(signed_section(text))


@pytest.mark.parametrize("commitment", [None, 5, "", "short", HASH[4:], [HASH]], ids=repr)
def test_a_commitment_that_is_no_hash_is_refused(commitment: object) -> None:
    with pytest.raises(MalformedReceipt):
        verify_receipt(signed_section("{}", commitment=commitment))


# Anything at all


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe{\x00}\x00",
        b"[]",
        b"{}",
        b"nul",
        "\ud800",
        {},
        {1: 2},
        pytest.param(b"[" * 200_000, id="very deep"),
        pytest.param(b'{"index":' + b"9" * 100_000 + b"}", id="many digits"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="very deep objects"),
        pytest.param(b" " * RECEIPT_BYTES_MAX + b"{}", id="too large"),
        pytest.param(GOLDEN.replace(b'"index"', b'"index": 2, "index"'), id="member twice"),
    ],
)
def test_what_is_no_receipt_is_refused(data: bytes | str | Json) -> None:
    with pytest.raises(MalformedReceipt):
        verify_receipt(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def ways(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value inside a receipt."""
    members: Any = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    below = [found for name, member in members for found in ways(member, (*way, name))]
    return [way, *below] if way else below


@given(st.sampled_from(ways(golden())), JSON)
def test_any_value_in_any_place_is_refused_or_proves_the_same(
    way: tuple[Any, ...], value: object
) -> None:
    receipt = golden()
    put(*way, copy.deepcopy(value))(receipt)
    expected = verify_receipt(GOLDEN, verifier=PINNED)
    try:
        verified = verify_receipt(receipt, verifier=PINNED)
    except REFUSALS:
        return
    # Only withholding a section and renaming the unused key leave a receipt that verifies.
    assert way == ("verifier_key",) or value is None
    assert verified.entry == expected.entry


@given(st.integers(0, len(GOLDEN) - 1), st.binary(max_size=4))
def test_any_damage_is_refused_or_proves_the_same(at: int, other: bytes) -> None:
    damaged = GOLDEN[:at] + other + GOLDEN[at + 1 :]
    try:
        verified = verify_receipt(damaged, verifier=PINNED)
    except REFUSALS:
        return
    assert verified == verify_receipt(GOLDEN, verifier=PINNED)


@given(st.one_of(st.binary(), st.text(st.characters()), JSON.map(json.dumps)))
def test_any_bytes_are_refused(data: bytes | str) -> None:
    with pytest.raises(MalformedReceipt):
        verify_receipt(data)
