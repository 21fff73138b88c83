"""`tallystick copy`: into a real PostgreSQL and back, cut off or not."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tallystick.data_folder import KEY_FILE
from tallystick.ledger.blobs import Blobs
from tallystick.store.truth import Truth, open_truth
from tests.cli.program import TALLYSTICK, program, run, told
from tests.dialects.datatrails.conftest import HEIGHT, Account, eventually
from tests.maintenance.test_copy import same
from tests.support.live_server import open_server

pytestmark = pytest.mark.needs("postgres")

CONTENT = bytes(range(256)) * 3_000
OPTIONS: dict[str, Any] = {"datatrails": {"massif_height": HEIGHT}}


@pytest.fixture(scope="module")
def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a bit of everything."""
    folder = tmp_path_factory.mktemp("copying") / "data"
    with open_server(folder, **OPTIONS) as server, server.http() as http:
        account = Account(server)
        keyed = {"Idempotency-Key": "1"}
        http.post("/v1/events", json={"kind": "k"}, headers=keyed).raise_for_status()
        account.upload(CONTENT)
        for number in range(9):
            last = account.create(attributes={"n": str(number)})
        account.confirmed(last["identity"])
        account.close()
    return folder


@pytest.fixture
def folder(made_folder: Path, tmp_path: Path) -> Path:
    """Return a data folder with a bit of everything for this test only."""
    return Path(shutil.copytree(made_folder, tmp_path / "data"))


def copy(source: Path | str, target: Path | str, *options: str) -> Any:
    """Copy, see that the command says so, and return what it tells."""
    answer = told("copy", "--from", str(source), "--to", str(target), *options)
    assert (answer["clean"], answer["difference"]) == (True, None)
    return answer


@contextmanager
def opened(place: Path | str, scratch: Path) -> Iterator[Truth]:
    """Open a place."""
    database = place if isinstance(place, str) else None
    with closing(open_truth(scratch if database else Path(place), database)) as truth:
        yield truth


def published(truth: Truth, tenant: str) -> list[Any]:
    """Return a tenant's public files with their seals, and how far they have come."""
    files = truth.public_files
    contents = takewhile(
        lambda content: content is not None, map(files.read, [tenant] * 99, count())
    )
    return [
        files.cursor(tenant),
        *((content, files.seal(tenant, number)) for number, content in enumerate(contents)),
    ]


def assert_same(one: Path | str, two: Path | str, scratch: Path) -> None:
    """See that two places hold the same, byte for byte."""
    with opened(one, scratch) as first, opened(two, scratch) as second:
        assert same(first.store, second.store)
        tenants = first.public_files.tenants()
        assert second.public_files.tenants() == tenants
        [tenant] = tenants
        assert len(published(first, tenant)) > 2
        assert published(first, tenant) == published(second, tenant)
        [blob] = Blobs(first.store, first.blob_content).list(tenant)
        copied = second.blob_content.read(tenant, blob.digest, 0, blob.size + 1)
        assert copied == CONTENT


def test_copy_into_a_database_and_back(
    folder: Path, postgres_database: str, tmp_path: Path
) -> None:
    there = copy(folder, postgres_database)
    assert there["copied"]["blobs"] == 1
    assert there["copied"]["files"] > 2
    assert_same(folder, postgres_database, tmp_path)
    back = tmp_path / "back"
    again = copy(postgres_database, back, "--signing-key", str(folder / KEY_FILE))
    assert again == there
    assert_same(folder, back, tmp_path)
    assert (back / KEY_FILE).read_bytes() == (folder / KEY_FILE).read_bytes()
    assert (back / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert run("fsck", "--data", str(back)).stdout.startswith("clean: 2 logs")


def test_copy_goes_on_growing(folder: Path, postgres_database: str, tmp_path: Path) -> None:
    """Both servers of the copy extend its logs, and the place it came from is refused then."""
    logs = copy(folder, postgres_database)["logs"]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copy(folder / KEY_FILE, tmp_path / name / KEY_FILE)
        data = ("--data", str(tmp_path / name), "--tenant", "default")
        database = {"TALLYSTICK_DATABASE": postgres_database}
        run("append", *data, stdin='{"kind": "later"}', env=database)
    refused = run("copy", "--from", str(folder), "--to", postgres_database, code=1)
    assert "the target has another log of tenant 'default'" in refused.stderr
    answer = copy(postgres_database, tmp_path / "new", "--signing-key", str(folder / KEY_FILE))
    assert [log["size"] for log in answer["logs"]] == [
        log["size"] + 2 * (log["tenant"] == "default") for log in logs
    ]


def wait_until_blocked(database: str) -> None:
    """Return once somebody waits for a lock in the database."""

    def blocked() -> int:
        with psycopg.connect(database) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            ).fetchone()
            assert row is not None
            return int(row[0])

    eventually(blocked, lambda number: number > 0)


def killed_copy(database: str, relation: str, *arguments: str) -> None:
    """Begin a copy, and kill it once it comes to a table, wherever it stands then."""
    with psycopg.connect(database) as connection, tempfile.TemporaryDirectory() as scratch:
        connection.execute(f"LOCK TABLE {relation} IN ACCESS EXCLUSIVE MODE".encode())
        process = subprocess.Popen(
            [str(TALLYSTICK), "copy", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Who is killed leaves its scratch folder behind.
            env={**os.environ, "TMPDIR": scratch},
        )
        wait_until_blocked(database)
        process.kill()
        process.wait()


STAGES = ("claims", "blob_chunks", "public_seals", "identity")
"""Tables that a copy comes to in the midst of the logs, the blobs, the public files, identity."""


def test_copy_that_is_killed_again_and_again_goes_on(
    folder: Path, postgres_database: str, tmp_path: Path
) -> None:
    run("migrate", "--database", postgres_database)
    places = ("--from", str(folder), "--to", postgres_database)
    for relation in STAGES:
        killed_copy(postgres_database, relation, *places)
    server = tmp_path / "server"
    server.mkdir()
    shutil.copy(folder / KEY_FILE, server / KEY_FILE)
    served = ("serve", "--database", postgres_database, "--data", str(server), "--port", "0")
    assert "still being copied" in program(*served, code=1).stderr
    copy(folder, postgres_database)
    assert_same(folder, postgres_database, tmp_path)


def test_copy_into_a_folder_that_is_killed_again_and_again_goes_on(
    folder: Path, postgres_database: str, tmp_path: Path
) -> None:
    copy(folder, postgres_database)
    back = tmp_path / "back"
    key = ("--signing-key", str(folder / KEY_FILE))
    for relation in STAGES:
        killed_copy(
            postgres_database, relation, "--from", postgres_database, "--to", str(back), *key
        )
    refused = program("serve", "--data", str(back), "--port", "0", code=1)
    assert "still being copied" in refused.stderr
    copy(postgres_database, back, *key)
    assert_same(folder, back, tmp_path)


def test_target_that_is_not_empty_is_refused(
    folder: Path, postgres_database: str, tmp_path: Path
) -> None:
    other = str(tmp_path / "other")
    run("tenants", "create", "stranger", "--data", other)
    refused = run("copy", "--from", str(folder), "--to", other, code=1)
    assert "another signing key" in refused.stderr
    copy(other, postgres_database)
    refused = run("copy", "--from", str(folder), "--to", postgres_database, code=1)
    assert "a log of tenant 'stranger'" in refused.stderr
    assert "copy into an empty database or a new folder" in refused.stderr
    with opened(postgres_database, tmp_path) as truth:
        assert [head.tenant for head in truth.store.log_heads()] == ["stranger"]
        assert truth.public_files.tenants() == []


def test_place_that_cannot_be_copied_from_is_refused(
    folder: Path, postgres_database: str, tmp_path: Path
) -> None:
    back = tmp_path / "back"
    keyless = run("copy", "--from", postgres_database, "--to", str(back), code=1)
    assert "--signing-key" in keyless.stderr
    nothing = run("copy", "--from", str(tmp_path), "--to", postgres_database, code=1)
    assert "holds no ledger.db" in nothing.stderr
    with open_server(folder, tenant=None):
        used = run("copy", "--from", str(folder), "--to", postgres_database, code=1)
    assert "another process is using" in used.stderr
    assert not back.exists()


def test_damage_in_the_source_is_named(folder: Path, postgres_database: str) -> None:
    import apsw

    connection = apsw.Connection(str(folder / "ledger.db"))
    connection.execute("UPDATE log SET data = zeroblob(20) WHERE pos & 0xFFFFFFFFFF = 3")
    connection.close()
    found = run("copy", "--from", str(folder), "--to", postgres_database, code=3)
    assert "DIFFERENCE" in found.stdout
    assert "entry 3" in found.stdout


def test_what_is_said_is_for_people_too(folder: Path, postgres_database: str) -> None:
    said = run("copy", "--from", str(folder), "--to", postgres_database)
    lines = said.stdout.splitlines()
    assert lines[0].startswith("copied ")
    assert [line.split()[:3] for line in lines[1:3]] == [
        ["same", "root:", "default"],
        ["same", "root:", lines[2].split()[2]],
    ]
    assert lines[-1].startswith("verified: ")
    assert "tallystick copy --from" in run("copy", "--help").stdout
