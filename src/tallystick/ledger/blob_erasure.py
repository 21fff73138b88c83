"""Erasing a blob: its record, what its entry says of the content, and the content itself.

Events that name the blob stay as they are. A legal hold on one of them, or on the entry that stored
the blob, keeps the blob.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial

from tallystick.errors import NotFound, UnderHold
from tallystick.events import entry
from tallystick.events.event import Draft, Op, Resource
from tallystick.ledger.blobs import Blobs
from tallystick.ledger.erasure import erasure_item
from tallystick.ledger.ledger import Ledger
from tallystick.log.commit_plan import Item
from tallystick.log.sequencer import Accepted
from tallystick.log.views import events_of
from tallystick.store.base import IdentityWrite, Store
from tallystick.store.slices import row_slices

_ROWS = 256


def erase_blob(
    ledger: Ledger, blobs: Blobs, tenant: str, id: str, *, dialect: str, actor: Resource | None
) -> Accepted:
    """Erase a blob and return the entry that says so.

    Raises: NotFound; UnderHold; PreconditionFailed when somebody else was faster.
    Cost: one read of the entries of op `system`; with holds, one of the log since the upload.
    """
    row = ledger.store.identity(tenant, "blob", id)
    blob = None if row is None else blobs.get(tenant, id)
    if row is None or blob is None:
        raise NotFound(f"no such blob {id!r}")
    stored = list(_uploads(ledger.store, tenant, id))
    draft = Draft(
        kind="blob.erased",
        op=Op.SYSTEM,
        actor=actor,
        target=Resource("blob", id),
        dialect=dialect,
    )
    gone = IdentityWrite(tenant, "blob", id, None, replaces=row.doc)
    first = min(stored, default=0)
    touched = partial(_naming, ledger.store, tenant, id, first)
    items = [Item(entry.prepare(draft), (gone,), touched=touched)]
    if stored:
        # The target stays: it says which record the entry made.
        items.append(
            erasure_item(
                ledger.store, tenant, stored,
                subject=f"blob:{id}", actor=actor, dialect=dialect, sections=("data",),
            )
        )  # fmt: skip
    return blobs.forget(blob, lambda: ledger.append_all(tenant, items)[0])


def _uploads(store: Store, tenant: str, id: str) -> Iterator[int]:
    """Yield where uploads under an id stand, of those that still say what was uploaded."""
    head = store.log_head(tenant)
    indexes = store.system_indexes(tenant, 0, 0 if head is None else head.size)
    for at in range(0, len(indexes), _ROWS):
        rows = store.rows_at(tenant, indexes[at : at + _ROWS])
        for event in events_of(tenant, rows.values()):
            is_upload = event.kind == "blob.stored" and event.target == Resource("blob", id)
            if is_upload and "data" not in event.erased:
                yield event.index


def _naming(store: Store, tenant: str, id: str, start: int) -> Iterator[int]:
    """Yield the entries since `start` that name a blob anywhere in their content."""
    head = store.log_head(tenant)
    name = id.lower().encode()
    for rows in row_slices(store, tenant, start, 0 if head is None else head.size):
        for row in rows:
            if any(section is not None and name in section.lower() for section in row.sections):
                yield row.index


def named_blobs(store: Store, tenant: str, ids: Collection[str]) -> frozenset[str]:
    """Return those of some blobs that an entry names in its data.

    Cost: one read of the log.
    """
    left = {id.lower().encode(): id for id in ids}
    found: set[str] = set()
    head = store.log_head(tenant)
    for rows in row_slices(store, tenant, 0, 0 if head is None else head.size):
        for row in rows:
            content = b"".join(each.lower() for each in row.sections[3:] if each is not None)
            found.update(id for name, id in left.items() if b"blobs/" + name in content)
    return frozenset(found)


def erase_unnamed(
    ledger: Ledger, blobs: Blobs, tenant: str, ids: Collection[str], *, actor: Resource
) -> dict[str, str]:
    """Erase blobs that no entry names any more; return those that a legal hold keeps, and which.

    Cost: one read of the log if one of the blobs is there, and one for each that is erased.
    """
    there = sorted(id for id in ids if blobs.get(tenant, id) is not None)
    named = named_blobs(ledger.store, tenant, there) if there else frozenset()
    kept: dict[str, str] = {}
    for id in there:
        if id in named:
            continue
        try:
            erase_blob(ledger, blobs, tenant, id, dialect="native", actor=actor)
        except UnderHold as error:
            kept[id] = error.hold or ""
    return kept
