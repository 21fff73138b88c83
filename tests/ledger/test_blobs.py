"""Blobs are checked against what their records say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.errors import NotFound, StoreCorrupt, UnderHold
from tallystick.events.event import Draft, Resource
from tallystick.identity import acts
from tallystick.identity.replay import identity_differences
from tallystick.ledger import holds
from tallystick.ledger.blob_erasure import erase_blob
from tallystick.ledger.blobs import Blob, Blobs, check_blobs, copy_content
from tallystick.maintenance import fsck
from tallystick.node.node import Node, open_node
from tallystick.settings import Settings
from tallystick.store.base import IdentityWrite, TenantCommit
from tallystick.store.sqlite.blobs import FolderBlobs


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Yield a node with one tenant."""
    opened = open_node(tmp_path / "data", Settings(), followers=False)
    _, act = acts.create_tenant("acme", server_name="x", now_ms=opened.clock.now_ms())
    opened.ledger.administer("acme", act)
    yield opened
    opened.close()


def store(node: Node, content: bytes) -> Blob:
    """Store a blob."""
    upload = node.blobs.content.begin("acme")
    upload.write(content)
    return node.blobs.keep(
        upload, "acme", node.ledger.administer,
        mime_type="text/plain", now_ms=1, dialect="datatrails",
    )  # fmt: skip


def file_of(node: Node, blob: Blob) -> Path:
    """Return the file that holds a blob."""
    (found,) = (node.folder / "blobs").rglob(blob.digest)
    return found


def test_records_are_read_back(node: Node) -> None:
    first, second = store(node, b"one"), store(node, b"one")
    assert node.blobs.get("acme", first.id) == first
    assert node.blobs.get("acme", "none") is None
    assert node.blobs.get("other", first.id) is None
    assert {blob.id for blob in node.blobs.list("acme")} == {first.id, second.id}
    assert node.blobs.read(first, 1, 2) == b"n"


@pytest.mark.parametrize("damage", [b"onE", b"on", b"one!", b"", None])
def test_damaged_content_is_found(node: Node, damage: bytes | None) -> None:
    blob, other = store(node, b"one"), store(node, b"x" * 600_000)
    assert list(check_blobs(node.blobs, ["acme"])) == [None, None]
    path = file_of(node, blob)
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    told = [difference for difference in check_blobs(node.blobs, ["acme"]) if difference]
    assert len(told) == 1
    assert blob.id in told[0]
    assert other.id not in told[0]


def test_content_is_copied_and_damage_found_on_the_way(node: Node, tmp_path: Path) -> None:
    blobs = [store(node, content) for content in (b"", b"one", b"x" * 600_000, b"one")]
    target = FolderBlobs(tmp_path / "copy", tmp_path / "uploads")
    assert copy_content(node.blobs, ["acme"], target) == 3
    there = Blobs(node.store, target)
    assert [there.read(blob, 0, 10**6) for blob in blobs[:2]] == [b"", b"one"]
    assert set(check_blobs(there, ["acme"])) == {None}
    file_of(node, blobs[1]).write_bytes(b"onE")
    with pytest.raises(StoreCorrupt, match=r"blob .* is damaged"):
        copy_content(node.blobs, ["acme"], target)


BY = Resource("user", "dpo")


def erase(node: Node, blob: Blob) -> int:
    """Erase a blob."""
    return erase_blob(node.ledger, node.blobs, "acme", blob.id, dialect="native", actor=BY).index


def is_clean(node: Node) -> str | None:
    """Check everything and return what is wrong."""
    report = fsck.check(node.store, lambda origin: node.key.signer(origin).verifier, replay=True)
    size = node.ledger.proofs.head("acme").size
    assert identity_differences(node.store, "acme", size) == []
    return report.difference


def test_erased_blob_is_gone_from_every_file(node: Node) -> None:
    blob, other = store(node, b"canary-5Zq" * 40_000), store(node, b"other")
    index = erase(node, blob)
    told = node.ledger.view_at("acme", index).first
    assert (told.kind, told.actor, told.target) == ("blob.erased", BY, Resource("blob", blob.id))
    assert node.blobs.get("acme", blob.id) is None
    assert [each.id for each in node.blobs.list("acme")] == [other.id]
    for path in node.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"canary-5Zq" not in content, path
            assert blob.digest.encode() not in content, path
    assert is_clean(node) is None
    with pytest.raises(NotFound):
        erase(node, blob)


def test_content_stays_while_another_blob_has_it(node: Node) -> None:
    first, second = store(node, b"one"), store(node, b"one")
    erase(node, first)
    assert node.blobs.read(second, 0, 9) == b"one"
    erase(node, second)
    assert list((node.folder / "blobs").rglob(first.digest)) == []
    assert is_clean(node) is None


@pytest.mark.parametrize("query", ["kind:signed", "target:blob:{id}", "*"])
def test_blob_under_a_legal_hold_stays(node: Node, query: str) -> None:
    blob = store(node, b"one")
    path = {"arc_blob_identity": f"blobs/{blob.id}"}
    node.ledger.append("acme", [Draft(kind="signed", data={"file": path})])
    text = query.format(id=blob.id)
    _, act = holds.place("acme", text, reason="matter 1", by=BY, now_ms=1, id="h")
    node.ledger.administer("acme", act)
    with pytest.raises(UnderHold):
        erase(node, blob)
    assert node.blobs.read(blob, 0, 9) == b"one"
    _, act = node.ledger.holds.lifted("acme", "h", reason="over", by=BY, now_ms=2)
    node.ledger.administer("acme", act)
    erase(node, blob)
    assert is_clean(node) is None


def test_content_that_no_record_has_is_swept(node: Node) -> None:
    blob = store(node, b"one")
    upload = node.blobs.content.begin("acme")
    upload.write(b"left over")
    left = upload.finish()
    node.blobs.sweep("acme")
    assert not node.blobs.content.has("acme", left.digest)
    assert node.blobs.read(blob, 0, 9) == b"one"


def test_record_planted_after_an_erasure_is_found(node: Node) -> None:
    blob = store(node, b"one")
    row = node.store.identity("acme", "blob", blob.id)
    assert row is not None
    erase(node, blob)
    with node.store.transaction() as writer:
        head = writer.head("acme")
        assert head is not None
        planted = IdentityWrite("acme", "blob", blob.id, row.doc)
        writer.append(TenantCommit(head.size, head, (), (), identity=[planted]))
    report = fsck.check(node.store, lambda origin: node.key.signer(origin).verifier, replay=True)
    assert "deleted it" in (report.difference or "")
