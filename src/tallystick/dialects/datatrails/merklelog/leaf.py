"""What one leaf of the DataTrails log is: its value and its entry in a massif's index.

Bytes in, bytes out; which entry of a tenant's log becomes which leaf is decided in `leaves`, one
package up. Source: wire specification of DataTrails 4.1, 4.2, 4.3 and 4.5.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

import msgspec

from tallystick.dialects.datatrails.merklelog import gojson

VALUE_BYTES = 32
KEY_BYTES = 32
EXTRA_BYTES = 24
HASH_SCHEMA = "v0"


class Rule(enum.IntEnum):
    """How a leaf's value is made: the first of its extra bytes."""

    EVENT = 0x01
    """The vendor's rule for asset-free events."""
    ENTRY = 0xFF
    """The RFC 6962 leaf hash of the same entry in the tenant's own log; not a vendor's value."""


class _Content(msgspec.Struct, omit_defaults=True):
    attributes: Mapping[str, gojson.Value] | None
    trails: Sequence[str] | None
    event_type: str | None = None


class Leaf(NamedTuple):
    """One leaf with everything that a massif stores of it."""

    value: bytes
    """32 bytes: the node of the mountain range."""
    key: bytes
    """32 bytes: the index key, by which a holder of the event's identity finds it."""
    extra: bytes
    """24 bytes: the rule, the log's id, zeros."""
    idtimestamp: bytes
    """9 bytes: the epoch, then 8 bytes that grow along the log."""


def serialized(
    attributes: Mapping[str, gojson.Value] | None,
    trails: Sequence[str] | None,
    event_type: str | None,
) -> bytes:
    """Return the bytes of an event that its leaf commits to: a bencode string of Go JSON.

    Members stand in this order, absent ones as `null`; an empty event type is left out.
    Raises: Malformed for lone surrogates.
    """
    content = gojson.encode(_Content(attributes, trails, event_type or None))
    return b"%d:%b" % (len(content), content)


def content_hash(serialized_event: bytes) -> str:
    """Return the `content_hash` of hash schema v0: SHA-256 of `serialized`, in hex."""
    return sha256(serialized_event).hexdigest()


def extra_bytes(rule: Rule, log_id: UUID) -> bytes:
    """Return the 24 extra bytes that tell a reader how to check a leaf."""
    return bytes((rule,)) + log_id.bytes + bytes(7)


def trie_key(log_id: bytes, application_id: str) -> bytes:
    """Return the index key of an event: `log_id` is what the log's kind calls it, in bytes."""
    return sha256(b"\x00" + log_id + application_id.encode()).digest()


def event_leaf(serialized_event: bytes, *, identity: str, idtimestamp: bytes, log_id: UUID) -> Leaf:
    """Return the leaf of an event by the vendor's rule."""
    extra = extra_bytes(Rule.EVENT, log_id)
    value = sha256(b"\x00" + extra + idtimestamp[1:] + serialized_event).digest()
    return Leaf(value, trie_key(log_id.bytes, identity), extra, idtimestamp)


def entry_leaf(leaf_hash: bytes, *, identity: str, idtimestamp: bytes, log_id: UUID) -> Leaf:
    """Return the leaf of an entry that has no rendering: its RFC 6962 leaf hash as it is."""
    return Leaf(
        leaf_hash,
        trie_key(log_id.bytes, identity),
        extra_bytes(Rule.ENTRY, log_id),
        idtimestamp,
    )
