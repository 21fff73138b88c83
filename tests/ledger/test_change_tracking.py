"""Changes worked out against the event before, on every store, while others write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import cast

import pytest

from tallystick.clock import ManualClock
from tallystick.errors import PreconditionFailed
from tallystick.events.event import Expectation, HeadSlot
from tallystick.ledger.ledger import Ledger
from tallystick.query.question import Reader
from tallystick.store.base import Store
from tests.store.store_fixtures import Place
from tests.store.transactions import KEY
from tests.support.recording import TENANT, Recorder, draft, order

WRITES = 16


@pytest.fixture
def ledgers(place: Place, store: Store, recorder: Recorder) -> Iterator[list[Ledger]]:
    """Return the ledgers of two server processes, or of one where only one may write."""
    recorder.append(TENANT, draft(0, target=order("1")))
    with ExitStack() as stack:
        recorders = [recorder]
        if not store.many_tenants:
            other = place.open()
            stack.callback(other.close)
            recorders.append(Recorder(other, KEY))
            stack.callback(recorders[1].close)
        yield [
            Ledger(each.store, each.sequencer, cast(Reader, None), KEY, ManualClock())
            for each in recorders
        ]


def test_every_change_is_to_what_its_predecessor_left(ledgers: list[Ledger]) -> None:
    target = order("1")

    def write(n: int) -> None:
        ledger = ledgers[n % len(ledgers)]
        if n % 4:
            ledger.differences.append(TENANT, [draft(n, target=target)])
        else:  # and others who ask for no difference
            ledger.append(TENANT, [draft(n, target=target)])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(1, WRITES)))
    events = [ledgers[0].view_at(TENANT, index).event for index in range(WRITES)]
    numbers = [event.data["number"] for event in events]
    assert sorted(numbers) == list(range(WRITES))
    for before, number, event in zip(numbers, numbers[1:], events[1:], strict=False):
        assert event.previous == (None if number % 4 == 0 else {"number": before})


def test_a_condition_of_the_draft_itself_is_not_tried_again(ledgers: list[Ledger]) -> None:
    never = Expectation(HeadSlot.EVENT, "order", "2", 7)
    started_s = time.monotonic()
    with pytest.raises(PreconditionFailed):
        ledgers[0].differences.append(TENANT, [draft(1, target=order("1"), expects=(never,))])
    assert time.monotonic() - started_s < 10
