"""The command line on a data folder and on a server."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.cli.program import program, run, served, told
from tests.support.live_server import LiveServer, open_server


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return a data folder with one tenant, made before any server ran on it."""
    path = str(tmp_path / "data")
    run("tenants", "create", "acme", "--data", path, "--id", "57ee9c71d76d431f8511142f")
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    """Serve an empty store."""
    with open_server(tmp_path / "served") as live:
        yield live


def test_a_folder_works_without_a_server(folder: str, tmp_path: Path) -> None:
    lines = '{"kind": "a", "actor": {"type": "user", "id": "1", "name": "Al"}}\n{"kind": "b"}\n'
    stored = program("append", "--data", folder, stdin=lines)
    ids = stored.stdout.split()[:2]
    listed = told("events", "list", "--data", folder)
    assert [event["id"] for event in listed] == ids[::-1]
    assert told("events", "list", "--data", folder, "--actor", "user:1")[0]["kind"] == "a"
    assert json.loads(program("events", "get", ids[0], "--data", folder).stdout)["kind"] == "a"
    file = tmp_path / "receipt.json"
    run("receipt", ids[0], "--data", folder, "--out", str(file))
    loose = run("verify", str(file))
    assert "key         not pinned" in loose.stdout
    vkey = run("keys", "log", "--data", folder).stdout.strip()
    pinned = json.loads(run("verify", str(file), "--key", vkey, "--json").stdout)
    assert (pinned["verified"], pinned["key_pinned"]) == (True, True)
    assert run("fsck", "--data", folder).stdout.startswith("clean: 1 logs, 3 entries")


def test_verification_that_fails_exits_with_three(folder: str, tmp_path: Path) -> None:
    event_id = run("append", "--data", folder, stdin='{"kind": "a"}').stdout.split()[0]
    receipt = json.loads(run("receipt", event_id, "--data", folder).stdout)
    receipt["index"] += 1
    file = tmp_path / "forged.json"
    file.write_text(json.dumps(receipt))
    assert run("verify", str(file), code=3).stderr.startswith("tallystick: ")
    file.write_text("not a receipt")
    program("verify", str(file), code=3)


def test_a_remote_server_is_reached_by_url_and_key(server: LiveServer) -> None:
    reach = {"TALLYSTICK_URL": server.url, "TALLYSTICK_KEY": server.admin_key}
    run("append", stdin='{"kind": "a"}', env=reach)
    listed = run("events", "list", "--json", env=reach)
    assert [event["kind"] for event in json.loads(listed.stdout)] == ["a"]
    wrong = run("events", "list", "--url", server.url, "--key", "tlk_wrong", code=1)
    assert wrong.stderr == "tallystick: the key is unknown or revoked\n"
    run("events", "list", "--url", "http://127.0.0.1:9", "--key", "x", code=1)


def test_a_tenant_may_keep_its_log_to_itself(server: LiveServer) -> None:
    reach = ("--url", server.url, "--key", server.admin_key)
    log_id = told("tenants", "list", *reach)[0]["log_id"]
    checkpoint = f"{server.url}/log/{log_id}/checkpoint"
    assert told("tenants", "policy", "--log", "private", *reach)["public_log"] is False
    assert httpx2.get(checkpoint).status_code == 401
    said = run("tenants", "policy", "--log", "public", *reach).stdout
    assert said == "the log of default is public now; reads recorded: off\n"
    assert httpx2.get(checkpoint).status_code == 200
    run("tenants", "policy", *reach, code=2)


def test_identity_is_made_from_the_command_line(folder: str) -> None:
    data = ("--data", folder)
    key = told("keys", "create", "--tenant", "57ee9c71d76d431f8511142f", "--scope", "admin", *data)
    assert set(key) >= {"id", "tenant", "scope", "key"}
    user = told(
        "users", "create", "--id", "481", "--login", "matt", "--name", "Matthew Anderson",
        "--time-zone", "America/Los_Angeles", "--password-stdin", *data, stdin="a long secret\n",
    )  # fmt: skip
    assert user["id"] == "481"
    grant = ("--user", "481", "--scope", "workspace:4137")
    told("grants", "add", *grant, "--role", "Moderator", *data)
    assert told("grants", "list", "--user", "481", *data) == [
        {"scope": "workspace:4137", "role": "Moderator"}
    ]
    told("grants", "revoke", *grant, *data)
    assert told("grants", "list", "--user", "481", *data) == []
    assert [row["id"] for row in told("keys", "list", *data)] == [key["id"]]
    told("keys", "revoke", key["id"], *data)
    assert told("tenants", "list", *data)[0]["hex"] == "57ee9c71d76d431f8511142f"


def test_several_tenants_ask_for_a_choice(folder: str) -> None:
    run("tenants", "create", "other", "--data", folder)
    for command in (("events", "list"), ("users", "list")):
        assert "--tenant" in run(*command, "--data", folder, code=1).stderr
    assert told("events", "list", "--data", folder, "--tenant", "other") == []
    run("events", "list", "--data", folder, "--tenant", "nobody", code=1)


@pytest.mark.parametrize("command", [("events", "list"), ("users", "list")], ids=" ".join)
def test_a_store_without_tenants_says_so(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = run(*command, "--data", str(tmp_path / "empty"), code=1)
    assert "the store has no tenant yet" in result.stderr


def test_a_backup_restores_to_the_same_log(folder: str, tmp_path: Path) -> None:
    run("append", "--data", folder, stdin='{"kind": "a"}\n{"kind": "b"}')
    file = tmp_path / "backup.tar"
    run("backup", str(file), "--data", folder)
    run("backup", str(file), "--data", folder, code=1)
    restored = str(tmp_path / "restored")
    run("restore", str(file), "--data", restored)
    assert told("events", "list", "--data", restored) == told("events", "list", "--data", folder)
    log_key = ("keys", "log", "--data")
    assert run(*log_key, restored).stdout == run(*log_key, folder).stdout
    run("restore", str(file), "--data", restored, code=1)
    damaged = bytearray(file.read_bytes())
    at = damaged.index(b'{"kind"') if b'{"kind"' in damaged else len(damaged) // 2
    damaged[at] ^= 1
    file.write_bytes(damaged)
    run("restore", str(file), "--data", str(tmp_path / "damaged"), code=1)


def test_fsck_names_the_first_difference(folder: str) -> None:
    import apsw

    run("append", "--data", folder, stdin='{"kind": "a"}\n{"kind": "b"}')
    connection = apsw.Connection(str(Path(folder) / "ledger.db"))
    connection.execute("UPDATE log SET data = zeroblob(20) WHERE pos & 0xFFFFFFFFFF = 1")
    connection.close()
    found = run("fsck", "--data", folder, code=3)
    assert "DIFFERENCE" in found.stdout
    assert "entry 1" in found.stdout


def test_serve_tells_url_and_key_and_stops_cleanly(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    server, said = served("--data", data, "--demo")
    reach = ("--url", said["url"], "--key", said["key"])
    assert len(told("events", "list", "--limit", "1000", *reach)) == 500
    # A command on the same folder goes through the running server's socket.
    assert len(told("tenants", "list", "--data", data)) == 1
    link = run("console-link", "--data", data).stdout.strip()
    assert link.startswith(f"{said['url']}/console/sign-in/")
    assert httpx2.get(link).headers["location"] == "/console"
    assert httpx2.get(link).status_code == 401
    refused = program("serve", "--data", data, "--port", "0", code=1)
    assert "another process is using" in refused.stderr
    server.send_signal(signal.SIGINT)
    _, errors = server.communicate(timeout=60)
    assert server.returncode == 0
    assert errors.rstrip().endswith("tallystick: stopped")
    assert not (Path(data) / "control.sock").exists()
    assert run("fsck", "--data", data).stdout.startswith("clean")
    assert "no server runs" in run("console-link", "--data", data, code=1).stderr


def test_second_interrupt_ends_the_server_without_a_traceback(tmp_path: Path) -> None:
    """Pressed while the server still waits for a reader of its live tail."""
    server, said = served("--data", str(tmp_path / "data"))
    headers = {"Authorization": f"Bearer {said['key']}"}
    with httpx2.stream("GET", f"{said['url']}/v1/events/stream", headers=headers) as tail:
        assert tail.status_code == 200
        server.send_signal(signal.SIGINT)
        time.sleep(0.05)
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=30)
    assert "Traceback" not in errors
    assert errors.rstrip().endswith("tallystick: stopped")


def test_a_tenant_that_no_path_could_name_is_not_made(folder: str) -> None:
    done = run("tenants", "create", "acme/eu", "--data", folder, code=1)
    assert "a tenant's id has no slash" in done.stderr


def test_wrong_usage_exits_with_two(folder: str) -> None:
    run("events", "list", "--limit", "0", "--data", folder, code=2)
    program("nonsense", code=2)


def test_append_reports_refused_lines_and_stores_the_others(folder: str) -> None:
    done = run("append", "--data", folder, stdin='\n{"kind": "a"}\n\n{"kind": ""}\n', code=1)
    assert "line 4: kind must not be empty" in done.stderr
    assert len(told("events", "list", "--data", folder)) == 1


@pytest.mark.parametrize("text", ['[{"kind": "a"}, {"kind": "b"}]', '{\n "kind":\n "a"\n}'])
def test_append_takes_an_array_or_one_object_over_many_lines(folder: str, text: str) -> None:
    run("append", "--data", folder, stdin=text)
    assert told("events", "list", "--data", folder)[-1]["kind"] == "a"


@pytest.mark.parametrize("broken", ['{"kind": "a"', "kind: a", '{"kind": "\\ud800"}'])
def test_a_broken_line_spoils_no_other_wherever_it_stands(folder: str, broken: str) -> None:
    for lines in ([broken, '{"kind": "b"}', '{"kind": "c"}'], ['{"kind": "d"}', broken]):
        done = run("append", "--data", folder, stdin="\n".join(lines), code=1)
        assert done.stdout.endswith(f"{len(lines) - 1} stored, 1 refused\n")
        assert f"line {lines.index(broken) + 1}: " in done.stderr
    refused = run("append", "--data", folder, stdin=broken, code=1)
    assert "Traceback" not in refused.stderr


def test_oauth_clients_are_made_listed_and_deleted(folder: str) -> None:
    made = told("clients", "create", "old app", "--data", folder, "--id", "app-1", "--secret",
                "s" * 64, "--dialect", "datatrails")  # fmt: skip
    assert (made["id"], made["secret"], made["scope"]) == ("app-1", "s" * 64, "read write")
    listed = told("clients", "list", "--data", folder)
    assert [(client["id"], client["dialect"]) for client in listed] == [("app-1", "datatrails")]
    assert "secret" not in listed[0]
    told("clients", "delete", "app-1", "--data", folder)
    assert told("clients", "list", "--data", folder) == []


def test_users_are_made_changed_and_deleted(folder: str) -> None:
    place = ("--data", folder)
    told("users", "create", "--id", "481", "--login", "matt", "--name", "Matt", *place)
    assert (
        "name at least one thing to change" in run("users", "change", "481", *place, code=2).stderr
    )
    run("users", "change", "481", "--name", "", "--email", "m@example.com", "--disable", *place)
    [user] = told("users", "list", *place)
    shown = {name: user[name] for name in ("id", "login", "name", "email", "disabled")}
    assert list(shown.values()) == ["481", "matt", None, "m@example.com", True]
    run("users", "change", "481", "--enable", "--password-stdin", *place, stdin="a long secret\n")
    log = told("events", "list", "--log", *place)
    assert log[0]["data"] == {"disabled": False, "password": "changed"}
    told("users", "delete", "481", *place)
    assert told("users", "list", *place) == []


def test_holds_are_placed_listed_and_lifted(folder: str) -> None:
    lines = '{"kind": "order.created", "target": {"type": "order", "id": "17"}}'
    run("append", "--data", folder, stdin=lines)
    place = ("holds", "place", "matter-1", "--query", "target:order:17", "--data", folder)
    assert "Missing option '--reason'" in run(*place, code=2).stderr
    placed = run(*place, "--reason", "Smith v. Acme").stdout
    assert placed == "hold matter-1 placed on target:order:17; events held: 1\n"
    nothing = run("holds", "place", "--query", "data.n:>5", "--reason", "r", "--data", folder)
    assert nothing.stdout.endswith("events held: 0\n")
    assert "warning: no event matches" in nothing.stderr
    refused = run("holds", "place", "--query", "a = b", "--reason", "r", "--data", folder, code=1)
    assert "= is no operator" in refused.stderr
    hold = next(h for h in told("holds", "list", "--data", folder) if h["id"] == "matter-1")
    assert (hold["id"], hold["reason"]) == ("matter-1", "Smith v. Acme")
    assert hold["placed_by"] == {"type": "operator", "id": "control.sock", "name": None}
    run("holds", "lift", "matter-1", "--reason", "settled", "--data", folder)
    assert "matter-1" not in [h["id"] for h in told("holds", "list", "--data", folder)]
    held = told("holds", "list", "--all", "--data", folder)
    lifted = next(h for h in held if h["id"] == "matter-1")
    assert lifted["lift_reason"] == "settled"
    again = run("holds", "lift", "matter-1", "--reason", "x", "--data", folder, code=1)
    assert "lifted already" in again.stderr
    (unnamed,) = [told("holds", "place", "--query", "*", "--reason", "all", "--data", folder)]
    assert unnamed["id"]
