"""What passes a subscription: the filter, the rights, and what was erased."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.events.entry import SECTIONS
from tallystick.events.event import Event, Op, Resource, View, as_recorded
from tallystick.identity import access
from tallystick.identity.access import Grant, Principal, Scope
from tallystick.query.expr import And, Eq, Everything, Expr, In, Not, Or, Term
from tallystick.query.match import matches
from tallystick.query.native_filter import NativeFilter
from tallystick.query.question import Over
from tallystick.query.values import Values
from tallystick.subscriptions import notices
from tallystick.subscriptions.changes import Change, LogPosition
from tallystick.subscriptions.subscription import Disclosure, Judge, Subscription, possibly
from tests.support.strategies import exprs, views

ERASED_VALUES: dict[str, dict[str, object]] = {
    "actor": {"actor": None},
    "target": {"target": None},
    "place": {"scopes": (), "trails": (), "original": None},
    "data": {"data": {}},
    "previous": {"previous": None},
}

EVENT = Event(
    tenant="acme",
    index=0,
    id="01936f00-0000-7000-8000-000000000000",
    kind="order.created",
    op=Op.RECORD,
    occurred_ms=0,
    recorded_ms=0,
    dialect="native",
    actor=Resource("user", "7"),
    scopes=(Resource("workspace", "1"),),
    data={"status": "open"},
)


def erased(view: View, sections: tuple[str, ...]) -> View:
    """Return a view as it is once sections were erased."""
    first, event = (
        msgspec.structs.replace(
            each,
            erased=sections,
            **{name: value for one in sections for name, value in ERASED_VALUES[one].items()},
        )
        for each in (view.first, view.event)
    )
    return msgspec.structs.replace(view, first=first, event=event)


def change(op: Op, view: View, before: View | None = None) -> Change:
    """Return a change of a view."""
    entry = msgspec.structs.replace(view.first, op=op, index=9)
    return Change(op, entry, view, before, LogPosition(10))


def judged(where: Expr, visible: Expr, one: Change) -> Disclosure:
    """Return what a subscription gets of a change."""
    return Judge(Subscription(where=where, visible=visible))(one, Values(one.view))


@settings(max_examples=150)
@given(st.data())
def test_what_matched_before_an_erasure_could_have_matched(data: st.DataObject) -> None:
    """The three values are sound: an erasure never makes a match certain to have been none."""
    known = data.draw(views(max_size=3).filter(bool))
    view = data.draw(st.sampled_from(known))
    expr = data.draw(exprs(known))
    sections = data.draw(st.sets(st.sampled_from(SECTIONS)))
    gone = erased(view, tuple(sorted(sections)))
    could, could_not = possibly(expr)(Values(gone), frozenset(sections))
    assert could if matches(expr, view) else could_not
    if not sections:
        assert (could, could_not) == (matches(expr, view), not matches(expr, view))


def test_three_values_join_as_they_should() -> None:
    view = erased(as_recorded(EVENT), ("actor",))
    yes, no, maybe = Eq("kind", "order.created"), Eq("kind", "x"), Eq("actor.id", "7")
    values = {yes: (True, False), no: (False, True), maybe: (True, True)}
    for left, right in product(values, repeat=2):
        (a, not_a), (b, not_b) = values[left], values[right]
        test = possibly(And((left, right)))
        assert test(Values(view), frozenset({"actor"})) == (a and b, not_a or not_b)
        test = possibly(Or((left, right)))
        assert test(Values(view), frozenset({"actor"})) == (a or b, not_a and not_b)
    assert possibly(Not(maybe))(Values(view), frozenset({"actor"})) == (True, True)
    assert possibly(Term(None, "open"))(Values(view), frozenset({"place"})) == (True, True)


READER = access.visible(
    Principal(
        tenant="acme", scopes=frozenset({Scope.READ}), user="7",
        grants=(Grant("workspace:1", "Viewer"),),
    )
)  # fmt: skip
ELSEWHERE = In("scope", ("workspace:2",))
WHOLE = ("actor", "place", "data")


@pytest.mark.parametrize(
    ("where", "visible", "sections", "gets"),
    [
        (Everything(), Everything(), WHOLE, Disclosure.WHOLE),
        (Eq("kind", "order.created"), Everything(), WHOLE, Disclosure.WHOLE),
        (Eq("kind", "order.paid"), Everything(), WHOLE, Disclosure.NOTHING),
        (Eq("data.status", "closed"), Everything(), WHOLE, Disclosure.WHOLE),
        (Eq("data.status", "closed"), Everything(), ("actor",), Disclosure.NOTHING),
        (Everything(), READER, WHOLE, Disclosure.DIGEST),
        (Everything(), READER, ("data",), Disclosure.WHOLE),
        (Everything(), ELSEWHERE, ("data",), Disclosure.NOTHING),
        (Everything(), ELSEWHERE, WHOLE, Disclosure.DIGEST),
        (Eq("kind", "order.paid"), ELSEWHERE, WHOLE, Disclosure.NOTHING),
    ],
)
def test_an_erasure_reaches_who_may_have_seen_the_event(
    where: Expr, visible: Expr, sections: tuple[str, ...], gets: Disclosure
) -> None:
    gone = erased(as_recorded(EVENT), sections)
    for op in (Op.ERASE, Op.RETRACT):
        assert judged(where, visible, change(op, gone)) is gets


def test_a_digest_names_an_event_only_to_who_knows_its_id() -> None:
    one = change(Op.ERASE, erased(as_recorded(EVENT), WHOLE))
    told = msgspec.json.decode(notices.to_json(one, Disclosure.DIGEST))
    assert told == {
        "op": "erase",
        "id_sha256": notices.digest_of_id(EVENT.id.upper()),
        "recorded_at": "1970-01-01T00:00:00.000Z",
        "position": 9,
    }
    told = msgspec.json.decode(notices.to_json(one, Disclosure.WHOLE))
    assert (told["id"], told["index"], told["erased"]) == (EVENT.id, 0, list(WHOLE))


def test_a_revision_reaches_who_saw_the_event_before_or_sees_it_now() -> None:
    before = as_recorded(EVENT)
    event = msgspec.structs.replace(EVENT, data={"status": "closed"})
    after = msgspec.structs.replace(before, event=event, revision=5)
    one = change(Op.REVISE, after, before)
    for status in ("open", "closed"):
        assert judged(Eq("data.status", status), Everything(), one) is Disclosure.WHOLE
    assert judged(Eq("data.status", "lost"), Everything(), one) is Disclosure.NOTHING
    assert judged(Eq("data.status", "open"), ELSEWHERE, one) is Disclosure.NOTHING
    # What was retracted since is no longer shown; its retraction follows.
    gone = change(Op.REVISE, msgspec.structs.replace(after, retracted=True), before)
    assert judged(Everything(), Everything(), gone) is Disclosure.NOTHING


def test_a_retraction_reaches_who_may_see_the_event_and_shows_none_of_it() -> None:
    gone = msgspec.structs.replace(as_recorded(EVENT), retracted=True)
    one = change(Op.RETRACT, gone)
    assert judged(Eq("data.status", "open"), READER, one) is Disclosure.WHOLE
    assert judged(Everything(), ELSEWHERE, one) is Disclosure.NOTHING
    told = msgspec.json.decode(notices.to_json(one, Disclosure.WHOLE))
    assert told.keys() == {"op", "id", "index", "kind", "recorded_at", "position"}


def test_entries_of_the_log_are_judged_as_recorded() -> None:
    entry = msgspec.structs.replace(EVENT, op=Op.ERASE)
    one = Change(Op.ERASE, entry, as_recorded(entry), None, LogPosition(1))
    judge = Judge(Subscription(where=Eq("op", "erase"), over=Over.LOG))
    assert judge(one, Values(one.view)) is Disclosure.WHOLE
    assert notices.name_of(one, Over.LOG) == "record"
    assert msgspec.json.decode(notices.to_json(one, Disclosure.WHOLE, Over.LOG))["op"] == "erase"


def test_a_filter_is_a_value_that_can_be_kept() -> None:
    kept = NativeFilter(q="data.status:open", kind=("order.*", "x"), actor=("user:7",), from_ms=1)
    again = msgspec.json.decode(msgspec.json.encode(kept), type=NativeFilter)
    assert again == kept
    assert again.where() == kept.where()
    assert NativeFilter().where() == Everything()
