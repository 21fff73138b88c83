"""The lock: every requirement by version and hash, and nothing about where it came from."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from tests.house.test_layers import distribution_name
from tests.house.tree import committed_files
from tests.support.needs import ROOT

FOLDER = ROOT / "requirements"
LOCKS = sorted(path.name for path in FOLDER.glob("*.txt"))
PIN = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[a-z0-9.+!]+)(?: ; [^\\]+?)?"
    r"(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)


def pins(lock: str) -> dict[str, str]:
    """Return version by name, having seen that a lock holds pins with hashes and nothing else."""
    text = (FOLDER / lock).read_text()
    found = list(PIN.finditer(text))
    assert "".join(pin[0] for pin in found) == text
    return {pin["name"]: pin["version"] for pin in found}


def asked_for(source: str) -> set[str]:
    """Return the names that an `.in` file lists itself."""
    lines = (line.strip() for line in (FOLDER / source).read_text().splitlines())
    return {distribution_name(line) for line in lines if line and line[0] not in "#-"}


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_pins_with_hashes_and_nothing_else(lock: str) -> None:
    assert asked_for(lock.replace(".txt", ".in")) <= pins(lock).keys()


def test_locks_agree_on_versions() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in pins(lock).items():
            versions.setdefault(name, set()).add(version)
    assert {name: seen for name, seen in versions.items() if len(seen) > 1} == {}


def test_lock_of_the_server_follows_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert asked_for("run.in") == {distribution_name(name) for name in project["dependencies"]}


def test_npm_locks_carry_no_download_addresses() -> None:
    for path in committed_files():
        if path.name == "package-lock.json":
            packages = json.loads(path.read_text())["packages"]
            assert [name for name, entry in packages.items() if "resolved" in entry] == []
