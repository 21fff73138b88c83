"""A store that is closed and opened again, and one that several hands have open at once."""

from __future__ import annotations

import threading

import pytest

from tallystick.errors import TallystickError
from tallystick.store.base import Store
from tests.store.store_fixtures import Place
from tests.store.transactions import KEY, extend
from tests.support.recording import TENANT, Recorder, draft


def test_everything_is_there_after_reopening(place: Place, recorder: Recorder) -> None:
    store = recorder.store
    recorder.fill(TENANT, 700)
    rows, head = store.rows(TENANT, 0, 700), store.log_head(TENANT)
    again = place.open()
    assert again.rows(TENANT, 0, 700) == rows
    assert again.log_head(TENANT) == head
    assert again.tile(TENANT, 0, 1) == store.tile(TENANT, 0, 1)
    again.close()


def test_log_goes_on_after_reopening(place: Place, store: Store) -> None:
    for n in range(3):
        opened = place.open()
        recorder = Recorder(opened, KEY)
        assert recorder.append(TENANT, draft(n))[0].index == n
        recorder.close()
        opened.close()
    assert len(store.rows(TENANT, 0, 9)) == 3


def test_close_is_idempotent(place: Place) -> None:
    opened = place.open()
    with opened.transaction() as writer:
        extend(writer, TENANT)
    opened.close()
    opened.close()


def test_closed_store_says_so(place: Place) -> None:
    opened = place.open()
    opened.close()
    with pytest.raises(TallystickError):
        opened.log_head(TENANT)
    with pytest.raises(TallystickError), opened.transaction() as writer:
        writer.head(TENANT)


def test_other_hands_see_a_commit_at_once(place: Place, store: Store, recorder: Recorder) -> None:
    other = place.open()
    for n in range(20):
        recorder.append(TENANT, draft(n))
        head = other.log_head(TENANT)
        assert head is not None
        assert head.size == n + 1
        assert len(other.rows(TENANT, 0, 99)) == n + 1
    other.close()


def test_two_writers_never_fork_a_log(place: Place, store: Store) -> None:
    """Two sequencers on one place, each with 100 works in flight: one dense log."""
    others = [place.open(), place.open()]
    recorders = [Recorder(other, KEY) for other in others]
    indexes: list[int] = []

    def write(recorder: Recorder) -> None:
        pending = [recorder.submit(TENANT, draft(n)) for n in range(100)]
        indexes.extend(each.accepted()[0].index for each in pending)

    threads = [threading.Thread(target=write, args=(recorder,)) for recorder in recorders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for recorder, other in zip(recorders, others, strict=True):
        recorder.close()
        other.close()
    assert sorted(indexes) == list(range(200))
    assert len(store.rows(TENANT, 0, 999)) == 200
