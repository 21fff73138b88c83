"""`tallystick erase`: a dry run, the question, and what is left of a person afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import run, told

EVENT = {"kind": "call", "actor": {"type": "user", "id": "481", "name": "Ada Canary"}}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return a data folder with one event of a person."""
    folder = str(tmp_path / "data")
    run("tenants", "create", "acme", "--data", folder)
    run("append", "-", "--data", folder, stdin=json.dumps(EVENT) + "\n")
    return folder


def test_person_is_erased_after_a_question(folder: str) -> None:
    subject = ("--subject", "user:481", "--data", folder)
    planned = told("erase", "--dry-run", *subject)
    assert planned == {"events": 1, "kinds": {"call": 1}, "blocked": []}
    assert "entries to erase: 1" in run("erase", "--dry-run", *subject).stdout
    assert "--reason" in run("erase", *subject, code=2).stderr
    reason = ("--reason", "letter 9")
    assert "cannot be undone" in run("erase", *subject, *reason, stdin="n\n", code=1).stderr
    assert "Canary" in run("events", "list", "--json", "--data", folder).stdout
    done = told("erase", *subject, *reason, "--yes")
    assert (done["state"], done["erased"], done["requested_by"]) == (
        "done",
        1,
        "operator:control.sock",
    )
    assert "Canary" not in run("events", "list", "--json", "--data", folder).stdout
    assert "user:481" in run("erase", *subject, *reason, "--yes", code=1).stderr
    assert told("fsck", "--data", folder)["clean"] is True
