"""Proving the stored head of a log before anything is signed on top of it.

A head that was damaged, set back or written by somebody else would otherwise be extended, and the
signature would vouch for a tree that the leaves do not give. What is proven: our key signed the
head, its frontier gives its root, the hashes at the right edge of the stored tree give that
frontier, the last entries hash to the last leaves, and nothing stands behind the end. `fsck`, which
reads everything, proves what stands further left.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import NoReturn, Protocol

from tallystick.errors import StoreCorrupt, VerificationError
from tallystick.events import entry
from tallystick.json_text import NOT_JSON
from tallystick.log.keys import LogKey
from tallystick.store.base import LogHead, Writer
from tallystick.tlog.checkpoint import open_checkpoint
from tallystick.tlog.frontier import Frontier
from tallystick.tlog.hashing import complete_root, leaf_hash
from tallystick.tlog.note import Verifier
from tallystick.tlog.tile import TILE_WIDTH, split_hashes, tile_root

_GROWTH_MAX = 4_096
"""Up to so many leaves are read to see that a log continues what was proven before."""


class TreeReads(Protocol):
    """What is read of a log: a store, or an open transaction of one."""

    def entries(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the entry bytes of [start, stop)."""

    def leaves(self, tenant: str, start: int, stop: int) -> list[bytes]:
        """Return the leaf hashes of [start, stop)."""

    def tile(self, tenant: str, level: int, number: int) -> bytes | None:
        """Return the hashes of a complete tile."""

    def tile_roots(self, tenant: str, level: int, start: int, stop: int) -> list[bytes]:
        """Return the roots of the complete tiles [start, stop) of a level."""


Precondition = Callable[[TreeReads, str, LogHead | None], None]
"""Raises StoreCorrupt when a log, None if there is none yet, must not be written to."""


class ProvenHeads:
    """The heads that one writer has proven or written; only the thread with a tenant moves its."""

    def __init__(self, key: LogKey, precondition: Precondition) -> None:
        self._key = key
        self._precondition = precondition
        self._known: dict[str, LogHead] = {}

    def known(self, tenant: str) -> LogHead | None:
        """Return the head that was last proven or written."""
        return self._known.get(tenant)

    def written(self, head: LogHead) -> None:
        """Note a head that was committed on top of a proven one."""
        self._known[head.tenant] = head

    def proven(self, writer: Writer, tenant: str) -> LogHead | None:
        """Return the head of a log, held by the transaction and proven; None if there is no log.

        Raises: StoreCorrupt when it must not be signed on top of.
        Cost: nothing more than reading it while nobody else writes to the log.
        """
        head = writer.head(tenant)
        known = self._known.get(tenant)
        if known is None:
            self._precondition(writer, tenant, head)
        if head is None:
            if known is not None:
                raise damaged_log(tenant, f"it had {known.size:,} entries and is gone")
        elif head != known and not is_being_copied(head):
            prove_head(writer, head, self._key.verifier(head.origin, head.key_id), known)
            self._known[tenant] = head
        return head


def is_being_copied(head: LogHead) -> bool:
    """Tell whether a log is not whole yet: until then it has neither key nor checkpoint."""
    return not head.key_id and not head.checkpoint


def prove_head(
    reads: TreeReads, head: LogHead, verifier: Verifier, since: LogHead | None = None
) -> None:
    """See that `head` may be signed on top of; `since` is the head that was proven before.

    Raises: StoreCorrupt that names what disagrees.
    Cost: about 1 ms; for a log that was proven before, one read of the leaves that were added.
    """
    frontier = _prove_signed(head, verifier)
    if since is not None and since.size < head.size <= since.size + _GROWTH_MAX:
        _prove_growth(reads, head, since)
        return
    if since is not None and since.size > head.size:
        _differs(head, f"it had {since.size:,} entries and has {head.size:,} now: it was set back")
    if stored_frontier(reads, head.tenant, head.size).peaks != frontier.peaks:
        _differs(head, "its frontier is not the one that its last leaves and tiles give")
    if since is not None and root_at(reads, head.tenant, since.size) != since.root:
        _differs(head, f"its first {since.size:,} entries are not the ones that were signed")
    _prove_end(reads, head)


def stored_frontier(reads: TreeReads, tenant: str, size: int) -> Frontier:
    """Return the frontier that stored leaves and tiles give for the first `size` entries.

    Where something is missing, the frontier has fewer peaks than the size demands.
    """
    peaks: list[bytes] = []
    for level in count():
        width = size >> 8 * level
        if not width:
            break
        start = width - width % TILE_WIDTH
        if level == 0:
            hashes = reads.leaves(tenant, start, width)
        else:
            hashes = reads.tile_roots(tenant, level - 1, start, width)
        if len(hashes) == width - start:
            # Of the open tile: one complete subtree for every bit of its width, largest first.
            peaks = _peaks_of(hashes) + peaks
    return Frontier(size, peaks)


def root_at(reads: TreeReads, tenant: str, size: int) -> bytes:
    """Return the root that stored leaves and tiles give for the first `size` entries."""
    return stored_frontier(reads, tenant, size).root()


def _peaks_of(hashes: list[bytes]) -> list[bytes]:
    peaks: list[bytes] = []
    start = 0
    for bit in reversed(range(TILE_WIDTH.bit_length())):
        if len(hashes) >> bit & 1:
            peaks.append(complete_root(hashes[start : start + (1 << bit)]))
            start += 1 << bit
    return peaks


def _prove_signed(head: LogHead, verifier: Verifier) -> Frontier:
    """See that frontier, root, size, origin and the signed checkpoint say the same."""
    if head.key_id != verifier.key_id:
        _differs(head, "it is signed with another key than log.key holds")
    try:
        frontier = Frontier.from_bytes(head.frontier)
        checkpoint = open_checkpoint(head.checkpoint, [verifier], head.origin)
    except StoreCorrupt as error:
        _differs(head, error.message)
    except VerificationError as error:
        _differs(head, f"its checkpoint does not verify: {error.message}")
    if frontier.size != head.size or frontier.root() != head.root:
        _differs(head, "its frontier does not give its size and root")
    if (checkpoint.size, checkpoint.root) != (head.size, head.root):
        _differs(head, "its checkpoint states another size or root")
    return frontier


def _prove_growth(reads: TreeReads, head: LogHead, since: LogHead) -> None:
    """See that the head is that of a log proven before, with the leaves that were added."""
    frontier = Frontier.from_bytes(since.frontier)
    frontier.extend(reads.leaves(head.tenant, since.size, head.size))
    if frontier.to_bytes() != head.frontier:
        _differs(head, f"it does not continue the log of {since.size:,} entries that was signed")
    last = reads.entries(head.tenant, head.size - 1, head.size)
    if [_recorded_ms(each) for each in last] != [head.recorded_ms]:
        _differs(head, "its time is not that of its last entry")


def _prove_end(reads: TreeReads, head: LogHead) -> None:
    """See that the last entries are those of the last leaves, and that nothing follows them."""
    tenant, size = head.tenant, head.size
    start = max(0, (size - 1) - (size - 1) % TILE_WIDTH)
    entries = reads.entries(tenant, start, size + 1)
    leaves = reads.leaves(tenant, start, size + 1)
    if len(entries) > size - start:
        _differs(head, f"entry {size} stands behind the end of the log")
    if len(entries) < size - start or list(map(leaf_hash, entries)) != leaves:
        _differs(head, "its last entries are not the ones that its last leaves are made of")
    if entries and _recorded_ms(entries[-1]) != head.recorded_ms:
        _differs(head, "its time is not that of its last entry")
    for level in count():
        full = size >> 8 * (level + 1)
        _prove_last_tile(reads, head, level, full)
        if not full:
            return


def _prove_last_tile(reads: TreeReads, head: LogHead, level: int, full: int) -> None:
    """See that the last complete tile of a level has its root, and that no tile follows it."""
    roots = reads.tile_roots(head.tenant, level, max(0, full - 1), full + 1)
    if len(roots) > min(full, 1):
        _differs(head, f"tile {level}/{full} stands behind the end of the log")
    if not full:
        return
    hashes = reads.tile(head.tenant, level, full - 1)
    whole = hashes is not None and len(hashes) == 32 * TILE_WIDTH
    if hashes is None or not whole or [tile_root(split_hashes(hashes))] != roots:
        _differs(head, f"tile {level}/{full - 1} is not the one that its root is of")


def _recorded_ms(stored: bytes) -> int | None:
    try:
        return entry.recorded_ms_of(stored)
    except (StoreCorrupt, *NOT_JSON):
        return None


def _differs(head: LogHead, what: str) -> NoReturn:
    raise damaged_log(head.tenant, what)


def damaged_log(tenant: str, what: str) -> StoreCorrupt:
    """Return the error for a log that must not be written to as it is."""
    return StoreCorrupt(
        f"nothing is written to the log of {tenant!r}: {what}",
        hint="reads go on; run tallystick fsck, then restore a backup",
    )
