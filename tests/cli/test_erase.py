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


def test_erasure_survives_a_restore_and_is_certified(folder: str, tmp_path: Path) -> None:
    saved, again, proof = tmp_path / "night.tar", str(tmp_path / "again"), tmp_path / "proof.json"
    run("backup", str(saved), "--data", folder)
    run(
        "erase", "--subject", "user:481", "--reason", "r", "--yes", "--data", folder,
        "--certificate", str(proof),
    )  # fmt: skip
    certificate = json.loads(proof.read_bytes())
    assert (certificate["events"], len(certificate["positions"])) == (1, 1)
    assert "481" not in json.dumps([certificate["kinds"], certificate["format"]])
    assert b"Canary" not in proof.read_bytes()
    for number, receipt in enumerate(certificate["receipts"]):
        (tmp_path / f"{number}.json").write_text(json.dumps(receipt))
        assert "verified: entry" in run("verify", str(tmp_path / f"{number}.json")).output
    erasures = Path(folder) / "erasures.jsonl"
    assert b"user" not in erasures.read_bytes()
    done = told("restore", str(saved), "--data", again, "--erasures", str(erasures))
    assert (done["clean"], done["erased_again"]) == (True, 1)
    assert "Canary" not in run("events", "list", "--json", "--data", again).stdout
    for path in Path(again).rglob("*"):
        assert not path.is_file() or b"Canary" not in path.read_bytes(), path
    assert told("fsck", "--data", again)["clean"] is True


def test_source_that_has_what_was_erased_is_not_copied(folder: str, tmp_path: Path) -> None:
    saved, again = tmp_path / "night.tar", str(tmp_path / "again")
    run("backup", str(saved), "--data", folder)
    run("erase", "--subject", "user:481", "--reason", "r", "--yes", "--data", folder)
    assert "without --erasures" in run("restore", str(saved), "--data", again).stderr
    erasures = str(Path(folder) / "erasures.jsonl")
    copied = ("copy", "--from", again, "--to", str(tmp_path / "copy"), "--erasures", erasures)
    assert "that were erased" in run(*copied, code=1).stderr
    run("restore", "--accept", "night", "--data", again, "--erasures", erasures)
    run(*copied)


def test_hold_of_the_backup_keeps_a_restore_from_being_done(folder: str, tmp_path: Path) -> None:
    saved, again = tmp_path / "night.tar", str(tmp_path / "again")
    run("holds", "place", "m-1", "--query", "kind:call", "--reason", "r", "--data", folder)
    run("backup", str(saved), "--data", folder)
    run("holds", "lift", "m-1", "--reason", "over", "--data", folder)
    run("erase", "--subject", "user:481", "--reason", "r", "--yes", "--data", folder)
    erasures = str(Path(folder) / "erasures.jsonl")
    restore = ("restore", str(saved), "--data", again, "--erasures", erasures)
    assert "legal hold 'm-1'" in run(*restore, code=1).stderr
    run("holds", "lift", "m-1", "--reason", "over", "--data", again)
    accepted = told("restore", "--accept", "night", "--data", again, "--erasures", erasures)
    assert accepted["erased_again"] == 1
