"""Items and relations in the ledger: reading the latest, writing under a condition, history.

A document's current version is the ledger's authoritative head, so a read follows every write, and
of conditional writes that compete exactly one wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from tallystick.dialects.orchestrate import wire
from tallystick.dialects.orchestrate.errors import Refusal
from tallystick.dialects.orchestrate.preconditions import Precondition
from tallystick.dialects.orchestrate.request import OrchestrateExchange
from tallystick.errors import NotFound, PreconditionFailed
from tallystick.events.event import Draft, Event, Expectation, HeadSlot, Json, Op, Resource
from tallystick.ledger.ledger import Ledger
from tallystick.query.expr import Expr

ATTEMPTS = 100
"""How often a change is worked out again because somebody else was faster."""

_CHUNK = 100


class Current(NamedTuple):
    """What is there now: where the resource's head is, and its document if it is not deleted."""

    index: int | None  # type: ignore[assignment]  # a tuple has a method of that name
    document: Event | None

    @property
    def ref(self) -> str | None:
        """The ref of what is there; None when nothing is."""
        return None if self.document is None else wire.document_ref(self.document)


Change = Callable[[Current], Draft | None]
"""Works out what to write from what is there; None when there is nothing to write."""


def current_of(ledger: Ledger, tenant: str, target: Resource, visible: Expr) -> Current:
    """Return the latest document of an item or a relation."""
    head = ledger.head(tenant, HeadSlot.DOCUMENT, target.type, target.id)
    if head is None:
        return Current(None, None)
    if not head.live:
        return Current(head.index, None)
    try:
        document = ledger.view_at(tenant, head.index, visible).first
    except NotFound:
        return Current(head.index, None)
    # An erased document has no value left to show, and nothing that says whose it was.
    return Current(head.index, document if wire.is_document(document) else None)


async def read_current(exchange: OrchestrateExchange, target: Resource) -> Current:
    """Return the latest document of an item or a relation, as the caller may see it."""
    current: Current = await exchange.door.run(
        current_of, exchange.ledger, exchange.tenant, target, exchange.visible
    )
    return current


async def write(
    exchange: OrchestrateExchange,
    target: Resource,
    condition: Precondition,
    change: Change,
    *,
    deletes: bool = False,
) -> Draft | None:
    """Write what `change` makes of what is there, and return it; None if it wrote nothing.

    When somebody else writes meanwhile, condition and change are worked out again.
    Raises: Refusal when the condition does not hold, or no longer.
    """
    for _ in range(ATTEMPTS):
        current = await read_current(exchange, target)
        condition.check(current.ref)
        draft = change(current)
        if draft is None:
            return None
        expectation = Expectation(HeadSlot.DOCUMENT, target.type, target.id, current.index)
        draft = msgspec.structs.replace(draft, expects=(expectation,))
        try:
            await (exchange.take_away if deletes else exchange.append)(draft)
        except PreconditionFailed:
            continue
        return draft
    raise Refusal("item_version_mismatch")


async def put(exchange: OrchestrateExchange, draft: Draft, condition: Precondition) -> str:
    """Put a document under a condition, and return its ref."""
    assert draft.target is not None, "a document is of a resource"
    if condition.is_open:
        await exchange.append(draft)
    else:
        await write(exchange, draft.target, condition, lambda _: draft)
    return wire.ref_of(draft.data)


async def delete(
    exchange: OrchestrateExchange, target: Resource, condition: Precondition, *, purge: bool
) -> None:
    """Delete a document if it is there; a purge destroys its whole history, wherever it ends."""
    if purge:
        await exchange.door.run(_purge, exchange, target, condition)
        return

    def tombstone(current: Current) -> Draft | None:
        if current.document is None:
            return None
        return wire.delete_draft(target, actor=exchange.actor)

    await write(exchange, target, condition, tombstone, deletes=True)


def history(ledger: Ledger, tenant: str, target: Resource, visible: Expr) -> Iterator[Event]:
    """Yield the documents of an item, newest first, back to its latest purge."""
    offset = 0
    while True:
        indexes = ledger.history(tenant, target, limit=_CHUNK, offset=offset)
        slices = ledger.views_in_slices(tenant, indexes)
        for view in (view for part in slices for view in part.values()):
            document = view.first
            if _is_whole(document, target) and wire.ends_history(document):
                return
            if _is_whole(document, target) and ledger.may_see(view, visible):
                yield document
        if len(indexes) < _CHUNK:
            return
        offset += _CHUNK


def version_of(
    ledger: Ledger, tenant: str, target: Resource, ref: str, visible: Expr
) -> Event | None:
    """Return the latest document of an item that has a ref; None when none has."""
    document = current_of(ledger, tenant, target, visible).document
    if document is not None and wire.document_ref(document) == ref:
        return document
    return next(
        (
            document
            for document in history(ledger, tenant, target, visible)
            if wire.document_ref(document) == ref and not wire.is_tombstone(document)
        ),
        None,
    )


def _purge(exchange: OrchestrateExchange, target: Resource, condition: Precondition) -> None:
    ledger, tenant = exchange.ledger, exchange.tenant
    for _ in range(ATTEMPTS):
        current = current_of(ledger, tenant, target, exchange.visible)
        condition.check(current.ref)
        # Of each only what names it: their contents together may be large.
        documents = [(d.index, d.id) for d in history(ledger, tenant, target, exchange.visible)]
        if not documents:
            return
        draft = wire.delete_draft(target, purged=True, actor=exchange.actor)
        expectation = Expectation(HeadSlot.DOCUMENT, target.type, target.id, current.index)
        draft = msgspec.structs.replace(draft, expects=(expectation,))
        try:
            ledger.append_erasing(
                tenant, draft, [index for index, _ in documents], subject=documents[0][1]
            )
        except PreconditionFailed:
            continue
        return
    raise Refusal("item_version_mismatch")


def _is_whole(document: Event, target: Resource) -> bool:
    """Tell whether nothing of the document was erased, and it is of the very resource.

    An index may name resources in one word, in which the colon between type and id is ambiguous.
    """
    return (
        document.op is Op.DOCUMENT
        and document.target is not None
        and document.target.key == target.key
        and not document.erased
    )


def value_of(current: Current) -> Json:
    """Return the value of what is there; an empty one when nothing is."""
    return {} if current.document is None else current.document.data
