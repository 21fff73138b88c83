"""What a store promises, in prose and as a protocol.

Durability contract, the same for every implementation:

* `transaction` is atomic. When its block ends without an exception, everything written in it is on
  disk and will be there after any crash. When it ends with an exception, either nothing of it is
  stored or (the commit's answer got lost) all of it is: the head, read again, says which.
* A tenant's log is extended by one transaction at a time. `Writer.head` is the lock: from its
  return to the end of the block nobody else extends that tenant.
* Rows of the log are never changed, with one exception: an erasure sets section columns to NULL
  and leaves nothing of the old bytes in the files of the store.
* Reads see committed data only; a reader that has seen index i sees every lower index.

A store knows nothing of meaning: no clock, no signatures, no JSON. It shares no base class with
its sibling, only the contract suite in `tests/store`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from hashlib import blake2b
from typing import NamedTuple, Protocol

from tallystick.errors import PreconditionFailed
from tallystick.events.entry import Prepared, Sealed, Sections
from tallystick.events.event import HeadSlot

SCHEMA_VERSION = 1


class LogHead(NamedTuple):
    """The state of one tenant's log after its latest commit."""

    tenant: str
    origin: str
    key_id: bytes
    size: int
    frontier: bytes
    root: bytes
    checkpoint: str
    recorded_ms: int


class LogRow(NamedTuple):
    """One entry as stored; each present section is its salt followed by its bytes."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    entry: bytes
    leaf: bytes
    sections: Sections

    @property
    def section_bytes(self) -> int:
        """How long the sections are together."""
        return sum([len(section) for section in self.sections if section is not None])


class Tile(NamedTuple):
    """A complete tile: 256 hashes side by side, and the root over them."""

    level: int
    number: int
    hashes: bytes
    root: bytes


class ResourceHead(NamedTuple):
    """Where the latest entry of a resource stands; `live` is False once it was deleted."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    live: bool


class Claim(NamedTuple):
    """A client-chosen id or idempotency key, with the digest of what came with it."""

    claim: bytes
    digest: bytes
    index: int  # type: ignore[assignment]  # a tuple has a method of that name


class IdentityWrite(NamedTuple):
    """A change to an identity record; `doc` None deletes it.

    `lookups` are (namespace, text) pairs, unique in the whole store, that find the record. What is
    written was made from the document `replaces`, and is refused when another one is stored;
    without it, the record must not exist yet.
    """

    tenant: str
    kind: str
    id: str
    doc: bytes | None
    lookups: tuple[tuple[str, str], ...] = ()
    replaces: bytes | None = None


class IdentityRow(NamedTuple):
    """An identity record as stored."""

    tenant: str
    kind: str
    id: str
    doc: bytes


class Erasure(NamedTuple):
    """Sections of one entry whose salt and bytes are to be destroyed."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    sections: tuple[str, ...]


class TenantCommit(NamedTuple):
    """Everything one transaction writes for one tenant.

    Shape: `rows` are contiguous from `old_size`; `prepared` are the drafts they were sealed from,
    in the same order, for stores that write their lists in the same transaction.
    """

    old_size: int
    head: LogHead
    rows: Sequence[Sealed]
    prepared: Sequence[Prepared]
    tiles: Sequence[Tile] = ()
    heads: Sequence[tuple[bytes, ResourceHead]] = ()
    claims: Sequence[Claim] = ()
    identity: Sequence[IdentityWrite] = ()
    erasures: Sequence[Erasure] = ()
    forgotten: Sequence[bytes] = ()
    """Claims whose digests are to be destroyed: nothing that comes again is the same then."""


def head_key(slot: HeadSlot, type: str, id: str) -> bytes:
    """Return the key of one of a resource's heads: 16 bytes, the same for the same resource."""
    kind = type.encode("utf-8", "surrogatepass")
    digest = blake2b(digest_size=16)
    digest.update(b"%d:%d:" % (slot, len(kind)))
    digest.update(kind)
    digest.update(id.encode("utf-8", "surrogatepass"))
    return digest.digest()


HOLD_HEAD = head_key(HeadSlot.HOLD, "hold", "")
"""The head that every act on a legal hold moves."""


def changed_meanwhile(write: IdentityWrite) -> PreconditionFailed:
    """Return the error for an identity record that is not the one to be replaced."""
    return PreconditionFailed(
        f"{write.kind} {write.id!r} was changed in the meantime", hint="read it again, then retry"
    )


class Writer(Protocol):
    """One open transaction."""

    def head(self, tenant: str) -> LogHead | None:
        """Return the head of a tenant's log and keep others from extending it; None: no log."""

    def now_ms(self) -> int | None:
        """Return what time it was where the log is kept when its head was read.

        None where that is this process, which has one clock.
        """

    def resource_heads(self, tenant: str, keys: Sequence[bytes]) -> dict[bytes, ResourceHead]:
        """Return the heads that exist among `keys`."""

    def claims(self, tenant: str, claims: Sequence[bytes]) -> dict[bytes, Claim]:
        """Return the claims that exist among `claims`."""

    def rows_at(self, tenant: str, indexes: Iterable[int]) -> dict[int, LogRow]:
        """Return the entries at `indexes` that exist."""

    def leaves(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the leaf hashes of [start, stop)."""

    def entries(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the entry bytes of [start, stop), without their sections."""

    def tile(self, tenant: str, level: int, number: int) -> bytes | None:
        """Return the hashes of a complete tile."""

    def tile_roots(self, tenant: str, level: int, start: int, stop: int) -> list[bytes]:
        """Return the roots of the complete tiles [start, stop) of a level."""

    def append(self, commit: TenantCommit) -> None:
        """Write one tenant's share of the transaction.

        Raises: Conflict when an identity record or lookup belongs to somebody else;
        PreconditionFailed when an identity record is not the one that is to be replaced.
        """


class Store(Protocol):
    """The log of record and identity of all tenants."""

    name: str
    """What metrics and messages call it: `sqlite`, `postgres`."""

    many_tenants: bool
    """Whether one transaction may hold several tenants (one flush for all) or exactly one."""

    def transaction(self) -> AbstractContextManager[Writer]:
        """Open a transaction; leaving the block commits it.

        Raises: StoreBusy, StoreFailed, StoreCorrupt.
        """

    def try_write(self) -> None:
        """Let the store write something of no meaning, as durably as a commit.

        Raises: StoreBusy, StoreFailed.
        """

    def now_ms(self) -> int | None:
        """Return what time it is where the logs are kept; None where that is this process.

        Raises: StoreBusy.
        """

    def nodes_away(self) -> list[str]:
        """Return the machines that keep logs of some tenants and do not answer; none elsewhere.

        Raises: StoreBusy.
        """

    def loaded(self) -> None:
        """Let the store learn what its tables hold, after very much was written to them."""

    def log_head(self, tenant: str) -> LogHead | None:
        """Return the committed head of a tenant's log."""

    def log_heads(self) -> list[LogHead]:
        """Return the committed heads of all logs, by tenant."""

    def rows(self, tenant: str, start: int, stop: int) -> list[LogRow]:
        """Return the entries [start, stop) that exist, in order."""

    def rows_at(self, tenant: str, indexes: Iterable[int]) -> dict[int, LogRow]:
        """Return the entries at `indexes` that exist."""

    def rows_within(self, tenant: str, indexes: Sequence[int], max_bytes: int) -> dict[int, LogRow]:
        """Return the entries at the first of `indexes`, in that order.

        They are as many as have sections of `max_bytes` together, and one at least.
        """

    def entries(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the entry bytes of [start, stop), without their sections."""

    def system_indexes(self, tenant: str, start: int, stop: int) -> list[int]:
        """Return where entries of op `system` stand in [start, stop), in order.

        Cost: one read of an index that holds nothing else, however many others the log has.
        """

    def act_indexes(self, tenant: str, start: int, stop: int) -> list[int]:
        """Return where entries of op `system` stand in [start, stop) that do more than report.

        Those of the kind `stream.delivered` and of kinds that begin with `access.` only report.
        Cost: as that of `system_indexes`.
        """

    def leaves(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the leaf hashes of [start, stop)."""

    def tile(self, tenant: str, level: int, number: int) -> bytes | None:
        """Return the hashes of a complete tile."""

    def tile_roots(self, tenant: str, level: int, start: int, stop: int) -> list[bytes]:
        """Return the roots of the complete tiles [start, stop) of a level."""

    def resource_heads(self, tenant: str, keys: Sequence[bytes]) -> dict[bytes, ResourceHead]:
        """Return the committed heads that exist among `keys`."""

    def claims(self, tenant: str, claims: Sequence[bytes]) -> dict[bytes, Claim]:
        """Return the committed claims that exist among `claims`."""

    def claims_of(self, tenant: str, indexes: Iterable[int]) -> list[Claim]:
        """Return the committed claims that lead to entries at `indexes`.

        Cost: one look at all claims of the log.
        """

    def identity(self, tenant: str, kind: str, id: str) -> IdentityRow | None:
        """Return one identity record."""

    def identities(self, tenant: str | None, kind: str) -> list[IdentityRow]:
        """Return the records of a kind, of one tenant or (None) of all, by tenant and id."""

    def find_identity(self, namespace: str, text: str) -> IdentityRow | None:
        """Return the record that a lookup leads to."""

    def scan_heads(self, tenant: str, after: bytes, limit: int) -> list[tuple[bytes, ResourceHead]]:
        """Return the next `limit` heads of a tenant whose keys are greater than `after`."""

    def scan_claims(self, tenant: str, after: bytes, limit: int) -> list[Claim]:
        """Return the next `limit` claims of a tenant that are greater than `after`."""

    def scan_identity(self, after: tuple[str, str, str] | None, limit: int) -> list[IdentityWrite]:
        """Return the next `limit` records, with their lookups, by tenant, kind and id."""

    def settle_erased(self) -> None:
        """Leave nothing of erased bytes in files of the store, as far as others let it at once.

        What others hold on to is seen to later. Cost: may wait for a second; commits go on.
        """

    def close(self) -> None:
        """Release files and connections; idempotent."""
