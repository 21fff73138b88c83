"""Guessing an erased phone number from what an attacker can have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tallystick.events.event import Draft, HeadSlot, Resource
from tallystick.identity import acts
from tallystick.ledger.person import PersonQuery
from tallystick.log.idempotency import claim_event, claim_key
from tallystick.node.node import Node, open_node
from tallystick.settings import Settings
from tallystick.store.base import head_key

PREFIX, RIGHT = "+49171555", "+491715550481"


def guesses(number: str) -> Iterator[tuple[str, bytes]]:
    """Yield the digests that the code could have made of a number alone."""
    spelt = {"text": number.encode(), "json": msgspec.json.encode(number)}
    for name, value in (
        ("to", {"to": number}), ("phone", {"phone": number}), ("id", {"id": number}),
        ("person", {"type": "phone", "id": number}),
    ):  # fmt: skip
        spelt[name] = msgspec.json.encode(value, order="sorted")
    spelt["reference"] = f"phone:{number}".encode()
    spelt["line 2"] = number.encode() + b"\n2"
    for name, text in spelt.items():
        for prefix in (b"", b"\0", b"\1"):
            yield f"sha256 of {prefix!r}+{name}", hashlib.sha256(prefix + text).digest()
        yield f"blake2b of {name}", hashlib.blake2b(text, digest_size=16).digest()
    for slot in HeadSlot:
        for type in ("phone", "user", "event"):
            yield f"head {slot.name} of {type}", head_key(slot, type, number)


def erased(folder: Path) -> Node:
    """Return a node whose log knew a number, as id, data and Idempotency-Key, and erased it."""
    node = open_node(folder / "data", Settings(), followers=False)
    _, act = acts.create_tenant("acme", server_name="x", now_ms=node.clock.now_ms())
    node.ledger.administer("acme", act)
    who = Resource("phone", RIGHT)
    call = Draft(kind="call", actor=who, target=who, scopes=(who,), data={"to": RIGHT})
    claim_event(call, "key-1", {"to": RIGHT})
    text = Draft(kind="text", actor=who, data={"to": RIGHT})
    claim_key(text, RIGHT, {"to": RIGHT})
    for draft in (call, text):
        node.ledger.append("acme", [draft])
    query = PersonQuery(subject=f"phone:{RIGHT}", paths=(f"data.to={RIGHT}",))
    plan = node.erasures.plan("acme", query)
    by = Resource("user", "dpo")
    made = node.erasures.request("acme", query, reason="letter", by=by, plan=plan)
    assert node.erasures.run("acme", made.id).state == "done"
    # The request itself names the person, until it is erased in turn.
    again = PersonQuery(subject="erasure:x", paths=(f"data.subject=phone:{RIGHT}",))
    plan = node.erasures.plan("acme", again)
    made = node.erasures.request("acme", again, reason="second", by=by, plan=plan)
    node.erasures.run("acme", made.id)
    return node


def found(contents: list[bytes]) -> set[tuple[str, str]]:
    """Return which of 10,000 numbers, and how, can be told from some contents."""
    whole = b"\n".join(contents)
    grams = {n: {whole[i : i + n] for i in range(len(whole))} for n in (16, 32)}
    hexes = whole.lower()
    hex_grams = {n: {hexes[i : i + n] for i in range(len(hexes))} for n in (32, 64)}
    hits: set[tuple[str, str]] = set()
    for n in range(10_000):
        number = f"{PREFIX}{n:04}"
        for how, digest in guesses(number):
            if digest in grams[len(digest)]:
                hits.add((number, how))
            if digest.hex().encode() in hex_grams[2 * len(digest)]:
                hits.add((number, how))
    return hits


def public(node: Node) -> list[bytes]:
    """Return what anybody may be given: entries, leaves, tiles, checkpoint, certificate, list."""
    proofs = node.ledger.proofs
    size = proofs.head("acme").size
    entries = list(node.store.entries("acme", 0, size))
    done = [each for each in node.erasures.all("acme") if each.state == "done"]
    return [
        *entries,
        *(hashlib.sha256(b"\0" + each).digest() for each in entries),
        *(msgspec.json.encode(node.erasures.certificate("acme", each.id)) for each in done),
        *(path.read_bytes() for path in node.folder.rglob("erasures.jsonl")),
    ]


def test_erased_number_can_be_guessed_from_nothing_public(tmp_path: Path) -> None:
    node = erased(tmp_path)
    contents = public(node)
    node.close()
    assert found(contents) == set()
    # The attack itself works: each digest is noticed where it stands, in bytes and in hex.
    known = dict(guesses(RIGHT))
    for form in (list(known.values()), [each.hex().encode() for each in known.values()]):
        assert found([*contents, *form]) == {(RIGHT, how) for how in known}


def test_database_confirms_a_guess_at_an_id_and_at_an_idempotency_key_only(tmp_path: Path) -> None:
    node = erased(tmp_path)
    folder = node.folder
    node.close()
    kept = {
        how: path.name
        for path in folder.rglob("*")
        if path.is_file()
        for how, digest in guesses(RIGHT)
        if digest in (content := path.read_bytes()) or digest.hex().encode() in content
    }
    assert kept == {"head EVENT of phone": "ledger.db", "sha256 of b''+text": "ledger.db"}
