"""Legal holds: what an administrator put out of reach of every revision, retraction and erasure.

A hold is a record of identity and two acts in the tenant's log, placed and lifted. Each act moves
one head; whatever would take something away is checked against the holds of that moment and then
committed only if that head has not moved. So a hold that was acknowledged holds on every server of
the store, without a lock of its own. The check is `Holds.guarded`, and the ledger lets nothing past
it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from tallystick import times
from tallystick.errors import (
    Conflict,
    InvalidQuery,
    Malformed,
    NotFound,
    StoreBusy,
    StoreCorrupt,
    TooLarge,
    UnderHold,
)
from tallystick.events.event import (
    COMPLIANCE_SET,
    HOLD_LIFTED,
    HOLD_PLACED,
    Draft,
    Event,
    Expectation,
    HeadSlot,
    Json,
    Op,
    Resource,
    View,
)
from tallystick.identity import acts
from tallystick.identity.acts import Act
from tallystick.identity.replay import IdentityReplay
from tallystick.ledger.log_time import LogTimes
from tallystick.log.commit_plan import Item
from tallystick.log.views import events_of, find_index, views_of
from tallystick.query.expr import Expr, Range, all_of
from tallystick.query.lucene import parse
from tallystick.query.match import to_predicate
from tallystick.query.native_fields import NativeFields
from tallystick.query.values import Values
from tallystick.store.base import HOLD_HEAD, IdentityRow, IdentityWrite, Store, head_key

_KIND = "hold"
COMPLIANCE = "compliance"
"""The id of the hold that compliance is."""

_LOOKS = 5
_CHANGES = frozenset({Op.REVISE, Op.RETRACT})


class Hold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is held, since when, by whom and why; it stays on record when it was lifted.

    `query` is in the native query language, `*` for everything; `from_ms` (inclusive) and `to_ms`
    (exclusive) bound when the events occurred.
    """

    id: str
    tenant: str
    query: str
    reason: str
    placed_ms: int
    placed_by: Resource
    from_ms: int | None = None
    to_ms: int | None = None
    lifted_ms: int | None = None
    lifted_by: Resource | None = None
    lift_reason: str | None = None
    until_ms: int | None = None
    """Of compliance: when it ends by itself, by the log's own clock; nobody lifts it before."""

    @property
    def active(self) -> bool:
        """Whether it was not lifted yet."""
        return self.lifted_ms is None

    def where(self) -> Expr:
        """Return what it holds, as a condition on events.

        Raises: InvalidQuery, TooLarge for a query that is no longer understood.
        """
        # Fields are not looked up: a hold must not depend on an index, which may be being rebuilt.
        what = parse(self.query, NativeFields(), default_operator="and")
        when = Range("occurred_ms", self.from_ms, self.to_ms, high_inclusive=False)
        return all_of((what, when))

    def covering(self) -> Callable[[View], bool]:
        """Return what tells whether it holds an entry, as it was recorded or as it is shown now.

        A hold whose query is no longer understood holds everything.
        """
        try:
            matches = to_predicate(self.where())
        except (InvalidQuery, TooLarge):
            # Placed when such a text was read as a word: nobody knows what it was to hold.
            return lambda view: True

        def covers(view: View) -> bool:
            first = msgspec.structs.replace(view, event=view.first)
            return matches(Values(view)) or matches(Values(first))

        return covers


class Holds:
    """Reads holds and checks them; keeps none, so that another server's holds count at once.

    Before something is taken away, the records are compared with the entries that placed and
    lifted holds: one that was deleted or changed behind the program's back must not let it go.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.times = LogTimes(store)
        # What the log tells of holds, and up to where it was read, by tenant.
        self._replays: dict[str, tuple[IdentityReplay, int]] = {}
        self._replays_lock = threading.Lock()

    def all(self, tenant: str) -> list[Hold]:
        """Return every hold of a tenant, lifted ones too, by id."""
        rows = self._store.identities(tenant, _KIND)
        return [msgspec.json.decode(row.doc, type=Hold) for row in rows]

    def get(self, tenant: str, id: str) -> Hold:
        """Return a hold.

        Raises: NotFound.
        """
        return msgspec.json.decode(self._doc(tenant, id), type=Hold)

    def _doc(self, tenant: str, id: str) -> bytes:
        row = self._store.identity(tenant, _KIND, id)
        if row is None:
            raise NotFound(f"there is no hold {id!r}")
        return row.doc

    def active(self, tenant: str) -> Sequence[Hold]:
        """Return the holds that were not lifted.

        Raises: StoreCorrupt when the records are not those that the log tells of.
        Cost: a few point reads.
        """
        return self._proven(tenant)[1]

    def check(self, tenant: str, views: Iterable[View]) -> None:
        """Let entries pass that may be taken away, as of now.

        Raises: UnderHold.
        """
        _check(self.active(tenant), views)

    def covering(self, tenant: str, indexes: Collection[int]) -> dict[int, str]:
        """Return which of some entries a hold covers, and the id of one that does, as of now.

        A revision is covered by what covers the event that it revised.
        Raises: StoreCorrupt when the records are not those that the log tells of.
        """
        tests = [(hold.id, hold.covering()) for hold in self.active(tenant)]
        if not tests:
            return {}
        events = events_of(tenant, self._store.rows_at(tenant, indexes).values())
        revised = {
            event.index: index
            for event in events
            if event.op in _CHANGES
            and event.subject is not None
            and (index := find_index(self._store, tenant, event.subject)) is not None
        }
        rows = list(self._store.rows_at(tenant, {*indexes, *revised.values()}).values())
        held = {
            view.index: id
            for view in views_of(self._store, tenant, rows)
            for id, covers in tests
            if covers(view)
        }
        for index, event in revised.items():
            if event in held:
                held.setdefault(index, held[event])
        return {index: held[index] for index in indexes if index in held}

    def lifted(
        self, tenant: str, id: str, *, reason: str, by: Resource, now_ms: int
    ) -> tuple[Hold, Act]:
        """Return a hold as it is when lifted, and the act that lifts it.

        Raises: NotFound, Malformed without a reason, Conflict when it was lifted already.
        """
        latest = self._latest(tenant)
        doc = self._doc(tenant, id)
        hold = msgspec.json.decode(doc, type=Hold)
        if hold.until_ms is not None:
            raise Conflict(
                f"compliance lasts until {times.to_rfc3339(hold.until_ms)}: nobody ends it before"
            )
        if not hold.active:
            raise Conflict(f"the hold {id!r} was lifted already")
        _check_reason(reason)
        gone = msgspec.structs.replace(hold, lifted_ms=now_ms, lifted_by=by, lift_reason=reason)
        draft = _act(HOLD_LIFTED, gone, by, {"reason": reason})
        draft.expects = (latest,)
        return gone, Act(draft, (_write(gone, replaces=doc),))

    def comply(
        self, tenant: str, *, until_ms: int, reason: str, by: Resource, now_ms: int
    ) -> tuple[Hold, Act]:
        """Return compliance until a date, in which nobody takes anything away, and its act.

        Raises: Conflict for an earlier date than the present one, Malformed without a reason or
        for a date that is past.
        """
        _check_reason(reason)
        latest = self._latest(tenant)
        row = self._store.identity(tenant, _KIND, COMPLIANCE)
        known = None if row is None else msgspec.json.decode(row.doc, type=Hold)
        if known is not None and (known.until_ms is None or until_ms <= known.until_ms):
            until = "it is lifted" if known.until_ms is None else times.to_rfc3339(known.until_ms)
            raise Conflict(f"compliance lasts until {until}, and is only ever lengthened")
        if until_ms <= now_ms:
            raise Malformed("compliance lasts until a date to come", path="/until")
        hold = Hold(
            id=COMPLIANCE, tenant=tenant, query="*", reason=reason,
            placed_ms=now_ms, placed_by=by, until_ms=until_ms,
        )  # fmt: skip
        draft = _act(COMPLIANCE_SET, hold, by, {"until_ms": until_ms, "reason": reason})
        draft.expects = (latest,)
        return hold, Act(draft, (_write(hold, replaces=None if row is None else row.doc),))

    def guarded(self, tenant: str, items: Sequence[Item]) -> Sequence[Item]:
        """Return items of which those that take something away are committed only under no hold.

        Such an item fails with StoreBusy when a hold was placed or lifted after this was asked.
        Raises: UnderHold when a hold covers what one of them takes away; StoreCorrupt when the
        records of holds are not those that the log tells of.
        Cost: nothing for items that only add, a few point reads for others.
        """
        if not any(map(takes_away, items)):
            return items
        latest, active = self._proven(tenant)
        if active:
            _check(active, self._taken_away(tenant, items))
        return [_expecting(item, latest) if takes_away(item) else item for item in items]

    def _proven(self, tenant: str) -> tuple[Expectation, list[Hold]]:
        """Return the latest act on a hold, and the holds that were not lifted then.

        Raises: StoreCorrupt when records and log contradict; StoreBusy when holds keep changing.
        """
        for _ in range(_LOOKS):
            # Read first: whatever is placed or lifted from here on moves it.
            latest = self._latest(tenant)
            rows = self._store.identities(tenant, _KIND)
            problem = self._problem(tenant, latest, rows)
            if latest == self._latest(tenant):
                if problem is not None:
                    raise StoreCorrupt(
                        f"nothing is taken away from {tenant!r}: {problem}",
                        hint="run tallystick fsck, then restore a backup",
                    )
                holds = [msgspec.json.decode(row.doc, type=Hold) for row in rows]
                return latest, [hold for hold in holds if self._is_in_force(tenant, hold)]
        raise StoreBusy("legal holds are being placed and lifted", hint="send again")

    def _is_in_force(self, tenant: str, hold: Hold) -> bool:
        if hold.until_ms is None:
            return hold.active
        head = self._store.log_head(tenant)
        if head is None or head.recorded_ms < hold.until_ms:
            return True
        # Past the date by the system's clock: the log's own one is slower to measure.
        return self.times.time_ms(tenant, head.size) < hold.until_ms

    def _problem(self, tenant: str, latest: Expectation, rows: Sequence[IdentityRow]) -> str | None:
        """Return in what the records of holds differ from what the log tells."""
        head = self._store.log_head(tenant)
        size = 0 if head is None else head.size
        with self._replays_lock:
            replay, start = self._replays.get(tenant) or (IdentityReplay(tenant, (_KIND,)), 0)
            replay.advance(self._store, start, size)
            self._replays[tenant] = (replay, max(start, size))
            difference = next(replay.differences(rows), None)
            last_index = replay.last_index
        if difference is not None:
            return str(difference)
        if last_index != latest.index:
            return f"the latest act on a hold is entry {last_index}, not {latest.index}"
        return None

    def _latest(self, tenant: str) -> Expectation:
        head = self._store.resource_heads(tenant, [HOLD_HEAD]).get(HOLD_HEAD)
        return Expectation(HeadSlot.HOLD, _KIND, "", None if head is None else head.index)

    def _taken_away(self, tenant: str, items: Sequence[Item]) -> list[View]:
        """Return the events and documents that items would take away."""
        found = {erasure.index for item in items for erasure in item.erasures}
        for item in items:
            if item.touched is not None:
                found.update(item.touched())
        subjects = {item.prepared.draft.subject for item in items if _is_change(item)}
        # What an erased revision revised is touched too.
        erased = events_of(tenant, list(self._store.rows_at(tenant, found).values()))
        subjects |= {event.subject for event in erased if event.op in _CHANGES}
        indexes = (find_index(self._store, tenant, id) for id in subjects if id is not None)
        found.update(index for index in indexes if index is not None)
        keys = [
            head_key(HeadSlot.DOCUMENT, target.type, target.id)
            for item in items
            if _is_deletion(item) and (target := item.prepared.draft.target) is not None
        ]
        heads = self._store.resource_heads(tenant, keys) if keys else {}
        found.update(head.index for head in heads.values() if head.live)
        return views_of(self._store, tenant, list(self._store.rows_at(tenant, found).values()))


def place(
    tenant: str,
    query: str,
    *,
    reason: str,
    by: Resource,
    now_ms: int,
    id: str | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
) -> tuple[Hold, Act]:
    """Return a new hold and the act that places it.

    Raises: Malformed, InvalidQuery.
    """
    if id is not None:
        acts.check_id(id)
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise Malformed("the time ends before it begins", path="/to")
    _check_reason(reason)
    parse(query, NativeFields(), default_operator="and")
    hold = Hold(
        id=id or secrets.token_hex(8),
        tenant=tenant,
        query=query,
        reason=reason,
        placed_ms=now_ms,
        placed_by=by,
        from_ms=from_ms,
        to_ms=to_ms,
    )
    told: Json = {"query": query, "from_ms": from_ms, "to_ms": to_ms, "reason": reason}
    told = {name: value for name, value in told.items() if value is not None}
    return hold, Act(_act(HOLD_PLACED, hold, by, told), (_write(hold),))


def takes_away(item: Item) -> bool:
    """Tell whether an item changes, hides, deletes or destroys what is there."""
    return (
        bool(item.erasures or item.touched or item.removed)
        or _is_change(item)
        or _is_deletion(item)
    )


def _is_change(item: Item) -> bool:
    return item.prepared.draft.op in _CHANGES


def _is_deletion(item: Item) -> bool:
    draft = item.prepared.draft
    return draft.op is Op.DOCUMENT and draft.kind.endswith(".delete")


def _expecting(item: Item, latest: Expectation) -> Item:
    draft = item.prepared.draft
    draft = msgspec.structs.replace(draft, expects=(*draft.expects, latest))
    return item._replace(prepared=item.prepared._replace(draft=draft))


def _check(holds: Sequence[Hold], views: Iterable[View]) -> None:
    tests = [(hold, hold.covering()) for hold in holds]
    for view in views:
        for hold, covers in tests:
            if covers(view):
                raise _under(hold, _name_of(view.first))


def _under(hold: Hold, name: str) -> UnderHold:
    if hold.until_ms is not None:
        until = times.to_rfc3339(hold.until_ms)
        return UnderHold(f"compliance keeps {name} as it is until {until}", hold=hold.id)
    return UnderHold(
        f"{name} is under the legal hold {hold.id!r}",
        hold=hold.id,
        hint=f"an administrator lifts it with: tallystick holds lift {hold.id}",
    )


def _name_of(event: Event) -> str:
    if event.op is Op.DOCUMENT and event.target is not None:
        return f"{event.target.type} {event.target.id!r}"
    return f"event {event.id}"


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise Malformed("a hold is placed and lifted for a reason", path="/reason")


def _act(kind: str, hold: Hold, by: Resource, told: Json) -> Draft:
    target = Resource(_KIND, hold.id)
    return Draft(kind=kind, op=Op.SYSTEM, actor=by, target=target, data=told, dialect="native")


def _write(hold: Hold, *, replaces: bytes | None = None) -> IdentityWrite:
    doc = msgspec.json.encode(hold)
    return IdentityWrite(hold.tenant, _KIND, hold.id, doc, replaces=replaces)
