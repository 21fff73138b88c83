"""What an erasure destroys, and the entry that tells of it.

An event's revisions go with it: each holds content of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from tallystick.errors import NotFound
from tallystick.events import entry, erased_sections
from tallystick.events.entry import SECTIONS
from tallystick.events.event import Draft, Event, HeadSlot, Op, Resource
from tallystick.log.commit_plan import Item
from tallystick.log.views import events_of
from tallystick.store.base import Erasure, LogRow, Store, head_key


def erasure_item(
    store: Store,
    tenant: str,
    indexes: Iterable[int],
    *,
    subject: str,
    actor: Resource | None,
    dialect: str,
    sections: Collection[str] = SECTIONS,
    touched: Callable[[], Iterable[int]] | None = None,
) -> Item:
    """Return what destroys `sections` of entries, and of the revisions of events among them.

    Raises: NotFound when there is nothing to erase.
    """
    rows = store.rows_at(tenant, with_revisions(store, tenant, indexes))
    erasures = tuple(
        Erasure(row.index, present)
        for row in sorted(rows.values())
        if (present := tuple(name for name in present_sections(row) if name in sections))
    )
    if not erasures:
        raise NotFound("nothing is left to erase")
    draft = Draft(
        kind="erase",
        op=Op.ERASE,
        subject=subject,
        actor=actor,
        data=erased_sections.encode(erasures),
        dialect=dialect,
    )
    claims = forgotten_claims(store, tenant, erasures)
    return Item(entry.prepare(draft), (), erasures, forgotten=claims, touched=touched)


def erased_indexes(erasure: Event) -> list[int]:
    """Return the entries that an `erase` entry says it destroyed sections of, in its order."""
    return [each.index for each in erased_sections.decode(erasure)]


def with_revisions(store: Store, tenant: str, indexes: Iterable[int]) -> set[int]:
    """Add the revisions of events, following each one back to the one it replaced."""
    found = set(indexes)
    for event in events_of(tenant, list(store.rows_at(tenant, found).values())):
        key = head_key(HeadSlot.REVISION, "event", event.id)
        head = store.resource_heads(tenant, [key]).get(key)
        index = None if head is None else head.index
        while index is not None and index not in found:
            found.add(index)
            row = store.rows_at(tenant, [index])[index]
            index = (events_of(tenant, [row])[0].original or {}).get("revision")
    return found


def forgotten_claims(store: Store, tenant: str, erasures: Iterable[Erasure]) -> tuple[bytes, ...]:
    """Return the claims whose digests go with erased content: they could be guessed from."""
    found = store.claims_of(tenant, [erasure.index for erasure in erasures])
    return tuple(claim.claim for claim in found)


class ForgottenClaims:
    """The claims of many entries, found with one look at all claims of the log.

    None can be added for an entry that exists: a claim is made together with its entry.
    """

    def __init__(self, store: Store, tenant: str, indexes: Collection[int]) -> None:
        self._claims: dict[int, list[bytes]] = {}
        for claim in store.claims_of(tenant, indexes) if indexes else ():
            if claim.digest:
                self._claims.setdefault(claim.index, []).append(claim.claim)

    def of(self, erasures: Iterable[Erasure]) -> tuple[bytes, ...]:
        """Return the claims that go with the content of some of the entries."""
        return tuple(claim for each in erasures for claim in self._claims.get(each.index, ()))


def present_sections(row: LogRow) -> tuple[str, ...]:
    """Return the names of the sections that an entry still has."""
    present = zip(SECTIONS, row.sections, strict=True)
    return tuple(name for name, value in present if value is not None)
