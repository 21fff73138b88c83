"""The ledger: what the rest of the program may do with the log of record.

It turns drafts into entries through the sequencer and entries into views; it asks the indexes
through the `Reader` it was given. Every read takes what the caller may see as an expression.
Synchronous throughout; the asynchronous door is in `http`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from tallystick.clock import Clock
from tallystick.errors import NotFound, Unexpected
from tallystick.events import entry
from tallystick.events.event import Draft, Event, HeadSlot, Json, Op, Resource, View
from tallystick.identity.acts import Act
from tallystick.ledger import change_checks as checks
from tallystick.ledger.change_tracking import Differences
from tallystick.ledger.entries_read import note_indexes, note_question, note_views
from tallystick.ledger.erasure import erasure_item
from tallystick.ledger.holds import Holds, takes_away
from tallystick.ledger.identity_updates import Changes
from tallystick.ledger.payload_paths import PayloadPaths
from tallystick.ledger.selections import (
    Page,
    Row,
    Selection,
    bound,
    first_views,
    selection_of,
    views_in_slices,
)
from tallystick.limits import SLICE_BYTES
from tallystick.log.keys import LogKey
from tallystick.log.proofs import Proofs
from tallystick.log.sequencer import Accepted, Item, Outcome, Sequencer, Work
from tallystick.log.views import find_index, views_of
from tallystick.query.aggregate import Aggregate, AggregateResult
from tallystick.query.expr import Everything, Expr, all_of
from tallystick.query.match import matches
from tallystick.query.question import Find, Found, Reader, ResourceQuery, ResourceSummary
from tallystick.store.base import ResourceHead, Store, head_key

_LOOKS = 3


class Ledger:
    """Reads and writes of every tenant's log; safe to share between threads."""

    def __init__(
        self,
        store: Store,
        sequencer: Sequencer,
        reader: Reader,
        key: LogKey,
        clock: Clock,
        *,
        erased: Callable[[], None] = lambda: None,
        acting: Callable[[], Resource | None] = lambda: None,
    ) -> None:
        """Join them.

        `erased` finishes erasures that were committed, before one is told so; `acting` names who
        carries out an act that does not name anybody.
        """
        self._erased = erased
        self._acting = acting
        self.store = store
        self.sequencer = sequencer
        # Private: a question reaches an index with what the caller may see in it, or not at all.
        self._reader = reader
        self.paths = PayloadPaths(reader)
        self.clock = clock
        self.proofs = Proofs(store, key)
        self.holds = Holds(store)
        self.differences = Differences(store, self.append)
        self.changes = Changes(store, self.administer)

    def submit(
        self,
        tenant: str,
        items: Sequence[Item],
        done: Callable[[Work], None],
        *,
        atomic: bool = True,
    ) -> None:
        """Queue items; `done` is called from the sequencer's thread once they are durable.

        Items only add here: what takes something away goes through `append_each`, which waits.
        Raises: SequencerFull, StoreBusy.
        """
        if any(map(takes_away, items)):
            raise Unexpected("something was to be taken away without asking for legal holds")
        self.sequencer.submit(Work(tenant, items, done, atomic=atomic))

    def append_each(
        self, tenant: str, items: Sequence[Item], *, atomic: bool = False, settle: bool = True
    ) -> list[Outcome]:
        """Store items and return the outcome of each, waiting until they are durable.

        Without `settle`, the caller calls `settle` once it has erased all that it erases.
        Raises: SequencerFull, StoreBusy; UnderHold, for all of them.
        """
        finished = threading.Event()
        guarded = self.holds.guarded(tenant, items)
        work = Work(tenant, guarded, lambda _: finished.set(), atomic=atomic)
        self.sequencer.submit(work)
        finished.wait()
        if settle and any(item.erasures for item in items):
            self.settle()
        return work.outcomes

    def settle(self) -> None:
        """Finish erasures that were committed: listed, and gone from every file of the store."""
        self._erased()

    def append(self, tenant: str, drafts: Sequence[Draft]) -> list[Accepted]:
        """Store drafts, all of them or none, waiting until they are durable.

        Raises: the first draft's error, for all of them.
        """
        return self.append_all(tenant, [Item(entry.prepare(draft)) for draft in drafts])

    def append_all(
        self, tenant: str, items: Sequence[Item], *, settle: bool = True
    ) -> list[Accepted]:
        """Store items, all of them or none, waiting until they are durable.

        Raises: the first item's error, for all of them.
        """
        return checks.all_accepted(self.append_each(tenant, items, atomic=True, settle=settle))

    def administer(self, tenant: str, *acts: Act) -> list[Accepted]:
        """Carry out acts of administration and record them in the tenant's log, as one.

        Whatever changes a record that exists goes through `changes`.
        Raises: Conflict when an id, login or key is taken.
        """
        for act in acts:
            act.draft.actor = act.draft.actor or self._acting()
        return self.append_all(
            tenant, [Item(entry.prepare(act.draft), act.writes, (), act.origin) for act in acts]
        )

    def revise(
        self,
        tenant: str,
        id: str,
        data: Json,
        *,
        visible: Expr,
        dialect: str,
        actor: Resource | None = None,
        previous: Json | None = None,
        expected: frozenset[int] | None = None,
    ) -> View:
        """Show the event with other `data` from here on; its first content stays in the log.

        `expected` are the revisions that the caller would change; None for any.
        Raises: NotFound, Conflict for an event of another dialect, UnderHold, PreconditionFailed.
        """
        view = self._changeable(tenant, id, visible, dialect, expected)
        draft = Draft(
            kind=view.first.kind,
            op=Op.REVISE,
            subject=view.first.id,
            actor=actor,
            data=data,
            previous=previous,
            original={"revision": view.revision},
            dialect=dialect,
            expects=(checks.revision_expected(view),),
        )
        self.append(tenant, [draft])
        return self.get(tenant, id, visible)

    def retract(
        self,
        tenant: str,
        id: str,
        *,
        visible: Expr,
        dialect: str,
        actor: Resource | None = None,
        expected: frozenset[int] | None = None,
        erase: bool = False,
    ) -> Accepted:
        """Stop showing the event; with `erase` its content is destroyed in the same transaction.

        Raises: NotFound, Conflict for an event of another dialect, UnderHold, PreconditionFailed.
        """
        view = self._changeable(tenant, id, visible, dialect, expected)
        items = [Item(entry.prepare(checks.retraction(view, dialect, actor)))]
        if erase:
            items.append(
                erasure_item(
                    self.store, tenant, [view.index],
                    subject=view.first.id, actor=actor, dialect=dialect,
                )
            )  # fmt: skip
        return self.append_all(tenant, items)[0]

    def erase_event(
        self,
        tenant: str,
        id: str,
        *,
        visible: Expr,
        actor: Resource | None = None,
        expected: frozenset[int] | None = None,
    ) -> tuple[Op, Accepted]:
        """Retract an event that any dialect wrote and destroy its content, as one.

        An event that was retracted before is only erased. Returns the first entry written.
        Raises: NotFound, Conflict for an entry that is no event, UnderHold, PreconditionFailed.
        """
        index = self.index_of(tenant, id)
        view = None if index is None else self.views_at(tenant, [index]).get(index)
        if view is None or not self.may_see(view, visible):
            raise NotFound(f"there is no event {id!r}")
        checks.check_event(view)
        checks.check_revision(view, expected)
        erasure = erasure_item(
            self.store, tenant, [view.index],
            subject=view.first.id, actor=actor, dialect="native",
        )  # fmt: skip
        if view.retracted:
            return Op.ERASE, self.append_all(tenant, [erasure])[0]
        items = [Item(entry.prepare(checks.retraction(view, "native", actor))), erasure]
        return Op.RETRACT, self.append_all(tenant, items)[0]

    def retract_each(
        self,
        tenant: str,
        views: Iterable[View],
        *,
        dialect: str,
        actor: Resource | None = None,
    ) -> list[Outcome]:
        """Stop showing events and return the outcome of each; one that was revised stays.

        Raises: Conflict for an event of another dialect; UnderHold, for all of them.
        """
        items: list[Item] = []
        for view in views:
            checks.check_dialect(view, dialect)
            items.append(Item(entry.prepare(checks.retraction(view, dialect, actor))))
        return self.append_each(tenant, items)

    def append_erasing(
        self, tenant: str, draft: Draft, indexes: Iterable[int], *, subject: str
    ) -> Accepted:
        """Store a draft and destroy the content of earlier entries in the same transaction.

        Raises: the draft's error; UnderHold; NotFound when there is nothing to erase.
        """
        items = [
            Item(entry.prepare(draft)),
            erasure_item(
                self.store, tenant, indexes,
                subject=subject, actor=draft.actor, dialect=draft.dialect,
            ),
        ]  # fmt: skip
        return self.append_all(tenant, items)[0]

    def erase(
        self,
        tenant: str,
        indexes: Iterable[int],
        *,
        subject: str,
        dialect: str = "native",
        actor: Resource | None = None,
    ) -> Accepted:
        """Destroy the section bytes of entries, and of the revisions of the events among them.

        The entries, their proofs and the fact of the erasure remain.
        Raises: UnderHold; NotFound when there is nothing to erase.
        """
        item = erasure_item(
            self.store, tenant, indexes, subject=subject, actor=actor, dialect=dialect
        )
        return self.append_all(tenant, [item])[0]

    def _changeable(
        self, tenant: str, id: str, visible: Expr, dialect: str, expected: frozenset[int] | None
    ) -> View:
        view = self.get(tenant, id, visible)
        checks.check_dialect(view, dialect)
        checks.check_revision(view, expected)
        return view

    def get(self, tenant: str, id: str, visible: Expr) -> View:
        """Return the event with an id.

        Raises: NotFound, also for what the caller may not see and for what was retracted.
        """
        index = self.index_of(tenant, id)
        view = None if index is None else self.views_at(tenant, [index]).get(index)
        if view is None or view.retracted or not self.may_see(view, visible):
            raise NotFound(f"there is no event {id!r}")
        note_views(tenant, [view], bound=True)
        return view

    def index_of(self, tenant: str, id: str) -> int | None:
        """Return where the entry with an id stands.

        Cost: one or two point reads.
        """
        return find_index(self.store, tenant, id)

    def view_at(self, tenant: str, index: int, visible: Expr = Everything()) -> View:
        """Return the entry at an index as readers see it.

        Raises: NotFound.
        """
        view = self.views_at(tenant, [index]).get(index)
        if view is None or not self.may_see(view, visible):
            raise NotFound(f"no such entry: {index}")
        note_views(tenant, [view], bound=not isinstance(visible, Everything))
        return view

    def views_at(self, tenant: str, indexes: Iterable[int]) -> dict[int, View]:
        """Return the entries at indexes as readers see them, those that exist."""
        rows = self.store.rows_at(tenant, indexes)
        views = views_of(self.store, tenant, list(rows.values()))
        note_views(tenant, views, bound=False)
        return {view.index: view for view in views}

    def may_see(self, view: View, visible: Expr) -> bool:
        """Tell whether a view matches what a caller may see."""
        if isinstance(visible, Everything):
            return True
        seen = matches(visible, view)
        if seen:
            note_views(view.first.tenant, [view], bound=True)
        return seen

    def find(
        self, tenant: str, question: Find, visible: Expr, *, max_bytes: int | None = None
    ) -> Page:
        """Return a page of views, in the order asked for.

        With `max_bytes` it ends, and says that more follow, once its events have as many.
        Raises: InvalidQuery, FollowerBehind.
        """
        step = SLICE_BYTES if max_bytes is None else min(max_bytes, SLICE_BYTES)
        selection, _ = self._select(tenant, question, visible, step)
        rows: list[Row] = []
        is_cut = False
        for part in selection.slices:
            rows += part.rows
            if max_bytes is not None and rows:
                max_bytes -= step
                is_cut = max_bytes < step and not part.is_last
            if is_cut:
                break
        views, hits = [view for view, _ in rows], [hit for _, hit in rows]
        note_views(tenant, views, bound=not isinstance(visible, Everything))
        return Page(views, hits, selection.more or is_cut, selection.total, selection.plan)

    def select(
        self, tenant: str, question: Find, visible: Expr, *, slice_bytes: int = SLICE_BYTES
    ) -> Selection:
        """Return a page whose views are read as they are asked for, in the order asked for.

        Raises: InvalidQuery, FollowerBehind.
        """
        selection, found = self._select(tenant, question, visible, slice_bytes)
        is_bound = not isinstance(visible, Everything)
        note_indexes(tenant, [hit.index for hit in found.hits], bound=is_bound)
        return selection

    def _select(
        self, tenant: str, question: Find, visible: Expr, slice_bytes: int
    ) -> tuple[Selection, Found]:
        reader, asked = self._asked(tenant), bound(question, visible)
        for _ in range(_LOOKS):
            found = reader.find(tenant, asked, entry_bytes=slice_bytes)
            selection = self.select_of(tenant, question, found, slice_bytes)
            # Without any row nobody could ask for what follows: worth another look.
            if not selection.is_empty or not found.hits:
                break
        return selection, found

    def select_of(
        self, tenant: str, question: Find, found: Found, slice_bytes: int = SLICE_BYTES
    ) -> Selection:
        """Return a selection of rows that an index found for a question."""
        return selection_of(
            partial(first_views, self.store, tenant, max_bytes=slice_bytes),
            found,
            partial(self._reader.shows, question),
        )

    def views_in_slices(self, tenant: str, indexes: Sequence[int]) -> Iterator[Mapping[int, View]]:
        """Yield entries as readers see them, as many at a time as are not long together."""
        return views_in_slices(partial(first_views, self.store, tenant), indexes)

    def count(self, tenant: str, where: Expr, visible: Expr, *, dialect: str = "native") -> int:
        """Return how many events match, exactly."""
        return self._asked(tenant).count(tenant, all_of((where, visible)), dialect=dialect)

    def aggregate(
        self, tenant: str, question: Find, requests: Sequence[Aggregate], visible: Expr
    ) -> Sequence[AggregateResult]:
        """Return aggregates over everything that a question matches."""
        return self._asked(tenant).aggregate(tenant, bound(question, visible), requests)

    def find_rows(self, tenant: str, question: Find, visible: Expr) -> Found:
        """Return a page of rows without their views; `select_of` reads those.

        Raises: InvalidQuery, FollowerBehind.
        """
        return self._asked(tenant).find(tenant, bound(question, visible))

    def history(self, tenant: str, target: Resource, *, limit: int, offset: int) -> list[int]:
        """Return the indexes of a resource's document entries, newest first.

        Whether a caller may see each of them is still to be asked; see `may_see`.
        """
        return self._asked(tenant).history(
            tenant, target.type, target.id, limit=limit, offset=offset
        )

    def resource(self, tenant: str, type: str, id: str) -> ResourceSummary | None:
        """Return what is known of a resource."""
        return self._asked(tenant).resource(tenant, type, id)

    def resources(self, tenant: str, question: ResourceQuery) -> list[ResourceSummary]:
        """Return a page of resources by id."""
        return self._asked(tenant).resources(tenant, question)

    def head(self, tenant: str, slot: HeadSlot, type: str, id: str) -> ResourceHead | None:
        """Return where the latest entry of a resource stands, as of this moment."""
        key = head_key(slot, type, id)
        return self.store.resource_heads(tenant, [key]).get(key)

    def document(self, tenant: str, type: str, id: str) -> Event | None:
        """Return the latest document of an item; None when it never was or is deleted."""
        head = self.head(tenant, HeadSlot.DOCUMENT, type, id)
        if head is None or not head.live:
            return None
        return self.view_at(tenant, head.index).first

    def _asked(self, tenant: str) -> Reader:
        note_question(tenant)
        return self._reader
