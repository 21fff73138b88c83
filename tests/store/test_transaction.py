"""A transaction is stored whole or not at all, and seen only once it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from tallystick.errors import StoreCorrupt
from tallystick.store.base import Store
from tests.store.store_fixtures import Place
from tests.store.transactions import Interrupted, extend, extend_and_fail
from tests.support.recording import TENANT, draft, order

Result = TypeVar("Result")


def test_committed_rows_are_read_back_byte_for_byte(store: Store) -> None:
    with store.transaction() as writer:
        commit = extend(writer, TENANT, *map(draft, range(300)))
    rows = store.rows(TENANT, 0, 300)
    assert [row.index for row in rows] == list(range(300))
    for row, sealed in zip(rows, commit.rows, strict=True):
        assert (row.entry, row.leaf, row.sections) == (sealed.entry, sealed.leaf, sealed.sections)


def test_entries_are_seen_by_the_next_transaction_and_not_by_other_tenants(store: Store) -> None:
    with store.transaction() as writer:
        commit = extend(writer, TENANT, *map(draft, range(3)))
    with store.transaction() as writer:
        writer.head(TENANT)
        rows = writer.rows_at(TENANT, [2, 0, 3, 1 << 39])
        assert {index: row.entry for index, row in rows.items()} == {
            0: commit.rows[0].entry,
            2: commit.rows[2].entry,
        }
    with store.transaction() as writer:
        writer.head("another")
        assert writer.rows_at("another", [0]) == {}


def test_head_is_read_back_as_committed(store: Store) -> None:
    with store.transaction() as writer:
        commit = extend(writer, TENANT)
    assert store.log_head(TENANT) == commit.head
    assert store.log_heads() == [commit.head]


def test_exception_in_the_block_leaves_nothing(store: Store) -> None:
    with pytest.raises(Interrupted):
        extend_and_fail(store, TENANT, drafts=(draft(target=order("1"), claims=((b"kx", b"y"),)),))
    assert store.log_head(TENANT) is None
    assert store.log_heads() == []
    assert store.rows(TENANT, 0, 10) == []
    assert store.scan_heads(TENANT, b"", 10) == []
    assert store.scan_claims(TENANT, b"", 10) == []


def test_store_goes_on_after_an_exception(store: Store) -> None:
    with store.transaction() as writer:
        extend(writer, TENANT)
    with pytest.raises(Interrupted):
        extend_and_fail(store, TENANT)
    with store.transaction() as writer:
        commit = extend(writer, TENANT)
    assert commit.old_size == 1
    assert len(store.rows(TENANT, 0, 10)) == 2


def test_tenant_of_a_failed_transaction_leaves_nothing_to_the_next(store: Store) -> None:
    """A new tenant's key inside the store must not outlive the transaction that made it."""
    with pytest.raises(Interrupted):
        extend_and_fail(store, "one")
    with store.transaction() as writer:
        extend(writer, "two")
    assert store.rows("one", 0, 10) == []
    assert len(store.rows("two", 0, 10)) == 1


def test_nothing_is_seen_before_the_commit(store: Store) -> None:
    with store.transaction() as writer:
        extend(writer, TENANT)
    with store.transaction() as writer:
        commit = extend(writer, TENANT, draft(target=order("1"), claims=((b"kx", b"y"),)))
        seen = in_thread(lambda: (store.log_head(TENANT), len(store.rows(TENANT, 0, 10))))
        assert seen == (store.log_head(TENANT), 1)
        assert store.log_head(TENANT) != commit.head
        assert store.scan_claims(TENANT, b"", 10) == []
    assert store.log_head(TENANT) == commit.head
    assert in_thread(lambda: len(store.rows(TENANT, 0, 10))) == 2


def test_writer_reads_what_it_wrote(store: Store) -> None:
    claim = (b"kx", b"y")
    with store.transaction() as writer:
        commit = extend(writer, TENANT, *[draft(target=order("1"), claims=(claim,))])
        assert writer.leaves(TENANT, 0, 5) == [commit.rows[0].leaf]
        assert writer.claims(TENANT, [b"kx", b"kz"])[b"kx"].index == 0
        assert set(writer.resource_heads(TENANT, [key for key, _ in commit.heads])) == {
            key for key, _ in commit.heads
        }
        assert writer.head(TENANT) == commit.head


def test_stale_head_is_refused(store: Store) -> None:
    """Whoever would continue a log from a size it no longer has would fork it."""
    with store.transaction() as writer:
        commit = extend(writer, TENANT)
    with pytest.raises(StoreCorrupt), store.transaction() as writer:
        writer.append(commit._replace(old_size=7, rows=(), heads=(), claims=()))
    assert store.log_head(TENANT) == commit.head


def test_second_writer_waits_for_the_head(place: Place, store: Store) -> None:
    """Two stores on one place, as two processes have them: the second extends what the first
    has committed, never the same size."""
    other = place.open()
    began, written = threading.Event(), threading.Event()
    sizes: list[int] = []

    def write_second() -> None:
        began.set()
        with other.transaction() as writer:
            head = writer.head(TENANT)
            assert written.is_set()
            sizes.append(0 if head is None else head.size)
            extend(writer, TENANT)

    thread = threading.Thread(target=write_second)
    with store.transaction() as writer:
        extend(writer, TENANT)
        thread.start()
        assert began.wait(30)
        written.set()
    thread.join(30)
    other.close()
    assert sizes == [1]
    assert len(store.rows(TENANT, 0, 10)) == 2


def test_large_batch_is_one_transaction(store: Store) -> None:
    count = 10_000
    with store.transaction() as writer:
        extend(
            writer,
            TENANT,
            *(
                draft(n, target=order(str(n)), claims=((b"k%d" % n, b"digest"),))
                for n in range(count)
            ),
        )
    assert len(store.leaves(TENANT, 0, count + 1)) == count
    assert len(store.claims(TENANT, [b"k%d" % n for n in range(count)])) == count


def test_large_sections_are_kept(store: Store) -> None:
    text = "x" * 900_000
    with store.transaction() as writer:
        extend(writer, TENANT, *(draft(n, data={"text": text, "n": n}) for n in range(8)))
    assert all(len(row.sections[3] or b"") > 900_000 for row in store.rows(TENANT, 0, 8))


def test_transaction_without_writes_changes_nothing(store: Store) -> None:
    with store.transaction() as writer:
        assert writer.head("nobody") is None
        assert writer.claims("nobody", [b"k"]) == {}
        assert writer.resource_heads("nobody", [bytes(16)]) == {}
        assert writer.leaves("nobody", 0, 10) == []
        assert writer.tile_roots("nobody", 0, 0, 10) == []
    assert store.log_heads() == []


def test_store_for_many_tenants_commits_them_as_one(store: Store) -> None:
    """The one named difference between the stores: PostgreSQL holds one tenant at a time."""
    tenants = ["one", "two", "three"] if store.many_tenants else ["one"]
    with pytest.raises(Interrupted):
        extend_and_fail(store, *tenants)
    assert store.log_heads() == []
    with store.transaction() as writer:
        for tenant in tenants:
            extend(writer, tenant)
    assert [head.tenant for head in store.log_heads()] == sorted(tenants)


def in_thread(function: Callable[[], Result]) -> Result:
    """Return what `function` returns on a thread, and thereby a connection, of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()
