"""Claims: one for each line, over what came with the key, at a cost that grows with the list."""

from __future__ import annotations

import time

from tallystick import limits
from tallystick.claims import claims_of_key, claims_of_list


def test_each_event_of_a_list_claims_its_place_over_the_whole_list() -> None:
    events = [{"kind": "a"}, {"kind": "b"}]
    expected = [claims_of_key("key", events, line) for line in (1, 2)]
    assert claims_of_list("key", events) == expected
    assert len({claim for ((claim, _),) in expected}) == 2


def test_without_a_key_nothing_is_claimed() -> None:
    assert claims_of_key(None, {}) == ()
    assert claims_of_list(None, [{}, {}]) == [(), ()]


def test_the_longest_list_is_claimed_in_a_moment() -> None:
    """Hashing the list anew for each event would take minutes; the thread's own time is counted."""
    events = [{"kind": "k", "data": {"text": "x" * 200}}] * limits.BATCH_EVENTS
    started_s = time.thread_time()
    assert len(claims_of_list("key", events)) == limits.BATCH_EVENTS
    assert time.thread_time() - started_s < 5
