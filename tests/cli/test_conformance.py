"""`tallystick conformance` against a real server."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tallystick.cli import main
from tallystick.identity.access import Scope
from tests.cli.program import TALLYSTICK, run
from tests.support.live_server import open_server


def test_transcripts_run_against_a_server(tmp_path: Path) -> None:
    with open_server(tmp_path / "data") as server:
        server.create_tenant("app")
        key = server.create_key("app", (Scope.READ, Scope.WRITE, Scope.PURGE))
        arguments = ["conformance", server.url, "--key", key, "--json"]
        result = CliRunner().invoke(main, [*arguments, "--only", "orchestrate"])
        assert result.exit_code == 0, result.output
        told = json.loads(result.stdout)
        assert "orchestrate/seed" in [outcome["transcript"] for outcome in told]
        assert all(not outcome["failures"] for outcome in told)
        # The seed finds one event, and now there are two.
        again = CliRunner().invoke(main, [*arguments, "--only", "orchestrate/seed"])
        assert again.exit_code == 1
        assert "body.count" in json.loads(again.stdout)[0]["failures"][0]["difference"]
        skipped = CliRunner().invoke(main, ["conformance", server.url, "--only", "kvass/seed"])
        assert skipped.exit_code == 0
        assert "skipped, needs" in skipped.stdout
        given = ["--set", "basic=bm9ib2R5Og==", "--only", "orchestrate/seed"]
        refused = CliRunner().invoke(main, ["conformance", server.url, *given])
        assert refused.exit_code == 1
        assert "expected status 204, got 401" in refused.stdout


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Yield URL and data folder of a server in a process of its own."""
    data = str(tmp_path / "served")
    command = [str(TALLYSTICK), "serve", "--data", data, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    url = server.stdout.readline().split()[-1]
    # What lists and searches has started once these come back; transcripts do not ask twice.
    run("events", "list", "--data", data)
    run("search", "nothing", "--data", data)
    yield url, data
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=60)


def test_transcripts_have_tenants_of_their_own(served: tuple[str, str]) -> None:
    """Two of the same, which would disturb each other, and one that needs tokens of users."""
    url, data = served
    arguments = ["conformance", url, "--fresh", "--data", data, "--json"]
    for _ in range(2):
        only = ["--only", "orchestrate/seed", "--only", "onehub/seed"]
        result = CliRunner().invoke(main, [*arguments, *only])
        assert result.exit_code == 0, result.output
        for outcome in json.loads(result.stdout):
            assert (outcome["missing"], outcome["failures"]) == ([], [])
            assert outcome["exchanges"]


def test_folder_of_another_server_is_no_help(tmp_path: Path) -> None:
    with open_server(tmp_path / "data") as server:
        elsewhere = ["--fresh", "--data", str(tmp_path / "other"), "--only", "kvass/seed"]
        result = CliRunner().invoke(main, ["conformance", server.url, *elsewhere])
    assert result.exit_code == 1
    assert "--data names the folder of another server" in result.output


def test_unknown_transcript_is_a_usage_error() -> None:
    for wrong in (["--only", "huh"], ["--set", "x"]):
        result = CliRunner().invoke(main, ["conformance", "http://127.0.0.1:1", *wrong])
        assert result.exit_code == 2
