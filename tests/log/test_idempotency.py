"""Claims: one for each line, over the values that came with the key, whatever their spelling."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tallystick import json_text, limits
from tallystick.errors import Malformed
from tallystick.events.entry import digest_of
from tallystick.events.event import Draft, Event, Op
from tallystick.log.idempotency import (
    claim_event,
    claim_key,
    claim_list,
    digest_of_event,
    digest_of_value,
    is_same_event,
)

ID = "22222222-3333-4444-8555-66666666660a"


def test_each_event_of_a_list_claims_its_place_over_the_whole_list() -> None:
    drafts = [Draft(kind="a"), Draft(kind="b", id=ID)]
    claim_list(drafts, "key", drafts)
    ((first,), (second, own)) = (draft.claims for draft in drafts)
    assert first[0] != second[0]
    assert first[1] == second[1]
    without_key = Draft(kind="b", id=ID)
    claim_event(without_key, None, {})
    assert (own,) == without_key.claims


def test_a_list_of_one_is_another_form_than_the_event_alone() -> None:
    listed, single = Draft(kind="a"), Draft(kind="a")
    claim_list([listed], "key", [{}])
    claim_event(single, "key", {})
    ((in_list,), (alone,)) = listed.claims, single.claims
    assert in_list[0] == alone[0]
    assert in_list[1] != alone[1]


def test_without_a_key_and_an_id_nothing_is_claimed() -> None:
    draft = Draft(kind="a")
    claim_key(draft, None, {})
    claim_event(draft, None, {})
    claim_list([draft], None, [{}])
    assert (draft.claims, draft.earlier_digests) == ((), ())


def test_earlier_digests_are_those_of_the_request_as_it_was_written() -> None:
    written: Any = [{"kind": "b", "id": ID}, {"kind": "a"}]
    drafts = [Draft(kind="b", id=ID), Draft(kind="a")]
    claim_list(drafts, "key", written)
    whole, own = digest_of(written), digest_of(written[0])
    assert [[earlier() for earlier in each.earlier_digests] for each in drafts] == [
        [whole, own],
        [whole],
    ]
    single = Draft(kind="a")
    claim_event(single, "key", written[1])
    assert [earlier() for earlier in single.earlier_digests] == [digest_of(written[1])]


def test_the_longest_list_is_claimed_in_a_moment() -> None:
    """Hashing the list for each event would take minutes; the thread's own time is counted."""
    drafts = [Draft(kind="k", data={"text": "x" * 200}) for _ in range(limits.BATCH_EVENTS)]
    written = [{"kind": "k", "data": draft.data} for draft in drafts]
    started_s = time.thread_time()
    claim_list(drafts, "key", written)
    assert all(len(draft.claims) == 1 for draft in drafts)
    assert len({earlier() for draft in drafts for earlier in draft.earlier_digests}) == 1
    assert time.thread_time() - started_s < 5


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"a":1,"b":2}', '{"b":2,"a":1}', True),
        ('{"a":{"x":[1,{"y":0,"z":1}]}}', '{"a":{"x":[1,{"z":1,"y":0}]}}', True),
        ("[1]", "[1.0]", True),
        ("[100, -5]", "[1e2, -5.0]", True),
        ("[0]", "[-0.0]", True),
        ("[1e300]", f"[{int(1e300)}]", True),
        ("[0.1]", "[0.10]", True),
        ("[1.5]", "[15e-1]", True),
        ('["\\u00e9"]', '["é"]', True),
        ("[1,2]", "[2,1]", False),
        ("[1]", '["1"]', False),
        ("[1]", "[true]", False),
        ("[9007199254740993]", "[9007199254740992]", False),
        ("[9007199254740993]", "[9007199254740992.0]", False),
        ('{"a":null}', "{}", False),
        ('["1.0"]', '["1"]', False),
    ],
)
def test_row_19_values_are_compared_not_their_spelling(one: str, other: str, same: bool) -> None:
    first, second = (digest_of_value(json_text.decode(text.encode())) for text in (one, other))
    assert (first == second) is same


def test_what_is_nested_too_deep_is_refused() -> None:
    value: Any = 1.0
    for _ in range(100_000):
        value = [value]
    with pytest.raises(Malformed):
        digest_of_value(value)


def event(**changes: Any) -> Event:
    """Return an event that was recorded."""
    members: dict[str, Any] = {
        "tenant": "t", "index": 3, "id": ID, "kind": "k", "op": Op.RECORD, "occurred_ms": 5,
        "recorded_ms": 9, "dialect": "native", "data": {"a": 1.0},
    }  # fmt: skip
    return Event(**{**members, **changes})


def test_row_19_a_draft_is_compared_with_what_was_recorded() -> None:
    assert is_same_event(Draft(kind="k", id=ID, occurred_ms=5, data={"a": 1}), event())
    assert not is_same_event(Draft(kind="k", id=ID, occurred_ms=6, data={"a": 1}), event())
    assert not is_same_event(Draft(kind="k", id=ID, occurred_ms=5), event())
    now = Draft(kind="k", id=ID, data={"a": 1})
    assert not is_same_event(now, event())
    assert is_same_event(now, event(occurred_ms=9))
    assert not is_same_event(Draft(kind="k", occurred_ms=5), event(data={}, erased=("data",))), (
        "of what was erased nobody can tell"
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1970-01-01T00:00:00.0051Z", "1970-01-01T00:00:00.00510Z", True),
        ("1970-01-01T00:00:00.0051Z", "1970-01-01T01:00:00.005100+01:00", True),
        ("1970-01-01T00:00:00.0051Z", "1970-01-01T00:00:00.0052Z", False),
        ("1970-01-01T00:00:01.0051Z", "1970-01-01T01:00:01.0051+01:00", False),
        ("soon", "soon", True),
        ("soon", "later", False),
    ],
)
def test_row_17_digits_below_the_millisecond_count(one: str, other: str, same: bool) -> None:
    """A time in `original` that is not the event's is the writer's own and compared as text."""
    first, second = (
        digest_of_event(Draft(kind="k", occurred_ms=5, original={"occurred_at": text}))
        for text in (one, other)
    )
    assert (first == second) is same
