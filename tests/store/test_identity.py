"""Identity records and the lookups that find them."""

from __future__ import annotations

import pytest

from tallystick.errors import Conflict, PreconditionFailed
from tallystick.store.base import IdentityRow, IdentityWrite, Store
from tests.store.transactions import extend
from tests.support.recording import TENANT, Recorder, draft


def user(
    id: str,
    *lookups: tuple[str, str],
    doc: bytes | None = b"{}",
    replaces: bytes | None = None,
    tenant: str = TENANT,
) -> IdentityWrite:
    """Return a change to a user record."""
    return IdentityWrite(tenant, "user", id, doc, lookups, replaces)


def test_record_is_found_by_id_and_by_lookup(store: Store, recorder: Recorder) -> None:
    row = IdentityRow(TENANT, "user", "1", b'{"n":1}')
    recorder.append(TENANT, draft(), identity=[user("1", ("login", "matt"), doc=row.doc)])
    assert store.identity(TENANT, "user", "1") == row
    assert store.find_identity("login", "matt") == row
    assert store.identity(TENANT, "user", "2") is None
    assert store.identity("other", "user", "1") is None
    assert store.identity(TENANT, "key", "1") is None
    assert store.find_identity("login", "Matt") is None
    assert store.find_identity("tenant", "matt") is None


def test_record_is_replaced_with_its_lookups(store: Store, recorder: Recorder) -> None:
    recorder.append(TENANT, draft(), identity=[user("1", ("login", "old"), ("login", "kept"))])
    changed = user("1", ("login", "kept"), ("login", "new"), doc=b"[]", replaces=b"{}")
    recorder.append(TENANT, draft(), identity=[changed])
    assert store.find_identity("login", "old") is None
    for text in ("kept", "new"):
        assert store.find_identity("login", text) == (TENANT, "user", "1", b"[]")


def test_record_is_deleted_with_its_lookups(store: Store, recorder: Recorder) -> None:
    recorder.append(TENANT, draft(), identity=[user("1", ("login", "matt"))])
    recorder.append(TENANT, draft(), identity=[user("1", doc=None, replaces=b"{}")])
    assert store.identity(TENANT, "user", "1") is None
    assert store.find_identity("login", "matt") is None
    assert store.scan_identity(None, 10) == []
    recorder.append(TENANT, draft(), identity=[user("2", ("login", "matt"))])
    assert store.find_identity("login", "matt") is not None


def test_new_record_conflicts_with_one_that_exists(store: Store, recorder: Recorder) -> None:
    recorder.append(TENANT, draft(), identity=[user("1", doc=b'"first"')])
    with pytest.raises(Conflict):
        recorder.append(TENANT, draft(), identity=[user("1", doc=b'"second"')])
    found = store.identity(TENANT, "user", "1")
    assert found is not None
    assert found.doc == b'"first"'
    assert len(store.rows(TENANT, 0, 9)) == 1


@pytest.mark.parametrize("doc", [b'"mine"', None], ids=["changed", "deleted"])
@pytest.mark.parametrize("there", [b'"theirs"', None], ids=["changed", "deleted"])
def test_what_was_made_from_another_record_is_refused(
    store: Store, recorder: Recorder, doc: bytes | None, there: bytes | None
) -> None:
    """Whoever read what is no longer stored neither replaces nor deletes what is, and whoever
    writes beside it is not concerned."""
    recorder.append(TENANT, draft(), identity=[user("1", ("login", "old"))])
    theirs = user("1", ("login", "new"), doc=there, replaces=b"{}")
    recorder.append(TENANT, draft(), identity=[theirs])
    found = store.scan_identity(None, 10)
    late = user("1", ("login", "old"), doc=doc, replaces=b"{}")
    refused = recorder.submit(TENANT, draft(), identity=[late])
    beside = recorder.submit(TENANT, draft(7))
    with pytest.raises(PreconditionFailed):
        refused.accepted()
    assert beside.accepted()[0].index == 2
    assert store.scan_identity(None, 10) == found
    assert len(found) == (there is not None)


def test_what_a_transaction_wrote_itself_can_be_replaced_in_it(
    store: Store, recorder: Recorder
) -> None:
    writes = [user("1"), user("1", doc=b"[]", replaces=b"{}")]
    recorder.append(TENANT, draft(), identity=writes)
    assert store.identity(TENANT, "user", "1") == (TENANT, "user", "1", b"[]")


def test_lookup_belongs_to_one_record_of_all_tenants(store: Store, recorder: Recorder) -> None:
    recorder.append(TENANT, draft(), identity=[user("1", ("login", "matt"))])
    with pytest.raises(Conflict):
        recorder.append(TENANT, draft(), identity=[user("2", ("login", "matt"))])
    other = user("1", ("login", "matt"), tenant="other")
    with pytest.raises(Conflict):
        recorder.append("other", draft(), identity=[other])
    assert store.log_head("other") is None
    found = store.find_identity("login", "matt")
    assert found is not None
    assert (found.tenant, found.id) == (TENANT, "1")


def test_conflict_undoes_the_entry_too(store: Store, recorder: Recorder) -> None:
    recorder.append(TENANT, draft(), identity=[user("1", ("login", "matt"))])
    head = store.log_head(TENANT)
    with pytest.raises(Conflict), store.transaction() as writer:
        extend(writer, TENANT, identity=(user("2", ("login", "new"), ("login", "matt")),))
    assert store.log_head(TENANT) == head
    assert store.identity(TENANT, "user", "2") is None
    assert store.find_identity("login", "new") is None


def test_records_are_listed_by_tenant_and_id(store: Store, recorder: Recorder) -> None:
    for tenant in ("two", "one"):
        recorder.append(
            tenant, draft(), identity=[user(id, tenant=tenant) for id in ("b", "a", "\x00", "é")]
        )
    ids = ["\x00", "a", "b", "é"]
    assert [row.id for row in store.identities("one", "user")] == ids
    assert [(row.tenant, row.id) for row in store.identities(None, "user")] == [
        (tenant, id) for tenant in ("one", "two") for id in ids
    ]
    assert store.identities("one", "key") == []
    assert store.identities("nobody", "user") == []


def test_lookups_are_told_apart_by_exact_characters(store: Store, recorder: Recorder) -> None:
    texts = ["a\x00b", "a", "é", "e\u0301", "\U0001f9fe"]
    writes = [user(str(n), ("login", text)) for n, text in enumerate(texts)]
    recorder.append(TENANT, draft(), identity=writes)
    for n, text in enumerate(texts):
        found = store.find_identity("login", text)
        assert found is not None
        assert found.id == str(n)


def test_walk_gives_records_with_their_lookups(store: Store, recorder: Recorder) -> None:
    writes = [
        user(f"{n}", ("login", f"l{n}"), ("login", f"\x00{n}"), doc=b"%d" % n) for n in range(7)
    ]
    recorder.append(TENANT, draft(), identity=writes)
    recorder.append("other", draft(), identity=[user("0", tenant="other")])
    walked: list[IdentityWrite] = []
    while page := store.scan_identity(walked[-1][:3] if walked else None, 3):
        walked += page
    expected = [write._replace(lookups=tuple(sorted(write.lookups))) for write in writes]
    assert walked == [*expected, user("0", tenant="other")]
