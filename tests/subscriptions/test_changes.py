"""A log read as changes, on every store: each once, in order, whatever the slices."""

from __future__ import annotations

import pytest

from tallystick.errors import Conflict, Malformed
from tallystick.events.event import Draft, Op, Resource
from tallystick.ledger.ledger import Ledger
from tallystick.query.expr import Everything
from tallystick.query.question import Over
from tallystick.store.base import LogHead, Store
from tallystick.subscriptions import cursor
from tallystick.subscriptions.changes import Change, LogPosition, read_changes
from tests.support.recording import TENANT, Recorder, draft, order

START = LogPosition(0)
TOLD = tuple[int, Op, int, object]


def everything(
    store: Store,
    start: LogPosition = START,
    *,
    over: Over = Over.EVENTS,
    max_entries: int = 1024,
    max_bytes: int = 1 << 20,
) -> list[Change]:
    """Return all changes from `start` on, read slice after slice."""
    stop = head_of(store).size
    found: list[Change] = []
    while start.index < stop:
        part = read_changes(
            store, TENANT, start, stop, over=over, max_entries=max_entries, max_bytes=max_bytes
        )
        assert part.following > start, "a slice goes on"
        found += part.changes
        start = part.following
    return found


def head_of(store: Store) -> LogHead:
    """Return the head of the log."""
    head = store.log_head(TENANT)
    assert head is not None
    return head


def told(changes: list[Change]) -> list[TOLD]:
    """Return position, op, event and content of each change."""
    return [(c.entry.index, c.op, c.view.index, c.view.event.data.get("a")) for c in changes]


@pytest.fixture
def ids(ledger: Ledger, recorder: Recorder) -> list[str]:
    """Return the ids of six events, to some of which something happened."""
    drafts = [draft(n, kind="k", target=order(str(n)), data={"a": n}) for n in range(6)]
    found = [accepted.id for accepted in recorder.append(TENANT, *drafts)]
    ledger.revise(TENANT, found[1], {"a": 10}, visible=Everything(), dialect="native")
    recorder.append(TENANT, Draft(kind="key.created", op=Op.SYSTEM, target=Resource("key", "1")))
    ledger.revise(TENANT, found[1], {"a": 11}, visible=Everything(), dialect="native")
    ledger.retract(TENANT, found[2], visible=Everything(), dialect="native")
    ledger.retract(TENANT, found[3], visible=Everything(), dialect="native", erase=True)
    ledger.erase(TENANT, [1, 4], subject="some")
    return found


ALL = [
    (0, Op.RECORD, 0, 0),
    (1, Op.RECORD, 1, None),
    (4, Op.RECORD, 4, None),
    (5, Op.RECORD, 5, 5),
    (6, Op.REVISE, 1, None),
    (8, Op.REVISE, 1, None),
    (9, Op.RETRACT, 2, 2),
    (10, Op.RETRACT, 3, None),
    (11, Op.ERASE, 3, None),
    (12, Op.ERASE, 1, None),
    (12, Op.ERASE, 4, None),
]


def test_slices_of_any_size_hold_every_change_once(store: Store, ids: list[str]) -> None:
    """Revisions of an erased event have no change of their own; acts are no changes."""
    for max_entries in (1, 2, 3, 1024):
        for max_bytes in (1, 200, 1 << 20):
            changes = everything(store, max_entries=max_entries, max_bytes=max_bytes)
            assert told(changes) == ALL, (max_entries, max_bytes)


def test_reading_goes_on_behind_any_change(store: Store, ids: list[str]) -> None:
    changes = everything(store)
    origin, head = head_of(store).origin, head_of(store)
    for n, change in enumerate(changes, 1):
        text = cursor.encode(origin, change.following)
        position = cursor.resume(store, head, text)
        assert position == change.following
        assert told(everything(store, position)) == ALL[n:]


def test_a_revision_says_what_it_replaced(store: Store, ledger: Ledger, recorder: Recorder) -> None:
    (event,) = recorder.append(TENANT, draft(0, data={"a": 0}))
    for a in (1, 2):
        ledger.revise(TENANT, event.id, {"a": a}, visible=Everything(), dialect="native")
    _, first, second = everything(store)
    assert first.before is not None
    assert second.before is not None
    assert (first.before.event.data["a"], first.view.event.data["a"]) == (0, 2)
    assert (second.before.event.data["a"], second.view.event.data["a"]) == (1, 2)


def test_the_log_itself_has_every_entry_as_recorded(store: Store, ids: list[str]) -> None:
    changes = everything(store, over=Over.LOG, max_entries=2)
    assert [change.entry.index for change in changes] == list(range(13))
    assert [change.op for change in changes[6:]] == [
        Op.REVISE, Op.SYSTEM, Op.REVISE, Op.RETRACT, Op.RETRACT, Op.ERASE, Op.ERASE,
    ]  # fmt: skip
    assert all(change.view.event is change.view.first for change in changes)


def test_acts_of_administration_are_noticed(store: Store, ids: list[str]) -> None:
    assert not read_changes(store, TENANT, START, 7).has_acts
    assert read_changes(store, TENANT, LogPosition(7), 8).has_acts


def test_an_erasure_of_many_events_is_told_in_parts(
    store: Store, ledger: Ledger, recorder: Recorder
) -> None:
    count = 600
    recorder.append(TENANT, *(draft(n) for n in range(count)))
    ledger.erase(TENANT, range(count), subject="all")
    stop, at, parts = count + 1, LogPosition(count), []
    while at.index < stop:
        part = read_changes(store, TENANT, at, stop)
        parts.append(len(part.changes))
        at = part.following
    assert len(parts) == 3
    assert sum(parts) == count
    text = cursor.encode(head_of(store).origin, LogPosition(count, 599, b"\0"))
    with pytest.raises(Conflict):
        cursor.resume(store, head_of(store), text)


def test_cursors_of_other_logs_and_futures_are_refused(store: Store, recorder: Recorder) -> None:
    """A log that was set back is told from one that is only another."""
    recorder.append(TENANT, draft(0), draft(1))
    recorder.append("other", draft(0), draft(1))
    head = head_of(store)
    here = cursor.encode(head.origin, cursor.at(store, TENANT, 2))
    assert cursor.resume(store, head, here) == cursor.at(store, TENANT, 2)
    other = store.log_head("other")
    assert other is not None
    with pytest.raises(Malformed, match="another log"):
        cursor.resume(store, other, here)
    beyond = cursor.encode(head.origin, LogPosition(3, 0, b"12345678"))
    with pytest.raises(Conflict, match="the log has 2"):
        cursor.resume(store, head, beyond)
    differs = cursor.encode(head.origin, LogPosition(2, 0, b"12345678"))
    with pytest.raises(Conflict, match="contradicts the cursor"):
        cursor.resume(store, head, differs)
    for text in ("", "x", here[:-1], here + "A", "A" * len(here), "é" * len(here)):
        with pytest.raises(Malformed, match="not a cursor"):
            cursor.resume(store, head, text)
