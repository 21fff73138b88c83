"""Receipts: one event with everything that proves it, in one JSON file, and their offline verifier.

The verifier believes nothing but the key it is given: the checkpoint must be signed by it, the
inclusion proof must lead from the entry to the checkpoint's root, and every section must be the
one that the entry commits to. Whether that key is the right one, it cannot know: without a pinned
key it takes the one the receipt names and says so. Source: the entry specification; RFC 6962
section 2.1.1; C2SP tlog-checkpoint.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tallystick.errors import ContentMismatch, MalformedNote, MalformedReceipt, StoreCorrupt
from tallystick.tlog.checkpoint import Checkpoint, open_checkpoint
from tallystick.tlog.encoding import from_base64, to_base64
from tallystick.tlog.hashing import HASH_BYTES, leaf_hash, section_commitment
from tallystick.tlog.note import Verifier
from tallystick.tlog.proof import verify_inclusion

FORMAT: Final = "tallystick-receipt/1"
ENTRY_VERSION: Final = 1
SECTIONS: Final = ("actor", "target", "place", "data", "previous", "links")
SALT_BYTES: Final = 16
# An event has at most 1 MiB, which doubles at worst when it is quoted; the rest is small.
RECEIPT_BYTES_MAX: Final = 16 * 2**20
DEPTH_MAX: Final = 128  # twice what an event may have

_MEMBERS: Final[dict[str, type]] = {
    "format": str,
    "origin": str,
    "index": int,
    "entry": str,
    "sections": dict,
    "inclusion_proof": list,
    "checkpoint": str,
    "verifier_key": str,
}
_ENTRY_MEMBERS: Final[dict[str, type]] = {
    "v": int,
    "id": str,
    "op": str,
    "kind": str,
    "occurred_ms": int,
    "recorded_ms": int,
    "dialect": str,
    "sections": dict,
}


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """What a receipt proves: that this entry, with these sections, is in that log at that place."""

    origin: str
    index: int
    size: int
    root: bytes
    entry: dict[str, Any]
    sections: dict[str, Any]
    erased: tuple[str, ...]
    key: str
    pinned: bool


def build_receipt(
    *,
    origin: str,
    index: int,
    entry: bytes,
    sections: Mapping[str, tuple[bytes, bytes] | None],
    proof: Sequence[bytes],
    checkpoint: str,
    verifier: Verifier,
) -> dict[str, Any]:
    """Return the members of a receipt; nothing is verified here.

    Shape: a section is (salt, stored bytes), or None if it was erased.
    Raises: StoreCorrupt if stored bytes are not UTF-8.
    """
    try:
        return {
            "format": FORMAT,
            "origin": origin,
            "index": index,
            "entry": entry.decode("utf-8"),
            "sections": {
                name: part and {"salt": to_base64(part[0]), "bytes": part[1].decode("utf-8")}
                for name, part in sections.items()
            },
            "inclusion_proof": [to_base64(sibling) for sibling in proof],
            "checkpoint": checkpoint,
            "verifier_key": str(verifier),
        }
    except UnicodeDecodeError as exc:
        raise StoreCorrupt(f"the stored bytes of entry {index} are not UTF-8") from exc


def to_receipt_text(receipt: Mapping[str, Any]) -> bytes:
    """Return a receipt as the JSON text of its file."""
    return (json.dumps(receipt, ensure_ascii=False, indent=1) + "\n").encode("utf-8")


def verify_receipt(
    data: bytes | str | dict[str, Any], *, verifier: Verifier | None = None
) -> VerifiedReceipt:
    """Verify a receipt and return what it proves.

    Without `verifier` the key that the receipt itself names is used and `pinned` is False: that
    shows only that the receipt is consistent, not whose it is.
    Raises: MalformedReceipt, BadSignature, BadInclusionProof or ContentMismatch.
    """
    receipt = data if isinstance(data, dict) else _parse_object(_decode(data), "the receipt")
    _check_members(receipt, _MEMBERS, "the receipt")
    if receipt["format"] != FORMAT or len(receipt) != len(_MEMBERS):
        raise MalformedReceipt(f"this is not a receipt of format {FORMAT}")
    key, checkpoint = _open(receipt, verifier)
    entry_text: str = receipt["entry"]
    verify_inclusion(
        leaf_hash(_encode(entry_text)),
        receipt["index"],
        checkpoint.size,
        [_from_base64(sibling, HASH_BYTES) for sibling in receipt["inclusion_proof"]],
        checkpoint.root,
    )
    entry = _parse_entry(entry_text)
    sections = _verify_sections(entry["sections"], receipt["sections"])
    return VerifiedReceipt(
        origin=checkpoint.origin,
        index=receipt["index"],
        size=checkpoint.size,
        root=checkpoint.root,
        entry=entry,
        sections=sections,
        erased=tuple(name for name in sections if receipt["sections"][name] is None),
        key=str(key),
        pinned=verifier is not None,
    )


def _open(receipt: dict[str, Any], pinned: Verifier | None) -> tuple[Verifier, Checkpoint]:
    try:
        verifier = pinned or Verifier.parse(receipt["verifier_key"])
        checkpoint = open_checkpoint(receipt["checkpoint"], [verifier], receipt["origin"])
    except MalformedNote as exc:
        raise MalformedReceipt(f"key or checkpoint: {exc.message}") from exc
    return verifier, checkpoint


def _parse_entry(text: str) -> dict[str, Any]:
    entry = _parse_object(text, "the entry")
    _check_members(entry, _ENTRY_MEMBERS, "the entry")
    if entry["v"] != ENTRY_VERSION:
        raise MalformedReceipt(f"entries of version {entry['v']} are not known here")
    if not isinstance(entry.get("subject", ""), str):
        raise MalformedReceipt("the entry's subject is not a text")
    return entry


def _verify_sections(committed: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the content of every section, None where it was erased."""
    if not set(committed) <= set(SECTIONS):
        raise MalformedReceipt("the entry commits to a section of no known name")
    if set(committed) != set(given):
        raise ContentMismatch("the receipt's sections are not those that the entry commits to")
    return {
        name: None if given[name] is None else _verify_section(name, commitment, given[name])
        for name, commitment in committed.items()
    }


def _verify_section(name: str, commitment: object, given: object) -> object:
    if not isinstance(given, dict) or set(given) != {"salt", "bytes"}:
        raise MalformedReceipt(f"section {name} is not a salt and bytes")
    salt = _from_base64(given["salt"], SALT_BYTES)
    text = given["bytes"]
    if not isinstance(text, str):
        raise MalformedReceipt(f"the bytes of section {name} are not a text")
    if section_commitment(salt, _encode(text)) != _from_base64(commitment, HASH_BYTES):
        raise ContentMismatch(f"section {name} is not what the entry commits to")
    return _parse_json(text, f"section {name}")


def _check_members(found: dict[str, Any], expected: Mapping[str, type], what: str) -> None:
    for name, kind in expected.items():
        value = found.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise MalformedReceipt(f"{what} has no {name} of the right type")


def _from_base64(text: object, length: int) -> bytes:
    if not isinstance(text, str):
        raise MalformedReceipt("hashes and salts are written in base64")
    data = from_base64(text, MalformedReceipt, "a hash or salt")
    if len(data) != length:
        raise MalformedReceipt(f"a hash or salt has {len(data)} bytes instead of {length}")
    return data


def _decode(data: bytes | str) -> str:
    if len(data) > RECEIPT_BYTES_MAX:
        raise MalformedReceipt(f"a receipt has at most {RECEIPT_BYTES_MAX} bytes")
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise MalformedReceipt("a receipt is text in UTF-8") from exc


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise MalformedReceipt("half a surrogate pair is no character") from exc


def _parse_object(text: str, what: str) -> dict[str, Any]:
    value = _parse_json(text, what)
    if not isinstance(value, dict):
        raise MalformedReceipt(f"{what} is not a JSON object")
    return value


def _parse_json(text: str, what: str) -> object:
    """Parse JSON that can be read in one way only."""
    try:
        value: object = json.loads(
            text,
            object_pairs_hook=_unique_members,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as exc:
        raise MalformedReceipt(f"{what} is not JSON that can be read safely") from exc
    if not _is_shallow(value):
        raise MalformedReceipt(f"{what} is nested deeper than {DEPTH_MAX}")
    return value


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is out of range")
    return number


def _is_shallow(value: object) -> bool:
    """Tell whether JSON values are nested at most `DEPTH_MAX` deep."""
    level = _containers([value])
    for _ in range(DEPTH_MAX):
        level = [child for parent in level for child in _containers(parent)]
    return not level


def _containers(parent: dict[str, Any] | list[Any]) -> list[dict[str, Any] | list[Any]]:
    children = parent.values() if isinstance(parent, dict) else parent
    return [child for child in children if isinstance(child, (dict, list))]
