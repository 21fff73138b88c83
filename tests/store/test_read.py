"""What can be read from a store, at and beyond the edges of what is there."""

from __future__ import annotations

import pytest

from tallystick.events.event import HeadSlot, Op
from tallystick.store.base import ResourceHead, Store, head_key
from tallystick.store.slices import row_slices
from tallystick.tlog.hashing import complete_root
from tests.support.recording import TENANT, Recorder, draft, order

NAMES = ["plain", "", "a\x00b", "\x00", "é", "e\u0301", "日本 ", "\U0001f9fe", "ｱ", "'; --", "%_\\"]


def test_ranges_are_cut_to_what_is_there(store: Store, recorder: Recorder) -> None:
    recorder.fill(TENANT, 10)
    assert [row.index for row in store.rows(TENANT, 7, 99)] == [7, 8, 9]
    assert store.rows(TENANT, 10, 20) == []
    assert store.rows(TENANT, 5, 5) == []
    assert store.rows(TENANT, 8, 3) == []
    assert len(store.leaves(TENANT, 0, 99)) == len(store.entries(TENANT, 0, 99)) == 10
    assert store.entries(TENANT, 3, 5) == [row.entry for row in store.rows(TENANT, 3, 5)]
    assert store.leaves(TENANT, 3, 5) == [row.leaf for row in store.rows(TENANT, 3, 5)]


def test_points_are_read_in_any_order(store: Store, recorder: Recorder) -> None:
    recorder.fill(TENANT, 300)
    found = store.rows_at(TENANT, [299, 0, 7, 7, 300, 10**9])
    assert set(found) == {299, 0, 7}
    assert found[7] == store.rows(TENANT, 7, 8)[0]
    assert store.rows_at(TENANT, []) == {}
    assert store.rows_at(TENANT, iter([1])).keys() == {1}


def test_points_are_read_in_order_as_far_as_they_fit(store: Store, recorder: Recorder) -> None:
    recorder.fill(TENANT, 10)
    wanted = [7, 2, 9, 10**9, 0]
    rows = store.rows_at(TENANT, wanted)
    sizes = [rows[index].section_bytes for index in (7, 2, 9, 0)]
    assert min(sizes) > 0
    assert list(store.rows_within(TENANT, wanted, sum(sizes))) == [7, 2, 9, 0]
    for fitting in range(1, 4):
        for max_bytes in (sum(sizes[:fitting]), sum(sizes[: fitting + 1]) - 1):
            found = store.rows_within(TENANT, wanted, max_bytes)
            assert list(found) == [7, 2, 9, 0][:fitting]
            assert all(found[index] == rows[index] for index in found)
    assert list(store.rows_within(TENANT, wanted, 0)) == [7]
    assert store.rows_within(TENANT, [], 99) == {}


def test_acts_are_found_among_reports(store: Store, recorder: Recorder) -> None:
    kinds = ["key.created", "stream.delivered", "access.read", "stream.deliveredx", "accessory"]
    recorder.append(TENANT, *(draft(n, kind=kind, op=Op.SYSTEM) for n, kind in enumerate(kinds)))
    recorder.append(TENANT, draft(9, kind="key.created"))
    assert store.system_indexes(TENANT, 0, 99) == [0, 1, 2, 3, 4]
    assert store.act_indexes(TENANT, 0, 99) == [0, 3, 4]
    assert store.act_indexes(TENANT, 1, 4) == [3]


def test_unknown_tenant_has_nothing(store: Store, recorder: Recorder) -> None:
    recorder.fill(TENANT, 3)
    nobody = "nobody"
    assert store.log_head(nobody) is None
    assert store.rows(nobody, 0, 9) == []
    assert store.entries(nobody, 0, 9) == store.leaves(nobody, 0, 9) == []
    assert store.tile_roots(nobody, 0, 0, 9) == []
    assert store.system_indexes(nobody, 0, 9) == store.act_indexes(nobody, 0, 9) == []
    assert store.rows_at(nobody, [0]) == store.rows_within(nobody, [0], 99) == {}
    assert store.tile(nobody, 0, 0) is None
    assert store.resource_heads(nobody, [bytes(16)]) == {}
    assert store.claims(nobody, [b"k"]) == {}
    assert store.scan_heads(nobody, b"", 9) == []
    assert store.scan_claims(nobody, b"", 9) == []


def test_tenants_share_nothing(store: Store, recorder: Recorder) -> None:
    for tenant in ("one", "two"):
        recorder.append(
            tenant, *(draft(n, target=order("1"), claims=((b"k%d" % n, b"d"),)) for n in range(3))
        )
    assert not {row.leaf for row in store.rows("one", 0, 9)} & {
        row.leaf for row in store.rows("two", 0, 9)
    }
    assert [head.tenant for head in store.log_heads()] == ["one", "two"]
    assert all(head.size == 3 for head in store.log_heads())


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_is_kept_exactly(store: Store, recorder: Recorder, name: str) -> None:
    """Tenants, resources and claims are told apart by their exact characters."""
    for other in ("x" + name, name + "x"):
        recorder.append(other, draft(target=order(other)))
    recorder.append(name, draft(1, target=order(name), claims=((b"k" + name.encode(), b"d"),)))
    head = store.log_head(name)
    assert head is not None
    assert (head.tenant, head.size) == (name, 1)
    assert len(store.rows(name, 0, 9)) == 1
    key = head_key(HeadSlot.EVENT, "order", name)
    assert store.resource_heads(name, [key]) == {key: ResourceHead(0, True)}
    assert store.claims(name, [b"k" + name.encode()])[b"k" + name.encode()].index == 0


def test_logs_are_listed_by_the_code_points_of_their_tenants(
    store: Store, recorder: Recorder
) -> None:
    for name in NAMES:
        recorder.append(name, draft())
    assert [head.tenant for head in store.log_heads()] == sorted(NAMES)


def test_heads_move_to_the_latest_entry(store: Store, recorder: Recorder) -> None:
    put = draft(op=Op.DOCUMENT, kind="item.put", target=order("1"))
    delete = draft(op=Op.DOCUMENT, kind="item.delete", target=order("1"))
    document = head_key(HeadSlot.DOCUMENT, "order", "1")
    event = head_key(HeadSlot.EVENT, "order", "1")
    recorder.append(TENANT, put, draft(target=order("1")))
    assert store.resource_heads(TENANT, [document, event, bytes(16)]) == {
        document: ResourceHead(0, True),
        event: ResourceHead(1, True),
    }
    recorder.append(TENANT, delete)
    assert store.resource_heads(TENANT, [document]) == {document: ResourceHead(2, False)}
    assert store.resource_heads(TENANT, []) == {}


def test_tiles_hold_the_leaves(store: Store, recorder: Recorder) -> None:
    recorder.fill(TENANT, 600, at_once=170)
    leaves = store.leaves(TENANT, 0, 600)
    assert store.tile(TENANT, 0, 0) == b"".join(leaves[:256])
    assert store.tile(TENANT, 0, 1) == b"".join(leaves[256:512])
    assert store.tile(TENANT, 0, 2) is None
    assert store.tile(TENANT, 1, 0) is None
    roots = [complete_root(leaves[:256]), complete_root(leaves[256:512])]
    assert store.tile_roots(TENANT, 0, 0, 9) == roots
    assert store.tile_roots(TENANT, 0, 1, 2) == roots[1:]
    assert store.tile_roots(TENANT, 1, 0, 9) == []


def test_second_level_of_tiles(store: Store, recorder: Recorder) -> None:
    recorder.fill(TENANT, 65_536 + 10, at_once=8_192)
    roots = store.tile_roots(TENANT, 0, 0, 256)
    assert len(roots) == 256
    assert store.tile(TENANT, 1, 0) == b"".join(roots)
    assert store.tile_roots(TENANT, 1, 0, 9) == [complete_root(roots)]


def test_walks_are_in_order_and_complete(store: Store, recorder: Recorder) -> None:
    count = 25
    recorder.append(
        TENANT,
        *(
            draft(n, target=order(str(n)), claims=((b"k%02d" % n, b"d%d" % n),))
            for n in range(count)
        ),
    )
    heads: list[tuple[bytes, ResourceHead]] = []
    while page := store.scan_heads(TENANT, heads[-1][0] if heads else b"", 10):
        heads += page
    assert heads == sorted(
        (head_key(HeadSlot.EVENT, "order", str(n)), ResourceHead(n, True)) for n in range(count)
    )
    claims = store.scan_claims(TENANT, b"", 10)
    claims += store.scan_claims(TENANT, claims[-1].claim, 100)
    assert claims == [(b"k%02d" % n, b"d%d" % n, n) for n in range(count)]


def test_log_is_read_in_slices(store: Store, recorder: Recorder) -> None:
    recorder.fill(TENANT, 600)
    slices = list(row_slices(store, TENANT, 5, 590))
    assert [row.index for rows in slices for row in rows] == list(range(5, 590))
    assert max(map(len, slices)) <= 256


def test_slices_shrink_where_entries_are_large(store: Store, recorder: Recorder) -> None:
    """What one slice may hold is bounded, so that a walk over a log needs little memory."""
    recorder.append(TENANT, *(draft(n, data={"text": "x" * 120_000}) for n in range(300)))
    slices = list(row_slices(store, TENANT, 0, 300))
    assert [row.index for rows in slices for row in rows] == list(range(300))
    assert [len(rows) for rows in slices] == [256, 16, 16, 12]
