"""Blobs are checked against what their records say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.errors import StoreCorrupt
from tallystick.identity import acts
from tallystick.ledger.blobs import Blob, Blobs, add_blob, check_blobs, copy_content
from tallystick.node.node import Node, open_node
from tallystick.settings import Settings
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
    blob, act = add_blob(
        "acme", upload.finish(), mime_type="text/plain", now_ms=1, dialect="datatrails"
    )
    node.ledger.administer("acme", act)
    return blob


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
