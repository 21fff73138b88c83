"""Erasing again, after a restore, what was erased since the backup was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tallystick.errors import Conflict, UnderHold
from tallystick.events import entry, erased_sections
from tallystick.events.event import Draft, Event, Op, Resource
from tallystick.ledger.blob_erasure import erase_blob
from tallystick.ledger.blobs import Blobs
from tallystick.ledger.erasure import forgotten_claims
from tallystick.ledger.erasures import BATCH_ENTRIES, account_deletion
from tallystick.ledger.ledger import Ledger
from tallystick.log.commit_plan import Item
from tallystick.log.erasure_list import ErasureLine, unerased
from tallystick.log.views import events_of
from tallystick.store.base import Erasure

_OPERATOR = Resource("operator", "restore")


def erase_again(ledger: Ledger, blobs: Blobs, lines: Iterable[ErasureLine]) -> int:
    """Erase what a list says was erased and what is there; return how many entries that were.

    Raises: Conflict when a hold of the restored state covers some of it.
    """
    total = 0
    for tenant, found in unerased(ledger.store, lines).items():
        indexes = list(found)
        for at in range(0, len(indexes), BATCH_ENTRIES):
            part = indexes[at : at + BATCH_ENTRIES]
            try:
                _erase_again(ledger, blobs, tenant, {index: found[index] for index in part})
            except UnderHold as error:
                raise Conflict(
                    f"{len(indexes) - at} entries of {tenant!r} that were erased are back: the"
                    f" legal hold {error.hold!r} of the backup covers them",
                    hint="lift the hold, then run: tallystick restore --accept NAME",
                ) from error
            total += len(part)
    return total


def _erase_again(
    ledger: Ledger, blobs: Blobs, tenant: str, found: Mapping[int, Sequence[str]]
) -> None:
    store = ledger.store
    for event in events_of(tenant, store.rows_at(tenant, found).values()):
        _erase_beside(ledger, blobs, event)
    rows = store.rows_at(tenant, found)
    erasures = tuple(
        Erasure(index, sections)
        for index, names in sorted(found.items())
        if (sections := _present(rows[index].sections, names))
    )
    if not erasures:
        return
    head = store.log_head(tenant)
    draft = Draft(
        kind="erase",
        op=Op.ERASE,
        actor=_OPERATOR,
        target=None if head is None else Resource("log", head.origin),
        data={"restored": True, **erased_sections.encode(erasures)},
    )
    claims = forgotten_claims(store, tenant, erasures)
    ledger.append_all(tenant, [Item(entry.prepare(draft), (), erasures, forgotten=claims)])


def _erase_beside(ledger: Ledger, blobs: Blobs, event: Event) -> None:
    """Erase the blob or the account that an entry made, when it is back."""
    target = event.target
    if target is None:
        return
    if event.kind == "blob.stored" and blobs.get(event.tenant, target.id) is not None:
        erase_blob(ledger, blobs, event.tenant, target.id, dialect=event.dialect, actor=_OPERATOR)
    elif event.kind == "user.created":
        item = account_deletion(ledger.store, event.tenant, target.id)
        if item is not None:
            ledger.append_all(event.tenant, [item])


def _present(sections: entry.Sections, names: Sequence[str]) -> tuple[str, ...]:
    there = zip(entry.SECTIONS, sections, strict=True)
    return tuple(name for name, value in there if value is not None and name in names)
