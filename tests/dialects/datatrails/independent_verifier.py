"""A verifier of the public log, written from the wire specification of DataTrails alone.

It shares no code with the product: only hashlib, `cryptography` and a CBOR library. It checks
massif files, seals and receipts, and an event's JSON against its leaf; it is strict about every
byte, so that one flipped bit in any file is found. Numbers in comments are sections of the
specification.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

PEAK_RECEIPTS = -65931
EVENT_RULE = 1


class Mismatch(Exception):
    """Something in the log contradicts something else."""


@dataclass
class Leaf:
    """What a massif says about one leaf."""

    node: int
    value: bytes
    key: bytes
    extra: bytes
    idtimestamp: bytes
    """The 8 bytes without the epoch."""


@dataclass
class Log:
    """A whole log, read from its massif files and found consistent."""

    nodes: list[bytes] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)
    epoch: int = 0

    def peaks(self, size: int) -> list[bytes]:
        """Return the values of the peaks at a size."""
        return [self.nodes[i] for i in peak_indexes(size)]


# 4.4 ------------------------------------------------------------------------------------------


def node_height(index: int) -> int:
    """Return the height of a node."""
    position = index + 1
    while bin(position).count("0") > 1:  # the one of the prefix 0b
        position -= 2 ** (position.bit_length() - 1) - 1
    return position.bit_length() - 1


def parent_hash(index: int, left: bytes, right: bytes) -> bytes:
    """Return the value of an interior node."""
    return hashlib.sha256(int.to_bytes(index + 1, 8, "big") + left + right).digest()


def peak_indexes(size: int) -> list[int]:
    """Return the peaks of a complete range, highest first."""
    found: list[int] = []
    rest, offset = size, 0
    for level in range(64, 0, -1):
        tree = 2**level - 1
        if rest >= tree:
            offset += tree
            rest -= tree
            found.append(offset - 1)
    if rest:
        raise Mismatch(f"{size} is no complete size")
    return found


def climb(index: int, value: bytes, path: list[bytes]) -> tuple[int, bytes]:
    """Return the node that a path leads to, and its value."""
    for sibling in path:
        level = node_height(index)
        if node_height(index + 1) == level + 1:  # a right child: its parent comes next
            index = index + 1
            value = parent_hash(index, sibling, value)
        else:
            index = index + 2 ** (level + 1)
            value = parent_hash(index, value, sibling)
    return index, value


# 4.5 ------------------------------------------------------------------------------------------


def read_log(massifs: list[bytes], *, height: int) -> Log:
    """Read a log from all of its massif files, in order.

    Every interior node is computed again, every unused byte must be zero.
    """
    log = Log()
    for number, data in enumerate(massifs):
        _read_massif(log, data, number, height, is_last=number == len(massifs) - 1)
    return log


def _read_massif(log: Log, data: bytes, number: int, height: int, *, is_last: bool) -> None:
    capacity = 2 ** (height - 1)
    index_at, stack_at = 256 + 32, 256 + 32 + 64 * 2**height
    _same(len(log.leaves), number * capacity, "the massifs before are not full")
    stack = log.peaks(len(log.nodes)) if log.nodes else []
    nodes_at = stack_at + 32 * len(stack)
    if len(data) < nodes_at or (len(data) - nodes_at) % 32:
        raise Mismatch(f"massif {number} has an odd length")
    _same(data[stack_at:nodes_at], b"".join(stack), "the stack is not the peaks before")
    stored = [data[at : at + 32] for at in range(nodes_at, len(data), 32)]
    before, first = len(log.leaves), len(log.nodes)
    while len(log.nodes) - first < len(stored):
        slot_at = index_at + 64 * (len(log.leaves) - before)
        _read_leaf(log, stored, first, data[slot_at : slot_at + 64])
    count = len(log.leaves) - before
    if count > capacity or (count < capacity and not is_last):
        raise Mismatch(f"massif {number} holds {count} leaves")
    _all_zero(data[256:288], "index header")
    _all_zero(data[index_at + 64 * count : stack_at], "unused index")
    _read_header(log, data[:256], number, height, is_empty=count == 0)


def _read_leaf(log: Log, stored: list[bytes], first: int, slot: bytes) -> None:
    node = len(log.nodes)
    leaf = Leaf(node, stored[node - first], slot[:32], slot[32:56], slot[56:64])
    if log.leaves and leaf.idtimestamp <= log.leaves[-1].idtimestamp:
        raise Mismatch(f"the idtimestamp of node {node} does not grow")
    log.leaves.append(leaf)
    log.nodes.append(leaf.value)
    while node_height(len(log.nodes)) > 0:
        parent = len(log.nodes)
        if parent - first >= len(stored):
            raise Mismatch("the last leaf's parents are missing")
        left = log.nodes[parent - 2 ** node_height(parent)]
        _same(stored[parent - first], parent_hash(parent, left, log.nodes[-1]), "interior node")
        log.nodes.append(stored[parent - first])


def _read_header(log: Log, header: bytes, number: int, height: int, *, is_empty: bool) -> None:
    _all_zero(header[0:8] + header[16:21] + header[32:], "unused header bytes")
    _same(header[21:23], b"\0\0", "version")
    _same(header[27], height, "height")
    _same(int.from_bytes(header[28:32], "big"), number, "massif number")
    if is_empty:
        _all_zero(header[8:16] + header[23:27], "last idtimestamp of an empty massif")
        return
    _same(header[8:16], log.leaves[-1].idtimestamp, "last idtimestamp")
    epoch = int.from_bytes(header[23:27], "big")
    if epoch < log.epoch:
        raise Mismatch("the epoch goes back")
    log.epoch = epoch


def check_growth(older: bytes, newer: bytes, *, height: int) -> None:
    """Check that a massif file read later extends the same file read earlier."""
    nodes_at = 288 + 64 * 2**height
    if not newer[nodes_at:].startswith(older[nodes_at:]):
        raise Mismatch("nodes were changed or removed")
    for at in range(288, nodes_at, 64):
        slot = older[at : at + 64]
        if any(slot) and slot != newer[at : at + 64]:
            raise Mismatch("an index entry was changed")


# 4.1 to 4.3 -----------------------------------------------------------------------------------

_SHORT = {
    0x08: "\\b",
    0x09: "\\t",
    0x0A: "\\n",
    0x0C: "\\f",
    0x0D: "\\r",
    0x22: '\\"',
    0x5C: "\\\\",
}
_HTML = {0x3C, 0x3E, 0x26, 0x2028, 0x2029}


def go_json(value: Any) -> str:
    """Return a value as Go's encoder prints it."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return '"' + "".join(map(_go_character, value)) + '"'
    if isinstance(value, list):
        return "[" + ",".join(map(go_json, value)) + "]"
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode())
        return "{" + ",".join(f"{go_json(name)}:{go_json(value[name])}" for name in names) + "}"
    raise Mismatch(f"{value!r} is no attribute value")


def _go_character(character: str) -> str:
    code = ord(character)
    if code in _SHORT:
        return _SHORT[code]
    if code < 0x20 or code in _HTML:
        return f"\\u{code:04x}"
    return character


def serialize(event: dict[str, Any]) -> bytes:
    """Return the bytes of an event's JSON that its leaf is made of."""
    members = ['"attributes":' + go_json(event.get("attributes"))]
    members.append('"trails":' + go_json(event.get("trails")))
    if event.get("event_type"):
        members.append('"event_type":' + go_json(event["event_type"]))
    content = ("{" + ",".join(members) + "}").encode()
    return str(len(content)).encode() + b":" + content


def check_event(log: Log, event: dict[str, Any], *, log_id: str) -> int:
    """Check an event as the API shows it against its leaf; return the leaf's number."""
    entry, commit = event["ledger_entry"], event["merklelog_commit"]
    _same(commit, {name: entry[name] for name in ("index", "idtimestamp")}, "two commit shapes")
    _same((entry["log_id"], entry["hash_schema"]), (log_id, "v0"), "log id and schema")
    if not isinstance(entry["index"], str) or str(int(entry["index"])) != entry["index"]:
        raise Mismatch("the index is no decimal string")
    number = next((n for n, leaf in enumerate(log.leaves) if leaf.node == int(entry["index"])), -1)
    if number < 0:
        raise Mismatch(f"node {entry['index']} is no leaf")
    leaf, raw_id = log.leaves[number], uuid.UUID(log_id).bytes
    idtimestamp = bytes.fromhex(entry["idtimestamp"])
    _same(len(idtimestamp), 9, "length of the idtimestamp")
    _same(leaf.idtimestamp, idtimestamp[1:], "idtimestamp")
    _same(event["created_at"], _unix_ms(idtimestamp), "time of the idtimestamp")
    _same(leaf.extra, bytes([EVENT_RULE]) + raw_id + bytes(7), "extra bytes")
    key = hashlib.sha256(b"\0" + raw_id + event["identity"].encode()).digest()
    _same(leaf.key, key, "index key")
    content = serialize(event)
    _same(entry["content_hash"], hashlib.sha256(content).hexdigest(), "content hash")
    value = hashlib.sha256(b"\0" + leaf.extra + leaf.idtimestamp + content).digest()
    _same(leaf.value, value, "leaf value")
    return number


def _unix_ms(idtimestamp: bytes) -> int:
    return (int.from_bytes(idtimestamp[1:], "big") >> 24) + idtimestamp[0] * (2**40 - 1)


# 6.1 and 6.2 ----------------------------------------------------------------------------------


@dataclass
class _Sign1:
    protected_bytes: bytes
    protected: dict[int, Any]
    unprotected: dict[int, Any]
    payload: bytes | None
    signature: bytes

    def check(self, payload: bytes, key: ec.EllipticCurvePublicKey) -> None:
        algorithm, digest = {
            "secp256r1": (-7, hashes.SHA256()),
            "secp384r1": (-35, hashes.SHA384()),
        }[key.curve.name]
        _same(self.protected.get(1), algorithm, "algorithm")
        half = key.curve.key_size // 8
        _same(len(self.signature), 2 * half, "length of the signature")
        r, s = (
            int.from_bytes(part, "big") for part in (self.signature[:half], self.signature[half:])
        )
        signed = cbor2.dumps(["Signature1", self.protected_bytes, b"", payload])
        try:
            key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(digest))
        except InvalidSignature:
            raise Mismatch("the signature does not verify") from None


def _cbor(data: bytes) -> Any:
    stream = io.BytesIO(data)
    try:
        item = cbor2.CBORDecoder(stream, allow_duplicate_keys=False).decode()
    except (cbor2.CBORError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise Mismatch("not CBOR") from error
    _same(stream.tell(), len(data), "end of the CBOR item")
    return item


def _sign1(data: bytes) -> _Sign1:
    item = _cbor(data)
    if not isinstance(item, cbor2.CBORTag) or item.tag != 18 or len(item.value) != 4:
        raise Mismatch("no COSE_Sign1")
    protected, unprotected, payload, signature = item.value
    if not isinstance(protected, bytes) or not isinstance(signature, bytes):
        raise Mismatch("no COSE_Sign1")
    if payload is not None and not isinstance(payload, bytes):
        raise Mismatch("the payload is no byte string")
    header = _cbor(protected)
    if not _is_map(header) or not _is_map(unprotected):
        raise Mismatch("a header is no map")
    return _Sign1(protected, dict(header), dict(unprotected), payload, signature)


def check_seal(data: bytes, log: Log, key: ec.EllipticCurvePublicKey) -> int:
    """Check a seal against the log it seals; return the size it is about."""
    seal = _sign1(data)
    if seal.payload is None:
        raise Mismatch("a seal has a payload")
    state = _cbor(seal.payload)
    if not _is_map(state) or set(state) != {1, 3, 4, 6, 7}:
        raise Mismatch("the state of a seal has five members, and not the peaks")
    size = state[1]
    if not isinstance(size, int) or not 0 < size <= len(log.nodes):
        raise Mismatch(f"the log has no size {size!r}")
    peaks = log.peaks(size)
    seal.check(cbor2.dumps({**state, 8: peaks}, canonical=True), key)
    last = [leaf for leaf in log.leaves if leaf.node < size][-1]
    _same(state[4], int.from_bytes(last.idtimestamp, "big"), "idtimestamp of the seal")
    _same(state[7], 2, "version of the seal")
    _check_claims(seal.protected, key)
    receipts: Any = seal.unprotected.get(PEAK_RECEIPTS)
    if set(seal.unprotected) != {PEAK_RECEIPTS} or len(receipts) != len(peaks):
        raise Mismatch("a seal carries one receipt for each peak")
    for receipt, peak in zip(receipts, peaks, strict=True):
        message = _sign1(receipt)
        _same((message.payload, message.unprotected), (None, {}), "detached peak receipt")
        _same(message.protected.get(395), 3, "structure of a peak receipt")
        if not isinstance(message.protected.get(4), bytes):
            raise Mismatch("a peak receipt has a kid")
        message.check(peak, key)
    return size


def check_inclusion(receipt: bytes, value: bytes, key: ec.EllipticCurvePublicKey) -> int:
    """Check an inclusion receipt in either form for a node's value; return the node's index."""
    message = _sign1(receipt)
    _same(message.payload, None, "payload of a receipt")
    proof = _only_proof(message, -1)
    structure = message.protected.get(395)
    if structure == 3 and isinstance(proof, bytes):
        index, path = _parts(_cbor(proof), 2)
    elif structure == 2 and _is_map(proof) and set(proof) == {1, 2}:
        index, path = proof[1], proof[2]
        _check_claims(message.protected, key)
    else:
        raise Mismatch("neither of the two forms")
    if not isinstance(index, int) or index < 0:
        raise Mismatch("the index is no unsigned integer")
    _, peak = climb(index, value, _values(path))
    message.check(peak, key)
    return index


def check_consistency(
    receipt: bytes, size1: int, peaks1: list[bytes], key: ec.EllipticCurvePublicKey
) -> tuple[int, list[bytes]]:
    """Check a consistency receipt from a trusted state; return the new size and peaks."""
    message = _sign1(receipt)
    _same((message.payload, message.protected.get(395)), (None, 3), "form of the receipt")
    said1, said2, paths, right = _parts(_cbor(_bytes(_only_proof(message, -2))), 4)
    _same(message.protected.get(-65932), size1, "signed size 1")
    _same(message.protected.get(-65933), said2, "signed size 2")
    _same(said1, size1, "size 1")
    if not isinstance(said2, int):
        raise Mismatch("size 2 is no integer")
    new, found = peak_indexes(said2), dict[int, bytes]()
    olds = peak_indexes(size1) if size1 else []
    for old, value, path in zip(olds, peaks1, _parts(paths, len(olds)), strict=True):
        top, folded = climb(old, value, _values(path))
        _same(found.setdefault(top, folded), folded, "two old peaks below one new peak")
    values = [*found.values(), *_values(right)]
    _same((list(found), len(values)), (new[: len(found)], len(new)), "peaks reached")
    message.check(b"".join(values), key)
    return said2, values


def _check_claims(protected: dict[int, Any], key: ec.EllipticCurvePublicKey) -> None:
    claims: Any = protected.get(15) or protected.get(13)
    try:
        cose_key = claims[8][1]
        texts = (claims[1], claims[2], cose_key[1], cose_key[-1])
        point = (cose_key[-2], cose_key[-3])
    except (KeyError, TypeError):
        raise Mismatch("claims need issuer, subject and key") from None
    if not all(isinstance(text, str) for text in texts):
        raise Mismatch("claims are texts")
    numbers, half = key.public_numbers(), key.curve.key_size // 8
    _same(texts[2:], ("EC", f"P-{key.curve.key_size}"), "type of the key")
    _same(point, (numbers.x.to_bytes(half, "big"), numbers.y.to_bytes(half, "big")), "key")


def _only_proof(message: _Sign1, kind: int) -> Any:
    proofs: Any = message.unprotected.get(396)
    if set(message.unprotected) != {396} or not _is_map(proofs) or set(proofs) != {kind}:
        raise Mismatch("no proof of this kind")
    return _parts(proofs[kind], 1)[0]


def _parts(value: Any, count: int) -> list[Any]:
    if not isinstance(value, list | tuple) or len(value) != count:
        raise Mismatch(f"no list of {count}")
    return list(value)


def _values(value: Any) -> list[bytes]:
    if not isinstance(value, list | tuple) or len(value) > 63:
        raise Mismatch("no list of nodes")
    if not all(isinstance(node, bytes) and len(node) == 32 for node in value):
        raise Mismatch("a node has 32 bytes")
    return list(value)


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise Mismatch("no byte string")
    return value


def _is_map(value: Any) -> bool:
    return isinstance(value, dict | cbor2.frozendict)


def _all_zero(data: bytes, what: str) -> None:
    if any(data):
        raise Mismatch(f"{what}: bytes that should be zero are not")


def _same(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise Mismatch(f"{what}: {found!r} is not {expected!r}")
