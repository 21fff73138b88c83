"""Servers on one PostgreSQL: what one stores the other shows, over sockets."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from structlog.testing import capture_logs

from tallystick.log.keys import open_log_key
from tests.cli.program import run, told
from tests.support.live_server import TENANT, open_server


@pytest.mark.needs("postgres")
def test_two_servers_share_one_log(postgres_database: str, tmp_path: Path) -> None:
    dry = run("migrate", "--database", postgres_database, "--dry-run").stdout
    assert dry.startswith("would apply 1 ")
    pending = told("migrate", "--database", postgres_database, "--dry-run")
    assert (pending["dry_run"], pending["migrations"][0]) == (True, "log")
    assert run("migrate", "--database", postgres_database).stdout.startswith("applied 1 ")
    assert run("migrate", "--database", postgres_database).stdout == "the schema is up to date\n"
    with open_server(tmp_path / "a", database=postgres_database) as first:
        (tmp_path / "b").mkdir()
        shutil.copy(tmp_path / "a" / "log.key", tmp_path / "b" / "log.key")
        with first.http() as http:
            stored = http.post("/v1/events", json={"kind": "k", "data": {"n": 1}}).json()
            with (
                open_server(tmp_path / "b", database=postgres_database, tenant=None) as second,
                second.http(first.admin_key) as other,
            ):
                assert other.get("/v1/events").json()["events"][0]["id"] == stored["id"]
                again = other.post("/v1/events", json={"kind": "l"}).json()
                assert again["index"] == stored["index"] + 1
            kinds = [event["kind"] for event in http.get("/v1/events").json()["events"]]
            assert kinds == ["l", "k"]
            found = http.get("/v1/events", params={"q": "data.n:1", "total": "true"}).json()
            assert found["total"] == 1


@pytest.mark.needs("postgres")
def test_changes_of_a_user_through_two_servers_are_all_kept(
    postgres_tables: str, tmp_path: Path
) -> None:
    """Grants beside new names beside being shut out, of one user, at once through both."""
    users = f"/v1/admin/tenants/{TENANT}/users"
    with open_server(tmp_path / "a", database=postgres_tables) as first:
        (tmp_path / "b").mkdir()
        shutil.copy(tmp_path / "a" / "log.key", tmp_path / "b" / "log.key")
        with (
            open_server(tmp_path / "b", database=postgres_tables, tenant=None) as second,
            first.http() as one,
            second.http(first.admin_key) as other,
            ThreadPoolExecutor(8) as threads,
        ):
            assert one.post(users, json={"id": "481", "login": "matt"}).status_code == 201

            def change(n: int) -> int:
                http = (one, other)[n // 4 % 2]
                if n % 4:
                    body = {"scope": f"workspace:{n}", "role": "Viewer"}
                    return http.post(f"{users}/481/grants", json=body).status_code
                changes = {"disabled": True} if n == 8 else {"name": str(n)}
                return http.patch(f"{users}/481", json=changes).status_code

            answers = list(threads.map(change, range(48)))
            assert answers == [201 if n % 4 else 200 for n in range(48)]
            for http in (one, other):
                [user] = http.get(users).json()["users"]
                assert user["disabled"]
                assert {grant["scope"] for grant in user["grants"]} == {
                    f"workspace:{n}" for n in range(48) if n % 4
                }


@pytest.mark.needs("postgres")
def test_a_server_with_another_key_refuses_to_extend(
    postgres_database: str, tmp_path: Path
) -> None:
    with open_server(tmp_path / "a", database=postgres_database) as first:
        key = first.admin_key
    (tmp_path / "b").mkdir()
    open_log_key(tmp_path / "b" / "log.key", "localhost")
    with (
        open_server(
            tmp_path / "b", database=postgres_database, tenant=None, checked=False
        ) as second,
        second.http(key) as http,
    ):
        # A balancer need not lose a request to learn of it.
        assert http.get("/readyz").status_code == 503
        answer = http.post("/v1/events", json={"kind": "k"})
        assert answer.status_code == 503
        assert "another key" in answer.json()["detail"]
        assert http.get("/readyz").status_code == 503


@pytest.mark.needs("postgres")
def test_a_server_without_the_key_of_the_database_makes_none(
    postgres_database: str, tmp_path: Path
) -> None:
    place = ("--database", postgres_database, "--data")
    run("tenants", "create", "acme", *place, str(tmp_path / "a"))
    refused = run("events", "list", *place, str(tmp_path / "b"), code=1)
    assert "holds no log.key" in refused.stderr
    assert not (tmp_path / "b" / "log.key").exists()


@pytest.mark.needs("postgres")
def test_every_command_takes_the_database(postgres_database: str, tmp_path: Path) -> None:
    place = ("--database", postgres_database, "--data", str(tmp_path / "node"))
    run("tenants", "create", "acme", *place)
    event_id = run("append", *place, stdin='{"kind": "k", "data": {"n": 1}}').stdout.split()[0]
    assert event_id in run("events", "list", "--json", *place).stdout
    assert event_id in run("search", "data.n:1", "--json", *place).stdout
    assert run("fsck", *place).stdout.startswith("clean: 1 logs, 2 entries")
    assert not (tmp_path / "node" / "ledger.db").exists()
    run("events", "list", *place, "--url", "http://127.0.0.1:9", code=2)


@pytest.mark.needs("postgres")
def test_what_was_erased_is_scrubbed_and_the_rest_is_told(
    postgres_database: str, tmp_path: Path
) -> None:
    place = ("--database", postgres_database)
    with open_server(tmp_path / "data", database=postgres_database) as server:
        with server.http() as http:
            event = http.post("/v1/events", json={"kind": "k", "data": {"secret": "x"}}).json()
            erased = http.post(f"/v1/events/{event['id']}/retract", json={"erase": True})
            assert erased.status_code == 200
        assert told("scrub", *place, "--dry-run")["unscrubbed"] > 0
    done = told("scrub", *place)
    assert (done["unvacuumed"], done["unscrubbed"]) == (0, 0)
    assert (done["is_archiving"], done["standbys"], done["slots"]) == (False, [], [])
    said = run("scrub", *place, "--dry-run").stdout
    assert said.startswith("tables with erased rows: 0 to be vacuumed, 0 to be rewritten\n")
    assert said.endswith("standbys: none\nreplication slots: none\n")


@pytest.mark.needs("postgres")
def test_what_the_database_says_is_told_to_the_operator_only(
    postgres_url: str, postgres_database: str, tmp_path: Path
) -> None:
    """A caller learns that something is wrong, and neither host nor user nor file."""
    place = ("--database", postgres_database)
    with (
        open_server(tmp_path / "node", database=postgres_database) as server,
        server.http() as http,
    ):
        with closed(postgres_url, postgres_database), capture_logs() as logged:
            answer = http.get("/v1/events")
            refused = run("fsck", *place, "--data", str(tmp_path / "node"), code=1)
        assert answer.status_code == 503
        assert answer.json()["detail"] == "the database is temporarily unavailable"
        said = "not currently accepting connections"
        assert any(said in line.get("reason", "") for line in logged)
        assert said in refused.stderr
        assert http.get("/v1/events").status_code == 200


@contextmanager
def closed(postgres_url: str, database: str) -> Iterator[None]:
    """Let nobody into a database for one block, and end who is in."""
    name = urlsplit(database).path.removeprefix("/")
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(end, (name,))
        yield
        connection.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


def test_backups_are_of_folders(tmp_path: Path) -> None:
    database = ("--database", "postgresql://nowhere", "--data", str(tmp_path / "node"))
    assert "pg_dump" in run("backup", str(tmp_path / "night.tar"), *database, code=1).stderr
    (tmp_path / "old.tar").touch()
    assert "tallystick copy" in run("restore", str(tmp_path / "old.tar"), *database, code=1).stderr
