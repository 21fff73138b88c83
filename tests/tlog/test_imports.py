"""The verifier stands alone: a sceptic can copy `tlog/` and `errors.py` and run them."""

from __future__ import annotations

import subprocess
import sys

from tests.tlog.trees import VECTORS

PROGRAM = """
import sys
before = set(sys.modules)
from tallystick.tlog.receipt import verify_receipt
with open(sys.argv[1], "rb") as file:
    print(verify_receipt(file.read()).index)
for name in sorted(set(sys.modules) - before):
    print(name)
"""
ALLOWED = {"cryptography", "_cffi_backend", "_openssl"}


def test_verifying_needs_the_standard_library_and_cryptography_only() -> None:
    receipt = str(VECTORS / "receipt_v1.json")
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, receipt], check=True, capture_output=True, text=True
    )
    index, *modules = run.stdout.split()
    assert index == "2"
    foreign = {
        name
        for name in modules
        if name.split(".")[0] not in sys.stdlib_module_names | ALLOWED | {"tallystick"}
    }
    assert foreign == set()
    ours = {name for name in modules if name.split(".")[0] == "tallystick"}
    assert {name for name in ours if not name.startswith("tallystick.tlog")} == {
        "tallystick",
        "tallystick.errors",
    }
