"""`tallystick reviews` and `tenants policy --reads`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.program import run, told


def test_reviews_and_reads_are_recorded(tmp_path: Path) -> None:
    at = ("--data", str(tmp_path / "data"))
    run("tenants", "create", "acme", *at)
    run("append", "-", *at, stdin='{"kind": "view"}\n' * 3)
    assert "reads recorded: all" in run("tenants", "policy", "--reads", "all", *at).stdout
    assert "--reads" in run("tenants", "policy", *at, code=2).stderr
    run("events", "list", *at)
    assert (
        "entries 0 to 2 reviewed"
        in run("reviews", "add", "--to", "3", "--remark", "fine", *at).stdout
    )
    [review] = told("reviews", "list", *at)
    assert (review["from"], review["to"], review["remark"]) == (0, 3, "fine")
    assert told("reviews", "report", *at)["unreviewed"][0][0] == 3
    assert "reviewed by nobody" in run("reviews", "report", *at).stdout
    assert told("fsck", *at)["clean"] is True
