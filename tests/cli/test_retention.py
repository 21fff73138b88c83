"""`tallystick retention`: policies, a dry run, and what a run removed."""

from __future__ import annotations

from pathlib import Path

from tests.cli.program import run, told


def test_policies_are_set_run_and_deleted(tmp_path: Path) -> None:
    at = ("--data", str(tmp_path / "data"))
    run("tenants", "create", "acme", *at)
    lines = "".join(f'{{"kind": "view", "data": {{"n": {n}}}}}\n' for n in range(30))
    run("append", "-", *at, stdin=lines)
    assert "--days" in run("retention", "set", "--query", "*", *at, code=2).stderr
    made = run("retention", "set", "views", "--query", "kind:view", "--days", "0", *at).stdout
    assert "policy views: kind:view is removed after 0 days" in made
    planned = told("retention", "run", "--dry-run", *at)
    assert (planned["events"], planned["policies"][0]["left"]) == (1, 29)
    assert "events to remove: 1" in run("retention", "run", "--dry-run", *at).stdout
    assert "left for later runs (or --confirm): 29" in run("retention", "run", *at).stdout
    done = told("retention", "run", "views", "--confirm", *at)
    assert done["events"] == 29
    [policy] = told("retention", "list", *at)
    assert (policy["id"], policy["removed"], policy["runs"]) == ("views", 30, 2)
    assert "removed: 30" in run("retention", "show", "views", *at).stdout
    report = told("fsck", *at)
    assert (report["clean"], report["removed"], report["erased"]) == (True, 30, 0)
    run("retention", "delete", "views", "--reason", "over", *at)
    assert "no such retention policy" in run("retention", "show", "views", *at, code=1).stderr
