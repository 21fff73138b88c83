"""`tallystick import cloudfoundry`, from one Tallystick that plays the Cloud Controller."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.program import run
from tests.support.live_server import TENANT, open_server

EVENT = {
    "metadata": {"created_at": "2014-06-20T00:18:46Z"},
    "entity": {
        "type": "audit.app.create", "actor": "u1", "actor_type": "user", "actor_name": "Al",
        "actee": "a1", "actee_type": "app", "actee_name": "dora",
        "timestamp": "2014-06-20T00:18:46Z", "metadata": {},
        "space_guid": "s1", "organization_guid": "o1",
    },
}  # fmt: skip


def test_events_are_copied_once_whatever_how_often_it_runs(tmp_path: Path) -> None:
    with open_server(tmp_path / "source") as source, open_server(tmp_path / "here") as here:
        source.create_user(TENANT, "auditor", login="auditor", password="secret")
        source.grant(TENANT, "auditor", "tenant:*", "global_auditor")
        with source.http() as http:
            for _ in range(3):
                assert http.post("/extensions/cloudfoundry/events", json=EVENT).is_success
        command = (
            "import", "cloudfoundry", source.url, "--username", "auditor", "--secret-stdin",
            "--url", here.url, "--key", here.admin_key, "--json",
        )  # fmt: skip
        first = json.loads(run(*command, stdin="secret\n").stdout)
        assert (first["stored"], first["skipped"]) == (3, 0)
        assert json.loads(run(*command, stdin="secret\n").stdout)["stored"] == 0
        wrong = run(*command, stdin="wrong\n", code=1)
        assert "Bad credentials" in wrong.stderr
        with source.http() as theirs, here.http() as ours:
            path = "/v2/events?results-per-page=100"
            assert ours.get(path).json() == theirs.get(path).json()


def test_a_user_or_a_client_must_be_named() -> None:
    run("import", "cloudfoundry", "http://127.0.0.1:9", code=2)
