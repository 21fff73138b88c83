"""Blobs over HTTP: streamed in and out, stored once, and only what events may name."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tallystick.identity.access import Scope
from tests.dialects.datatrails.conftest import Account, Json, eventually
from tests.support.live_server import open_server

BLOBS = "/archivist/v1/blobs"


def attachment(blob: Json, **members: str) -> Json:
    """Return the attribute that names a blob."""
    return {
        "arc_attribute_type": "arc_attachment",
        "arc_display_name": "arc_primary_image",
        "arc_blob_hash_value": blob["hash"]["value"],
        "arc_blob_identity": blob["identity"],
        "arc_blob_hash_alg": "SHA256",
        "arc_file_name": "conformance.pdf",
        **members,
    }


def contents_of(account: Account) -> list[Path]:
    """Return the files that hold a server's blobs."""
    folder = account.server.node.folder
    return [path for path in (folder / "blobs").rglob("*") if path.is_file()]


@pytest.mark.row("D-62", "D-63", "D-64")
def test_uploaded_file_has_a_record_and_comes_back(account: Account) -> None:
    content = bytes(range(256)) * 5000
    record = account.upload(content, "image/jpg")
    assert record["hash"] == {"alg": "SHA256", "value": hashlib.sha256(content).hexdigest()}
    assert (record["size"], record["mime_type"]) == (len(content), "image/jpg")
    assert record["tenantid"] == f"tenant/{account.uuid}"
    assert record["scanned_status"] == "NOT_SCANNED"
    path = f"/archivist/v1/{record['identity']}"
    assert account.app.get(f"{path}/info").json() == record
    answer = account.app.get(path, params={"allow_insecure": "true", "strict": "true"})
    assert answer.content == content
    assert answer.headers["content-type"] == "image/jpg"
    assert answer.headers["content-length"] == str(len(content))
    assert "sandbox" in answer.headers["content-security-policy"]
    assert account.app.head(path).headers["content-length"] == str(len(content))


@pytest.mark.parametrize(
    ("asked", "status", "start", "stop"),
    [
        ("bytes=0-4", 206, 0, 5), ("bytes=5-", 206, 5, 1000), ("bytes=-7", 206, 993, 1000),
        ("bytes=990-5000", 206, 990, 1000), ("bytes=-5000", 206, 0, 1000),
        ("bytes=999-999", 206, 999, 1000),
        ("bytes=1-0", 200, 0, 1000), ("bytes=0-1,3-4", 200, 0, 1000), ("lines=1-2", 200, 0, 1000),
        ("bytes=-", 200, 0, 1000), ("bytes=x-", 200, 0, 1000),
    ],
)  # fmt: skip
def test_range_of_a_blob(account: Account, asked: str, status: int, start: int, stop: int) -> None:
    content = bytes(n % 251 for n in range(1000))
    path = f"/archivist/v1/{account.upload(content)['identity']}"
    answer = account.app.get(path, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, content[start:stop])
    assert answer.headers["accept-ranges"] == "bytes"
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/1000"


@pytest.mark.parametrize("asked", ["bytes=1000-", "bytes=5000-6000", "bytes=-0"])
def test_range_outside_is_refused_with_the_size(account: Account, asked: str) -> None:
    path = f"/archivist/v1/{account.upload(bytes(1000))['identity']}"
    answer = account.app.get(path, headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */1000"


def test_same_content_is_stored_once_for_each_tenant(account: Account, stranger: Account) -> None:
    before = len(contents_of(account))
    content = uuid4().bytes
    first, second = account.upload(content, "text/a"), account.upload(content, "text/b")
    assert first["identity"] != second["identity"]
    assert len(contents_of(account)) == before + 1
    assert (
        account.app.get(f"/archivist/v1/{second['identity']}").headers["content-type"] == "text/b"
    )
    stranger.upload(content)
    assert len(contents_of(account)) == before + 2


def test_empty_file_is_a_blob(account: Account) -> None:
    record = account.upload(b"")
    assert record["size"] == 0
    assert account.app.get(f"/archivist/v1/{record['identity']}").content == b""


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"--x\r\n\r\n"),
        ("multipart/form-data; boundary=" + "x" * 300, b""),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"no form at all"),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\na\r\n--x--\r\n',
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\ncut off',
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\na\r\n'
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nb\r\n--x--\r\n',
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n'
            b"Content-Type: no type\r\n\r\na\r\n--x--\r\n",
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 500 + b"\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\na\r\n' * 2_000
            + b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\na\r\n--x--\r\n',
        ),
    ],
)
def test_malformed_upload_is_refused_and_nothing_kept(
    account: Account, kind: str, body: bytes
) -> None:
    before = contents_of(account)
    answer = account.app.post(BLOBS, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400, answer.text
    assert contents_of(account) == before
    assert list((account.server.node.folder / "uploads").glob("*")) == []


def test_other_parts_of_a_form_are_passed_over(account: Account) -> None:
    files = {"note": ("n", b"x" * 1000, "text/plain"), "file": ("f", b"content", "text/plain")}
    answer = account.app.post(BLOBS, files=files, data={"a": "b"})
    assert answer.json()["size"] == len(b"content")


def test_blob_beyond_the_limit_is_refused_before_more_is_read(tmp_path: Path) -> None:
    """A body that says how long it is is refused unread, one that does not once it is too long."""
    with open_server(tmp_path / "data", blob_bytes=100_000) as server:
        account = Account(server)
        assert account.upload(bytes(100_000))["size"] == 100_000
        answer = account.app.post(BLOBS, files={"file": bytes(100_001)})
        assert answer.status_code == 400
        assert "100,000" in answer.json()["message"]
        assert "400" in declared(account, 200_000_000, b"")
        endless = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + bytes(300_000)
        assert "400" in chunked(account, endless)
        assert len(contents_of(account)) == 1
        account.close()


def declared(account: Account, length: int, body: bytes) -> str:
    """Begin an upload of a length, send only `body`, and return the status line of the answer."""
    return _raw(account, f"Content-Length: {length}\r\n\r\n".encode() + body)


def chunked(account: Account, body: bytes) -> str:
    """Begin an upload without a length and without an end; return the status line."""
    return _raw(account, b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body))


def _raw(account: Account, rest: bytes) -> str:
    url = urlsplit(account.server.url)
    head = (
        f"POST {BLOBS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {account.key}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n"
    )
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=60) as connection:
        connection.sendall(head.encode() + rest)
        return connection.recv(65536).decode().split("\r\n")[0]


def test_upload_that_breaks_off_leaves_nothing(account: Account) -> None:
    before = contents_of(account)
    url = urlsplit(account.server.url)
    part = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nhalf of it'
    head = (
        f"POST {BLOBS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {account.key}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000\r\n\r\n"
    )
    connection = socket.create_connection((url.hostname or "", url.port or 0))
    connection.sendall(head.encode() + part)
    connection.close()
    # The next upload is only answered after the loop has seen the first one end.
    account.upload(b"another")
    uploads = account.server.node.folder / "uploads"
    eventually(lambda: list(uploads.glob("*")), lambda left: left == [])
    assert len(contents_of(account)) <= len(before) + 1


@pytest.mark.row("D-61")
def test_blob_of_another_tenant_does_not_exist(account: Account, stranger: Account) -> None:
    record = account.upload(b"mine")
    event = account.create(attributes={"a": attachment(record)})
    uuid = record["identity"].removeprefix("blobs/")
    for path in (
        f"/archivist/v1/{record['identity']}",
        f"/archivist/v1/{record['identity']}/info",
        f"/archivist/v2/attachments/{event['identity']}/{uuid}",
    ):
        assert account.app.get(path).status_code == 200
        assert stranger.app.get(path).status_code == 404
    refused = stranger.app.post("/archivist/v1/events", json={"attributes": event["attributes"]})
    assert refused.status_code == 400


@pytest.mark.row("D-65", "D-66", "D-67")
def test_event_names_blobs_and_its_attachments_are_read_through_it(account: Account) -> None:
    image, other = account.upload(b"image"), account.upload(b"other", "text/plain")
    attributes: Json = {"arc_primary_image": attachment(image), "pages": [attachment(other)]}
    event = account.create(attributes=attributes)
    assert account.read(event["identity"])["attributes"] == attributes
    for blob, content in ((image, b"image"), (other, b"other")):
        uuid = blob["identity"].removeprefix("blobs/")
        path = f"/archivist/v2/attachments/{event['identity']}/{uuid}"
        assert account.app.get(path).content == content
        assert account.app.get(path, headers={"Range": "bytes=1-2"}).content == content[1:3]
        assert account.app.get(f"{path}/info").json() == blob
    unattached = account.upload(b"unattached")["identity"].removeprefix("blobs/")
    path = f"/archivist/v2/attachments/{event['identity']}/{unattached}"
    assert account.app.get(path).status_code == 404
    path = f"/archivist/v2/attachments/events/{uuid4()}/{unattached}"
    assert account.app.get(path).status_code == 404


@pytest.mark.row("D-66")
@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"arc_blob_hash_value": "9f" * 32}, "arc_blob_hash_value"),
        ({"arc_blob_hash_value": ""}, "arc_blob_hash_value"),
        ({"arc_blob_hash_alg": "MD5"}, "arc_blob_hash_alg"),
        ({"arc_blob_identity": f"blobs/{uuid4()}"}, "arc_blob_identity"),
        ({"arc_blob_identity": "blobs/b1234567-890b"}, "arc_blob_identity"),
        ({"arc_blob_identity": str(uuid4())}, "arc_blob_identity"),
        ({"arc_blob_identity": ""}, "arc_blob_identity"),
    ],
)
def test_attribute_that_misstates_its_blob_is_refused(
    account: Account, changed: dict[str, str], path: str
) -> None:
    blob = attachment(account.upload(b"image"), **changed)
    for attributes in ({"arc_primary_image": blob}, {"pages": [{}, blob]}, blob):
        answer = account.app.post("/archivist/v1/events", json={"attributes": attributes})
        assert answer.status_code == 400
        field = answer.json()["details"][0]["fieldViolations"][0]["field"]
        assert field.startswith("attributes.")
        assert field.endswith(path)
    assert account.found() == []


def test_upload_is_an_entry_in_the_log(account: Account) -> None:
    record = account.upload(b"told")
    with account.server.http(account.key) as native:
        log = native.get("/v1/events", params={"view": "log"}).json()["events"]
    entry = next(entry for entry in log if entry["kind"] == "blob.stored")
    assert entry["data"]["sha256"] == record["hash"]["value"]
    assert entry["target"]["id"] == record["identity"].removeprefix("blobs/")


@pytest.mark.parametrize("path", ["/v1/blobs/{}", "/extensions/datatrails/blobs/{}"])
def test_erased_blob_is_not_found(account: Account, path: str) -> None:
    record = account.upload(uuid4().bytes)
    uuid = record["identity"].removeprefix("blobs/")
    event = account.create(attributes={"arc_primary_image": attachment(record)})
    with account.http(account.key_with(Scope.READ, Scope.WRITE)) as writer:
        assert writer.delete(path.format(uuid)).status_code == 403
    with account.http(account.key_with(Scope.READ, Scope.PURGE)) as purger:
        assert purger.delete(path.format(uuid)).status_code == 200
        assert purger.delete(path.format(uuid)).status_code == 404
    assert account.app.get(f"/archivist/v1/{record['identity']}/info").status_code == 404
    through = f"/archivist/v2/attachments/{event['identity']}/{uuid}"
    assert account.app.get(through).status_code == 404
    assert account.read(event["identity"])["attributes"] == event["attributes"]
