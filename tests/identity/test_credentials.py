"""Secrets, keys and settings: made, kept, compared, read."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.errors import SettingsError
from tallystick.identity import acts, credentials
from tallystick.log.keys import open_log_key
from tallystick.node.node import open_node
from tallystick.query.expr import Everything
from tallystick.query.question import Find, Over
from tallystick.settings import Settings, load_settings


def test_new_secrets_are_long_random_and_recognisable() -> None:
    keys = {credentials.new_api_key() for _ in range(50)}
    assert len(keys) == 50
    assert all(key.startswith("tlk_") and len(key) > 40 for key in keys)
    assert len(credentials.new_secret()) == 64


def test_passwords_are_known_by_their_hash_only() -> None:
    hashed = credentials.hash_password("correct horse ☃")
    assert "correct" not in hashed
    assert hashed != credentials.hash_password("correct horse ☃")
    assert credentials.is_password("correct horse ☃", hashed)
    assert not credentials.is_password("wrong", hashed)
    assert not credentials.is_password("", None)


def test_texts_are_compared_whatever_they_hold() -> None:
    assert credentials.is_same("ü", "ü")
    assert not credentials.is_same("ü", "u")
    assert credentials.is_same("\ud800", "\ud800")


def test_the_signing_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    made = open_log_key(path, "example.org").signer("example.org/log/1")
    assert path.stat().st_mode & 0o777 == 0o600
    again = open_log_key(path, "other name")
    assert str(again.signer("example.org/log/1").verifier) == str(made.verifier)
    assert again.signer("b").key_id != made.key_id
    first = again.derive_ec_key(ec.SECP256R1(), "tokens").private_numbers().private_value
    same = again.derive_ec_key(ec.SECP256R1(), "tokens").private_numbers().private_value
    other = again.derive_ec_key(ec.SECP256R1(), "seals").private_numbers().private_value
    assert first == same != other
    assert again.derive_ec_key(ec.SECP384R1(), "tokens").curve.name == "secp384r1"


def test_only_their_owner_reads_the_files_of_a_folder_that_others_may_enter(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    node = open_node(tmp_path, Settings(), followers=False)
    tenant, act = acts.create_tenant("t", server_name="s", now_ms=0)
    node.ledger.administer(tenant.id, act)
    assert node.ledger.find("t", Find(where=Everything(), over=Over.LOG), Everything()).views
    private = {path for path in tmp_path.rglob("*") if path.stat().st_mode & 0o077 == 0}
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in files} >= {"ledger.db", "ledger.db-wal", "log.key", "rules.json"}
    assert [path for path in files if private.isdisjoint((path, *path.parents))] == []
    node.close()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\xfe", b"PRIVATE+KEY+a+00000000+AAAA"])
def test_a_damaged_key_file_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SettingsError) as caught:
        open_log_key(path, "s")
    assert "AAAA" not in caught.value.message


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    open_log_key(path, "s")
    path.chmod(0o644)
    with pytest.raises(SettingsError):
        open_log_key(path, "s")


def test_the_later_source_of_a_setting_wins(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        'port = 1\nhost = "file"\nserver_name = "file"\n[onehub]\nown_events_only = true\n'
    )
    environment = {
        "TALLYSTICK_PORT": "2",
        "TALLYSTICK_HOST": "environment",
        "TALLYSTICK_DIALECTS": "a,b",
    }
    found = load_settings(file, environment, {"port": 3, "host": None})
    assert (found.port, found.host, found.server_name) == (3, "environment", "file")
    assert found.dialects == ("a", "b")
    assert found.of_dialect("onehub") == {"own_events_only": True}


@pytest.mark.parametrize("text", ["port = 'x'", "prot = 1", "not toml", "dialects = 1"])
def test_bad_settings_are_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(SettingsError):
        load_settings(file, {})


def test_a_missing_settings_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        load_settings(tmp_path / "none.toml", {})
