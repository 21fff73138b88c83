"""Two servers on one database: they share events, blobs and one public log that both write."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tallystick.data_folder import KEY_FILE
from tests.cli.program import run
from tests.dialects.datatrails import independent_verifier as verifier
from tests.dialects.datatrails.conftest import HEIGHT, Account
from tests.dialects.datatrails.test_blobs import attachment
from tests.dialects.datatrails.test_public_log import verified
from tests.support.live_server import LiveServer, open_server

pytestmark = pytest.mark.needs("postgres")


class Elsewhere(Account):
    """The same account through another server."""

    def __init__(self, first: Account, server: LiveServer) -> None:
        self.server = server
        self.tenant, self.key, self.uuid = first.tenant, first.key, first.uuid
        self.application = first.application
        self._opened = []
        self.admin = self.http(self.key)
        self.anonymous = self.http(None)
        self.app = self.http(self.token())


@pytest.fixture
def accounts(tmp_path: Path, postgres_database: str) -> Iterator[tuple[Account, Account]]:
    """Yield one account through two servers that share a database and a signing key."""
    options: dict[str, Any] = {
        "database": postgres_database, "datatrails": {"massif_height": HEIGHT},
    }  # fmt: skip
    with open_server(tmp_path / "one", **options) as first:
        (tmp_path / "two").mkdir()
        shutil.copy(tmp_path / "one" / KEY_FILE, tmp_path / "two" / KEY_FILE)
        with open_server(tmp_path / "two", tenant=None, **options) as second:
            account = Account(first)
            other = Elsewhere(account, second)
            yield account, other
            other.close()
            account.close()


@pytest.mark.row("D-25", "D-61", "D-62", "D-72", "D-73", "D-74")
def test_servers_that_share_a_database_publish_one_log(accounts: tuple[Account, Account]) -> None:
    made: list[str] = []
    for number in range(12):
        account = accounts[number % 2]
        made.append(account.create(attributes={"n": str(number)}, trails=["t"])["identity"])
    for account in accounts:
        account.confirmed(made[-1])
        log = verified(account)
        shown = account.search("trails/any(t: t eq 't')").json()["events"]
        assert [event["identity"] for event in shown] == made
        for event in shown:
            verifier.check_event(log, event, log_id=account.uuid)
    assert accounts[0].massifs() == accounts[1].massifs()


@pytest.mark.row("D-62", "D-64", "D-67")
def test_blob_uploaded_to_one_server_is_read_from_the_other(
    accounts: tuple[Account, Account],
) -> None:
    first, second = accounts
    content = bytes(range(256)) * 3_000
    record = first.upload(content)
    event = second.create(attributes={"arc_primary_image": attachment(record)})
    uuid = record["identity"].removeprefix("blobs/")
    path = f"/archivist/v2/attachments/{event['identity']}/{uuid}"
    for account in accounts:
        assert account.app.get(path).content == content
        answer = account.app.get(path, headers={"Range": "bytes=262143-262145"})
        assert answer.content == content[262143:262146]


def test_fsck_covers_blobs_and_the_public_log_in_a_database(
    accounts: tuple[Account, Account], postgres_database: str, tmp_path: Path
) -> None:
    first, second = accounts
    for number in range(9):
        event = first.create(attributes={"n": str(number)})
    first.upload(b"content")
    second.confirmed(event["identity"])
    data = ("--database", postgres_database, "--data", str(tmp_path / "two"))
    assert " 1 blobs, " in run("fsck", *data).stdout
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("UPDATE blob_chunks SET data = 'cOntent'")
        assert "its content is not what was uploaded" in run("fsck", *data, code=3).stdout
        connection.execute("UPDATE blob_chunks SET data = 'content'")
        connection.execute(
            "UPDATE public_chunks SET data = set_byte(data, 300, 255 - get_byte(data, 300))"
            " WHERE file = 0 AND chunk = 0"
        )
    assert "massif 0: byte 300" in run("fsck", *data, code=3).stdout
    keyless = run("fsck", *data[:3], str(tmp_path), code=1)
    assert "log.key" in keyless.stderr
