"""Small public logs for the tests of this folder: events, their leaves, massifs and seals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.dialects.datatrails import wire
from tallystick.dialects.datatrails.merklelog import massif, mmr, seal
from tallystick.dialects.datatrails.merklelog.leaf import Leaf
from tallystick.dialects.datatrails.merklelog.massif import Massif
from tallystick.dialects.datatrails.publiclog import leaves
from tallystick.events import ids
from tallystick.events.event import Event, Op, Resource, View, as_recorded

TENANT = UUID("112758ce-a8cb-4924-8df8-fcba1e31f8b0")
START_MS = 1_736_421_833_577
APP = Resource("application", "2ef471c2-f997-4503-94c8-60b5c929a3c3")

# A fixed key: which one it is does not matter, that it is the same in every run does.
KEY = ec.derive_private_key(
    int.from_bytes(sha256(b"sealing key of the tests").digest()), ec.SECP384R1()
)
PUBLIC_KEY = KEY.public_key()
SEALER = seal.Sealer(KEY, "https://log.example", "v1/mmrs/tenant/112758ce")


def event(index: int, **members: Any) -> Event:
    """Return an event as the ledger would decode it; DataTrails wrote it unless told otherwise."""
    recorded_ms = START_MS + index
    defaults: dict[str, Any] = {
        "tenant": "acme",
        "index": index,
        "id": ids.event_id(recorded_ms, index, index),
        "kind": "Safety Conformance",
        "op": Op.RECORD,
        "occurred_ms": recorded_ms,
        "recorded_ms": recorded_ms,
        "dialect": "datatrails",
        "actor": APP,
        "trails": ("Clouseau",),
        "data": {"inspector": "Clouseau", "Safety Rating": str(index)},
    }
    return Event(**defaults | members)


def view(of: Event) -> View:
    """Return the view of an event that was never revised."""
    salts = None if of.erased else sha256(f"salts {of.index}".encode()).digest()
    return as_recorded(of, salts)


def entry_hash(index: int) -> bytes:
    """Return what stands for the RFC 6962 leaf hash of an entry."""
    return sha256(f"entry {index}".encode()).digest()


def leaf(of: Event) -> Leaf:
    """Return the leaf of an entry."""
    salts = view(of).salt_hash
    return leaves.leaf_of(of, salt_hash=salts, entry_hash=entry_hash(of.index), log_id=TENANT)


@dataclass
class PublicLog:
    """A log as its readers find it."""

    height: int
    views: list[View]
    massifs: list[Massif]

    @property
    def size(self) -> int:
        """Its nodes."""
        return mmr.size_of(len(self.views))

    @property
    def files(self) -> list[bytes]:
        """Its massif files."""
        return [one.data for one in self.massifs]

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """Its peaks."""
        return self.massifs[-1].peaks

    def node(self, index: int) -> bytes:
        """Return a node, read from the file and offset where arithmetic says it stands."""
        number, offset = massif.locate(index, self.height)
        return self.massifs[number].data[offset : offset + mmr.HASH_BYTES]

    def answers(self) -> list[dict[str, Any]]:
        """Return its ordinary events as the API shows them."""
        return [
            wire.from_event(one, tenant_uuid=TENANT, status=wire.Status.CONFIRMED)
            for one in self.views
            if one.first.op is Op.RECORD
        ]

    def seal(self) -> bytes:
        """Return a seal over all of it."""
        state = seal.SealState(self.size, self.massifs[-1].idtimestamp, START_MS)
        return seal.make_seal(state, self.peaks, SEALER)


def public_log(events: Sequence[Event], height: int) -> PublicLog:
    """Return the public log of `events`."""
    massifs: list[Massif] = []
    stack: tuple[bytes, ...] = ()
    for number in range(massif.massif_of_leaf(max(len(events) - 1, 0), height) + 1):
        span = slice(massif.first_leaf(number, height), massif.first_leaf(number + 1, height))
        massifs.append(massif.build(number, height, stack, [leaf(one) for one in events[span]]))
        stack = massifs[-1].peaks
    return PublicLog(height, [view(one) for one in events], massifs)
