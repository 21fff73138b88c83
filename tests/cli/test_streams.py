"""Streams from the command line, on the folder itself."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tallystick.store.sqlite.stream_states import SqliteStreamStates
from tallystick.store.stream_states import Save
from tests.cli.program import run, told
from tests.subscriptions.streams.receivers import receiving


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Return the options for a folder with one tenant, which may send to this machine."""
    monkeypatch.setenv("TALLYSTICK_STREAMS_ALLOW", "127.0.0.0/8")
    place = ("--data", str(tmp_path / "data"))
    run("tenants", "create", "acme", *place)
    return place


def test_a_stream_lives_through_all_its_commands(data: tuple[str, str]) -> None:
    with receiving() as receiver:
        made = run(
            "streams", "create", "siem", "--sink", "webhook", "--to", receiver.url,
            "--kind", "order.*", "--kind", "user.*", "-q", "data.total:>10",
            "--header", "X-Team: audit", "--from", "start", *data,
        ).stdout  # fmt: skip
        assert "whsec_" in made
        assert "whpk_" in made
        assert run("streams", "test", "siem", *data).stdout.startswith("the receiver took it in")
        assert receiver.taken[0].headers["x-team"] == "audit"
    (row,) = told("streams", "list", *data)
    assert row["filter"] == {"kind": ["order.*", "user.*"], "q": "data.total:>10"}
    assert (row["position"], row["created_by"]["type"]) == (0, "operator")
    assert "siem" in run("streams", "list", *data).stdout
    assert told("streams", "pause", "siem", "--reason", "night", *data)["reason"] == "night"
    assert "night" in run("streams", "show", "siem", *data).stdout
    assert "resumed" in run("streams", "resume", "siem", *data).stdout
    assert told("streams", "skip", "siem", "--to", "now", *data)["position"] > 0
    assert told("streams", "replay", "siem", "--from", "0", *data)["position"] == 0
    replayed = told("streams", "replay", "siem", "--from", "0", "--to", "1", *data)
    assert replayed["state"] == "active"
    assert told("streams", "rotate-secret", "siem", *data)["secret"] not in made
    assert told("streams", "show", "siem", "--deliveries", *data) == []
    assert told("streams", "show", "siem", "--dead", *data) == []
    assert "deleted" in run("streams", "delete", "siem", *data).stdout
    assert told("streams", "list", *data) == []


def test_a_test_that_fails_says_why_and_exits_1(data: tuple[str, str]) -> None:
    run("streams", "create", "s", "--sink", "otlp", "--to", "http://127.0.0.1:1", *data)
    failed = run("streams", "test", "s", *data, code=1)
    assert failed.stdout == "the receiver cannot be reached: Connection refused\n"


def test_a_header_without_a_colon_is_a_usage_error(data: tuple[str, str]) -> None:
    wrong = run(
        "streams", "create", "s", "--sink", "otlp", "--to", "https://x.example",
        "--header", "X-Team audit", *data, code=2,
    )  # fmt: skip
    assert "--header is written NAME:VALUE" in wrong.stderr


def test_how_far_streams_have_come_is_in_a_backup(data: tuple[str, str], tmp_path: Path) -> None:

    states = SqliteStreamStates(tmp_path / "data" / "streams.db")
    assert states.acquire("acme", "s")
    states.save("acme", "s", Save(b"{}"))
    states.close()
    backup = tmp_path / "night.tar"
    run("backup", str(backup), *data)
    with tarfile.open(backup) as archive:
        assert "streams.db" in archive.getnames()
    run("restore", str(backup), "--data", str(tmp_path / "restored"))
    restored = SqliteStreamStates(tmp_path / "restored" / "streams.db")
    assert restored.load("acme", "s") == b"{}"
    restored.close()
