"""`tallystick tenants suspend|export|delete`: a tenant ends, with a certificate."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.program import run, told


def test_tenant_is_suspended_exported_and_deleted(tmp_path: Path) -> None:
    at = ("--data", str(tmp_path / "data"))
    for tenant in ("acme", "other"):
        run("tenants", "create", tenant, *at)
        line = json.dumps({"kind": "call", "data": {"secret": f"Canary of {tenant}"}})
        run("append", "-", "--tenant", tenant, *at, stdin=line + "\n")
    assert (
        "not suspended"
        in run("tenants", "delete", "acme", "--reason", "r", "--yes", *at, code=1).stderr
    )
    why = ("--reason", "contract over")
    assert "tenant acme suspended" in run("tenants", "suspend", "acme", *why, *at).stdout
    bundle, proof = tmp_path / "acme.zip", tmp_path / "proof.json"
    assert "1 events" in run("tenants", "export", str(bundle), "acme", *at).stdout
    assert "holds" in run("verify", str(bundle)).output
    asked = run("tenants", "delete", "acme", *why, *at, stdin="n\n", code=1)
    assert "cannot be undone" in asked.stderr
    done = told("tenants", "delete", "acme", *why, "--yes", "--certificate", str(proof), *at)
    assert (done["tenant"], done["by"]) == ("acme", "operator:control.sock")
    certificate = json.loads(proof.read_bytes())
    assert certificate == done
    for number, receipt in enumerate(certificate["receipts"]):
        (tmp_path / f"{number}.json").write_text(json.dumps(receipt))
        assert "verified: entry" in run("verify", str(tmp_path / f"{number}.json")).output
    assert told("fsck", *at)["clean"] is True
    assert "Canary of other" in run("events", "list", "--json", "--tenant", "other", *at).stdout
    listed = run("events", "list", "--json", "--tenant", "acme", *at).stdout
    assert "Canary" not in listed
