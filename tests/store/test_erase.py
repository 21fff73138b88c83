"""Erasure: the only change a log's row may see, and what it leaves behind."""

from __future__ import annotations

import pytest

from tallystick.events.entry import SECTIONS
from tallystick.events.event import Draft, Op, Resource
from tallystick.store.base import Erasure, Store
from tests.store.store_fixtures import Place
from tests.store.transactions import Interrupted, extend_and_fail
from tests.support.recording import TENANT, Recorder, draft

SECRET = "a-secret-that-must-not-survive"


def secret_draft(number: int, padding: int = 0) -> Draft:
    """Return a draft whose every section holds the secret."""
    text = SECRET + "x" * padding
    resource = Resource("person", f"{number}", name=SECRET, attributes={"t": text})
    return draft(
        actor=resource, target=resource, trails=(SECRET,), data={"t": text}, previous={"t": text}
    )


def erase_draft(*erasures: Erasure) -> Draft:
    """Return the entry that tells of erasures."""
    entries = [{"index": each.index, "sections": list(each.sections)} for each in erasures]
    return Draft(kind="erase", op=Op.ERASE, subject="selector", data={"entries": entries})


@pytest.fixture
def secrets(recorder: Recorder) -> Recorder:
    """Return a recorder that has written five secrets, one of them long."""
    for n in range(5):
        recorder.append(TENANT, secret_draft(n, padding=50_000 if n == 3 else 0))
    return recorder


def test_erased_sections_are_gone_and_the_rest_stays(store: Store, secrets: Recorder) -> None:
    before = store.rows(TENANT, 0, 5)
    erasures = (Erasure(1, SECTIONS), Erasure(3, ("data", "actor")))
    secrets.append(TENANT, erase_draft(*erasures), erasures=erasures)
    after = store.rows(TENANT, 0, 5)
    assert after[1].sections == (None,) * 5
    assert [name for name, s in zip(SECTIONS, after[3].sections, strict=True) if s is None] == [
        "actor",
        "data",
    ]
    assert [row[:3] for row in after] == [row[:3] for row in before]
    assert [after[n] for n in (0, 2, 4)] == [before[n] for n in (0, 2, 4)]


def test_erasure_that_fails_erases_nothing(store: Store, secrets: Recorder) -> None:
    before = store.rows(TENANT, 0, 5)
    erasure = Erasure(1, SECTIONS)
    with pytest.raises(Interrupted):
        extend_and_fail(store, TENANT, drafts=(erase_draft(erasure),), erasures=(erasure,))
    assert store.rows(TENANT, 0, 9) == before


def test_erased_bytes_leave_the_files(place: Place, store: Store, secrets: Recorder) -> None:
    assert place.occurrences(SECRET.encode()) > 0
    erasures = tuple(Erasure(n, SECTIONS) for n in range(5))
    secrets.append(TENANT, erase_draft(*erasures), erasures=erasures)
    store.settle_erased()
    assert place.occurrences(SECRET.encode()) == 0


def test_erased_bytes_leave_the_files_though_somebody_was_reading(
    place: Place, store: Store, secrets: Recorder
) -> None:
    """A reader of an old state keeps its bytes alive until it is done, and no longer."""
    erasures = tuple(Erasure(n, SECTIONS) for n in range(5))
    with place.reading_old_state():
        secrets.append(TENANT, erase_draft(*erasures), erasures=erasures)
        store.settle_erased()
    secrets.append(TENANT, draft())
    store.settle_erased()
    assert place.occurrences(SECRET.encode()) == 0


def test_erasing_another_tenants_index_touches_nothing_here(
    store: Store, secrets: Recorder
) -> None:
    before = store.rows(TENANT, 0, 5)
    secrets.append("other", secret_draft(0))
    erasure = Erasure(0, SECTIONS)
    secrets.append("other", erase_draft(erasure), erasures=(erasure,))
    assert store.rows(TENANT, 0, 5) == before
    assert store.rows("other", 0, 1)[0].sections == (None,) * 5
