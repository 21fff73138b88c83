"""A verifier of receipts written from `docs/design/entry.md` alone.

It shares no code with the product and needs `cryptography` for Ed25519 only: what a sceptic would
write. Section numbers are those of that page.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MEMBERS = {
    "format": str, "origin": str, "index": int, "entry": str, "sections": dict,
    "inclusion_proof": list, "checkpoint": str, "verifier_key": str,
}  # fmt: skip
ENTRY_MEMBERS = {
    "v": int, "id": str, "op": str, "kind": str, "occurred_ms": int, "recorded_ms": int,
    "dialect": str, "sections": dict,
}  # fmt: skip


class Refused(Exception):
    """The receipt does not prove what it claims."""


def demand(condition: bool, reason: str) -> None:
    if not condition:
        raise Refused(reason)


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def from_base64(text: object, length: int) -> bytes:
    demand(isinstance(text, str), "base64 is a string")
    try:
        data = base64.b64decode(str(text), validate=True)
    except ValueError:
        raise Refused("bad base64") from None
    demand(base64.b64encode(data).decode() == text, "another spelling of base64")
    demand(len(data) == length, f"{len(data)} bytes where {length} belong")
    return data


def read_json(text: str | bytes) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        demand(len({name for name, _ in pairs}) == len(pairs), "a member stands twice")
        return dict(pairs)

    def never(name: str) -> Any:
        raise Refused(f"{name} is no JSON")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=never)
    except (ValueError, RecursionError):
        raise Refused("no JSON") from None


def verify(receipt_text: bytes | str, verifier_key: str | None) -> dict[str, Any]:
    """Return the content of the sections, None for those that are not there; see section 6."""
    receipt = read_json(receipt_text)
    demand(isinstance(receipt, dict) and set(receipt) == set(MEMBERS), "members of the receipt")
    for name, kind in MEMBERS.items():
        demand(type(receipt[name]) is kind, f"type of {name}")
    demand(receipt["format"] == "tallystick-receipt/1", "format")
    size, root = open_checkpoint(
        receipt["checkpoint"], verifier_key or receipt["verifier_key"], receipt["origin"]
    )
    entry_bytes = receipt["entry"].encode()
    proof = [from_base64(text, 32) for text in receipt["inclusion_proof"]]
    fold(sha256(b"\x00", entry_bytes), receipt["index"], size, proof, root)
    entry = read_json(entry_bytes)
    demand(isinstance(entry, dict), "entry")
    for name, kind in ENTRY_MEMBERS.items():
        demand(type(entry.get(name)) is kind, f"{name} of the entry")
    demand(entry["v"] == 1, "version of the entry")
    demand(set(entry["sections"]) == set(receipt["sections"]), "names of the sections")
    return {
        name: None if given is None else open_section(given, entry["sections"][name])
        for name, given in receipt["sections"].items()
    }


def open_section(given: Any, commitment: object) -> Any:
    """Section 1: SHA-256 over salt and bytes."""
    demand(isinstance(given, dict) and set(given) == {"salt", "bytes"}, "shape of a section")
    demand(isinstance(given["bytes"], str), "bytes of a section")
    content = given["bytes"].encode()
    salt = from_base64(given["salt"], 16)
    demand(sha256(salt, content) == from_base64(commitment, 32), "content of a section")
    return read_json(content)


def open_checkpoint(note: str, key_text: str, origin: str) -> tuple[int, bytes]:
    """Section 4: a signed note with origin, size and root."""
    try:
        name, key_id_hex, key_base64 = key_text.split("+", 2)
    except ValueError:
        raise Refused("verifier key") from None
    key_bytes = from_base64(key_base64, 33)
    demand(key_bytes[0] == 1, "algorithm of the key")
    key_id = sha256(name.encode(), b"\n", key_bytes)[:4]
    demand(key_id.hex() == key_id_hex, "id of the key")
    text, blank, signatures = note.rpartition("\n\n")
    demand(bool(blank) and signatures.endswith("\n"), "shape of the note")
    text += "\n"
    verified = False
    for line in signatures.splitlines():
        demand(line.startswith("\u2014 "), "signature line")
        signer, _, encoded = line[2:].rpartition(" ")
        raw = base64.b64decode(encoded)
        if signer == name and raw[:4] == key_id:
            try:
                Ed25519PublicKey.from_public_bytes(key_bytes[1:]).verify(raw[4:], text.encode())
            except InvalidSignature:
                raise Refused("signature") from None
            verified = True
    demand(verified, "no signature of the key")
    lines = text.split("\n")
    demand(len(lines) >= 4 and lines[0] == origin == name, "origin")
    demand(lines[1].isascii() and lines[1].isdigit(), "size")
    return int(lines[1]), from_base64(lines[2], 32)


def fold(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> None:
    """Section 6, point 3: RFC 9162 section 2.1.3.2."""
    demand(0 <= index < size, "index and size")
    node, position, last = leaf, index, size - 1
    for sibling in proof:
        demand(last > 0, "too many siblings")
        if position & 1 or position == last:
            node = sha256(b"\x01", sibling, node)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            node = sha256(b"\x01", node, sibling)
        position >>= 1
        last >>= 1
    demand(last == 0, "too few siblings")
    demand(node == root, "root")
