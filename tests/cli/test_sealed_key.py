"""The signing key under a passphrase: nothing works without it, everything with it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tallystick.errors import SettingsError
from tallystick.log.sealed_key import seal, unseal
from tests.cli.program import run, told

PASSPHRASE = "correct horse battery"
VARIABLE = "TALLYSTICK_KEY_PASSPHRASE"


def test_folder_with_a_sealed_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ("--data", str(tmp_path / "data"))
    key = tmp_path / "data" / "log.key"
    run("tenants", "create", "default", *data)
    verifier = told("keys", "log", *data)
    before = key.read_text()
    short = run("keys", "seal", *data, stdin="short\nshort\n", code=1)
    assert "12 characters" in short.stderr
    run("keys", "seal", *data, stdin=f"{PASSPHRASE}\n{PASSPHRASE}\n")
    assert before.strip().rpartition("+")[2] not in key.read_text()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    for command in (["tenants", "list"], ["fsck"], ["demo", "--events", "1"]):
        assert "protected by a passphrase" in run(*command, *data, code=1).stderr
    monkeypatch.setenv(VARIABLE, "another passphrase")
    assert "wrong passphrase for the signing key" in run("fsck", *data, code=1).stderr
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    run("demo", "--events", "3", *data)
    assert told("keys", "log", *data) == verifier
    assert run("fsck", *data).stdout.startswith("clean")
    assert "already" in run("keys", "seal", *data, code=1).stderr
    run("keys", "unseal", *data)
    assert key.read_text() == before
    assert "has no passphrase" in run("keys", "unseal", *data, code=1).stderr


def test_damaged_sealed_keys_are_refused() -> None:
    sealed = seal("PRIVATE+KEY+x", PASSPHRASE)
    assert unseal(sealed, PASSPHRASE) == "PRIVATE+KEY+x"
    assert seal("PRIVATE+KEY+x", PASSPHRASE) != sealed
    for damaged in (sealed[:-6] + "AAAA=\n", sealed[:20] + "\n", sealed.replace("+1+", "+1+AAAA")):
        with pytest.raises(SettingsError):
            unseal(damaged, PASSPHRASE)
