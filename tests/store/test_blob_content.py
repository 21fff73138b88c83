"""The content of blobs: what every implementation promises of bytes that were uploaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.errors import StoreCorrupt, StoreFailed
from tallystick.store.blob_content import BlobContent, Content
from tallystick.store.postgres.blobs import PostgresBlobs
from tallystick.store.sqlite.blobs import FolderBlobs, forget_uploads


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))])
def content(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobContent]:
    """Yield an empty store of content of each kind."""
    if request.param == "sqlite":
        yield FolderBlobs(tmp_path / "blobs", tmp_path / "uploads")
        return
    opened = PostgresBlobs(request.getfixturevalue("postgres_tables"), tmp_path / "uploads")
    yield opened
    opened.close()


def upload(content: BlobContent, tenant: str, *pieces: bytes) -> Content:
    """Store content piece by piece."""
    begun = content.begin(tenant)
    for piece in pieces:
        begun.write(piece)
    stored = begun.finish()
    begun.abort()
    return stored


@pytest.mark.parametrize("pieces", [(), (b"",), (b"one",), (b"a" * 700_000, b"b", b"c" * 300_000)])
def test_content_comes_back_by_its_digest(content: BlobContent, pieces: tuple[bytes, ...]) -> None:
    whole = b"".join(pieces)
    stored = upload(content, "acme", *pieces)
    assert stored == Content(hashlib.sha256(whole).hexdigest(), len(whole))
    for start, stop in ((0, len(whole)), (0, len(whole) + 9), (1, 5), (699_999, 700_002), (5, 5)):
        assert content.read("acme", stored.digest, start, stop) == whole[start:stop]


def test_same_content_may_be_uploaded_again(content: BlobContent) -> None:
    assert upload(content, "acme", b"x") == upload(content, "acme", b"x")


def test_content_belongs_to_a_tenant(content: BlobContent) -> None:
    stored = upload(content, "../etc", b"x")
    assert content.read("../etc", stored.digest, 0, 9) == b"x"
    with pytest.raises(StoreCorrupt):
        content.read("other", stored.digest, 0, 9)


def test_aborted_upload_leaves_nothing(content: BlobContent, tmp_path: Path) -> None:
    begun = content.begin("acme")
    begun.write(b"half")
    begun.abort()
    begun.abort()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    with pytest.raises(StoreCorrupt):
        content.read("acme", hashlib.sha256(b"half").hexdigest(), 0, 9)


def test_upload_of_an_earlier_process_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "tmpabc").write_bytes(b"half")
    forget_uploads(tmp_path / "uploads")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "uploads").write_text("a file")
    with pytest.raises(StoreFailed):
        FolderBlobs(tmp_path / "blobs", tmp_path / "uploads").begin("acme")


def test_removed_content_is_gone_and_may_come_again(content: BlobContent) -> None:
    begun = content.begin("acme")
    begun.write(b"canary" * 100_000)
    stored = begun.finish()
    assert begun.digest == stored.digest
    other = upload(content, "acme", b"other")
    upload(content, "stranger", b"canary" * 100_000)
    content.remove("acme", stored.digest)
    content.remove("acme", stored.digest)
    assert not content.has("acme", stored.digest)
    assert content.has("stranger", stored.digest)
    assert content.digests("acme") == [other.digest]
    with pytest.raises(StoreCorrupt):
        content.read("acme", stored.digest, 0, 9)
    assert upload(content, "acme", b"canary" * 100_000) == stored
    assert content.read("acme", stored.digest, 0, 6) == b"canary"
