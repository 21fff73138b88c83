"""`tallystick conformance` against a real server."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from tallystick.access import Scope
from tallystick.cli import main
from tests.serving import open_server


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


def test_unknown_transcript_is_a_usage_error() -> None:
    for wrong in (["--only", "huh"], ["--set", "x"]):
        result = CliRunner().invoke(main, ["conformance", "http://127.0.0.1:1", *wrong])
        assert result.exit_code == 2
