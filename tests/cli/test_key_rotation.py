"""Another signing key, and one that another program keeps."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from tallystick.client.log_check import check_log
from tallystick.client.remembered_heads import PinnedHeads
from tallystick.errors import BadSignature, SettingsError, StoreFailed
from tallystick.identity.access import Scope
from tallystick.log.external_signer import ExternalKey, public_key_of
from tallystick.log.keys import (
    LogKey,
    key_text,
    log_key_text,
    parse_log_key,
    read_log_key,
    signing_part,
    write_key_text,
)
from tallystick.maintenance.drill import StoredLog
from tallystick.node.node import open_node
from tallystick.settings import Settings
from tallystick.tlog.note import Signer, Verifier, open_note
from tallystick.tlog.receipt import verify_receipt
from tallystick.tlog.rotation import follow_rotations, sign_rotation, verify_rotation
from tests.cli.program import TALLYSTICK, run, told
from tests.support.live_server import TENANT, open_server


def signer_command(file: Path, *options: str) -> str:
    return shlex.join([str(TALLYSTICK), "signer", str(file), *options])


def checkpoint(data: Path) -> str:
    with_log = open_node(data, Settings(), followers=False)
    try:
        return with_log.ledger.proofs.head(TENANT).checkpoint
    finally:
        with_log.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    run("tenants", "create", TENANT, "--data", str(folder))
    run(
        "append",
        "--data",
        str(folder),
        stdin='{"kind":"a","id":"018f6b5e-7a00-7000-8000-000000000481"}',
    )
    return folder


def test_rotation_keeps_receipts_and_leads_readers_to_the_new_key(
    data: Path, tmp_path: Path
) -> None:
    options = ("--data", str(data))
    old = Verifier.parse(run("keys", "log", *options).stdout.strip())
    receipt = tmp_path / "receipt.json"
    run("receipt", "018f6b5e-7a00-7000-8000-000000000481", "--out", str(receipt), *options)
    derived = read_log_key(data / "log.key").derive_secret("tokens")
    heads = tmp_path / "heads"
    with open_server(data, tenant=None) as live:
        url = f"{live.url}/log/{live.node.identity.tenant(TENANT).log_id}"
        run("verify", url, "--once", "--heads", str(heads))
    rotated = told("keys", "rotate", "--both-for", "1", *options)
    new = Verifier.parse(rotated["keys"][TENANT])
    assert new != old
    assert read_log_key(data / "log.key").derive_secret("tokens") == derived
    # Both keys sign, and each alone is enough for a reader.
    assert open_note(checkpoint(data), [old, new]).verifiers == (new, old)
    assert open_note(checkpoint(data), [old]).verifiers == (old,)
    assert "is not over" in run("keys", "rotate", *options, code=1).stderr
    verify_receipt(receipt.read_bytes(), verifier=old)
    run("receipt", "018f6b5e-7a00-7000-8000-000000000481", "--out", str(receipt), *options)
    verify_receipt(receipt.read_bytes(), verifier=new)
    verify_receipt(receipt.read_bytes(), verifier=old)
    assert told("fsck", *options)["clean"]
    # Once the time is over, the former key is destroyed, and only the statement leads on.
    text = (data / "log.key").read_text()
    (until,) = [line.split("+")[2].split(" ")[0] for line in text.splitlines() if "FORMER" in line]
    (data / "log.key").write_text(text.replace(until, "1"))
    with open_server(data, tenant=None) as live, live.plain_http() as http:
        live.create_key(TENANT, (Scope.READ,))
        note = live.node.ledger.proofs.head(TENANT).checkpoint
        with pytest.raises(BadSignature):
            open_note(note, [old])
        assert "FORMER" not in (data / "log.key").read_text()
        log_id = live.node.identity.tenant(TENANT).log_id
        (statement,) = http.get(f"/log/{log_id}/rotations").json()["rotations"]
        assert verify_rotation(statement, old) == new
        moved = f"{live.url}/log/{log_id}"
        run("verify", moved, "--once", "--heads", str(heads))
        pinned = json.loads(run("verify", moved, "--once", "--json", "--heads", str(heads)).stdout)
        assert (pinned["key"], pinned["pinned_now"]) == (str(new), False)


def test_reader_follows_and_still_compares(data: Path, tmp_path: Path) -> None:
    heads = PinnedHeads(tmp_path / "heads")
    key = read_log_key(data / "log.key")
    node = open_node(data, Settings(), followers=False)
    try:
        log = StoredLog(node.store, TENANT, key).shown
        first = check_log(log, heads, "p", "p")
        heads.remember(first.key, first.note, instead_of=first.old)
        new, origin = Signer.generate("log"), log.note.partition("\n")[0]
        statement = sign_rotation(new.under(origin), key.signer(origin), 1)
        forged = StoredLog(node.store, TENANT, LogKey(new))
        shown = forged.shown
        shown.note = new.under(origin).sign(log.note.split("\n\n")[0] + "\n")
        shown.rotations = lambda: [statement]  # type: ignore[method-assign]
        found = check_log(shown, heads, "p", "p")
        assert (found.old, found.key) == (first.new, new.under(origin).verifier)
        heads.remember(found.key, found.note, instead_of=found.old)
        assert heads.head(found.key) == found.new
    finally:
        node.close()


def test_statement_needs_both_signatures() -> None:
    old, new, other = (Signer.generate("log.example/a") for _ in range(3))
    statement = sign_rotation(new, old, 1)
    assert verify_rotation(statement, old.verifier) == new.verifier
    lines = statement.splitlines(keepends=True)
    for changed in (
        "".join(lines[:-1]),
        "".join(lines[:-2] + lines[-1:]),
        statement.replace(str(new.verifier), str(other.verifier)),
        statement.replace("rotation v1", "rotation v2"),
        statement.replace("log.example/a", "log.example/b", 1),
    ):
        assert follow_rotations([changed], old.verifier) == old.verifier
    assert follow_rotations([statement], other.verifier) == other.verifier
    second = sign_rotation(other, new, 1)
    assert follow_rotations([statement, second], old.verifier) == other.verifier


def test_external_signer_keeps_the_key(data: Path, tmp_path: Path) -> None:
    options, file = ("--data", str(data)), tmp_path / "kept.key"
    before = run("keys", "log", *options).stdout
    run("signer", str(file), "--from", str(data / "log.key"))
    command = signer_command(file)
    told("keys", "external", command, *options)
    assert "PRIVATE" not in (data / "log.key").read_text()
    run("append", *options, stdin='{"kind":"signed.elsewhere"}')
    assert run("keys", "log", *options).stdout == before
    assert told("fsck", *options)["clean"]
    other = tmp_path / "other.key"
    run("signer", str(other), "--new")
    refused = run("keys", "external", signer_command(other), *options, code=1)
    assert "another key than the folder has" in refused.stderr
    rotated = told("keys", "rotate", "--signer", signer_command(other), *options)
    # Both keys are elsewhere now, and both sign.
    verifiers = [Verifier.parse(before.strip()), Verifier.parse(rotated["keys"][TENANT])]
    assert len(open_note(checkpoint(data), verifiers).verifiers) == 2
    # Without its signer nothing is stored, and nothing is damaged.
    other.unlink()
    refused = run("append", *options, stdin='{"kind":"lost"}', code=1)
    assert told("fsck", *options)["clean"]


def test_signer_that_misbehaves_is_named(tmp_path: Path) -> None:
    public = Signer.generate("log").verifier.public_key

    def program(code: str) -> str:
        return shlex.join([sys.executable, "-c", code])

    for code, says in (
        ("", "it ended"),
        ("print('{}' , flush=True); input()", "another key"),
        ("print('no json', flush=True); input()", "another form"),
        ('print(\'{"error": "locked"}\', flush=True); input()', "locked"),
    ):
        key = ExternalKey(program(code), public)
        with pytest.raises(StoreFailed, match=says):
            key.sign(b"message")
        key.close()
    with pytest.raises(StoreFailed, match="cannot be started"):
        ExternalKey(str(tmp_path / "missing"), public).sign(b"message")
    with pytest.raises(SettingsError, match="names no Ed25519 key"):
        public_key_of(program('print(\'{"public_key": "AA=="}\', flush=True); input()'))


def test_published_log_and_its_readers_follow(data: Path, tmp_path: Path) -> None:
    """Also where the former key's time is over at once, or a rotation was cut off."""
    options, site = ("--data", str(data)), tmp_path / "site"
    first = told("publish", str(site), *options)
    old = Verifier.parse((Path(first["folder"]) / "log.vkey").read_text().strip())
    rotated = told("keys", "rotate", "--both-for", "0", *options)
    new = Verifier.parse(rotated["keys"][TENANT])
    assert not rotated["problems"]
    assert "FORMER" not in (data / "log.key").read_text()
    second = told("publish", str(site), *options)
    assert second["old_size"] == first["size"]
    assert (Path(second["folder"]) / "log.vkey").read_text().strip() == str(new)
    statements = json.loads((Path(second["folder"]) / "rotations").read_text())["rotations"]
    assert follow_rotations(statements, old) == new
    with open_server(data, tenant=None) as live:
        url, copy = f"{live.url}/log/{old.name.rpartition('/')[2]}", str(tmp_path / "copy")
        told("mirror", url, copy, "--pin", str(old))
        assert "another key" in run("mirror", url, copy, "--pin", str(old), code=1).stderr
        told("mirror", url, copy)


def test_rotation_that_was_cut_off_is_recorded_at_the_next_start(data: Path) -> None:
    options, path = ("--data", str(data)), data / "log.key"
    text = key_text(path)
    old, new = parse_log_key(text), Signer.generate("log")
    # What is on disk before anything stands in a log, whose time is over by now.
    write_key_text(path, log_key_text(new, old.secret(), former=(signing_part(text), 1)))
    assert len(run("events", "list", *options).stdout.splitlines()) == 2
    node = open_node(data, Settings(), followers=False)
    head = node.ledger.proofs.head(TENANT)
    node.close()
    assert open_note(head.checkpoint, [new.under(head.origin).verifier])
    assert told("fsck", *options)["clean"]
    assert "FORMER" not in path.read_text()
