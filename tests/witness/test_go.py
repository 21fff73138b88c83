"""Programs in Go that know nothing of us: `litewitness` cosigns, `sumdb` and Tessera verify."""

from __future__ import annotations

import base64
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from tallystick.identity import acts
from tallystick.identity.records import ConfiguredWitness
from tallystick.tlog.hashing import EMPTY_ROOT
from tallystick.tlog.note import Verifier
from tests.cli.program import run, told
from tests.support.golang import built
from tests.support.live_server import TENANT, open_server

PROJECT = Path(__file__).parent.parent / "clients" / "tlog-go"
LITEWITNESS = "filippo.io/torchwood/cmd/litewitness"

pytestmark = pytest.mark.needs("go")


@contextmanager
def agent(folder: Path) -> Iterator[tuple[Path, str]]:
    """Run an ssh-agent with one key; yield its socket and the key's fingerprint."""
    path = folder / "agent.sock"
    process = subprocess.Popen(
        [str(built(PROJECT)), "agent", str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield path, process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def litewitness(folder: Path, log: Verifier) -> Iterator[tuple[str, str]]:
    """Run litewitness for one log; yield its URL and key."""
    database = folder / "litewitness.db"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with agent(folder) as (path, fingerprint):
        command = [
            str(built(PROJECT, LITEWITNESS)), "-db", str(database), "-ssh-agent", str(path),
            "-key", fingerprint, "-name", "witness.example/lite", "-listen", address,
        ]  # fmt: skip
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        try:
            key = ""
            for line in process.stderr:
                key = line.partition("vkey=")[2].strip().strip('"') or key
                if "listening" in line:
                    break
            # What its own tool for administration writes, which needs another module.
            with apsw.Connection(str(database)) as state:
                root = base64.b64encode(EMPTY_ROOT).decode()
                state.execute("INSERT INTO log VALUES (?, 0, ?)", (log.name, root))
                state.execute("INSERT INTO key VALUES (?, ?)", (log.name, str(log)))
            state.close()
            yield f"http://{address}", key
        finally:
            process.terminate()
            process.wait()
            process.stderr.close()


def test_litewitness_cosigns_and_sumdb_verifies(tmp_path: Path) -> None:
    with open_server(tmp_path / "data") as live, live.http() as http:
        log = Verifier.parse(live.node.ledger.proofs.verifier_key(TENANT))
        prefix = f"{live.url}/log/{live.node.identity.tenant(TENANT).log_id}"
        with litewitness(tmp_path, log) as (url, key):
            witness = ConfiguredWitness(id="lite", tenant=TENANT, created_ms=0, key=key, url=url)
            live.node.ledger.administer(TENANT, acts.add_witness(witness))
            live.node.start_witnesses(interval_s=0.05)
            for count in (1, 255, 300):
                http.post("/v1/events", json=[{"kind": "order.created"}] * count)
                time.sleep(0.1)
            last = http.post(
                "/v1/events", json={"kind": "order.created"}, headers={"Prefer": "wait=20"}
            )
            assert last.headers["tally-cosignatures"] == "1"
            size = last.json()["index"] + 1
        checked = verified(f"{prefix}/cosigned", str(log), key)
        assert checked.split(" ")[:2] == [log.name, str(size)]
        # Without the witness's key its line is an unknown signature, as on any C2SP note.
        assert verified(f"{prefix}/cosigned", str(log)) == checked
        assert verified(prefix, str(log)) == checked


def verified(prefix: str, *keys: str) -> str:
    """Let Go verify a checkpoint, every tile and an inclusion proof of every leaf."""
    command = [str(built(PROJECT)), "check", prefix, *keys]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_sumdb_refuses_another_key(tmp_path: Path) -> None:
    with open_server(tmp_path / "data") as live:
        log = Verifier.parse(live.node.ledger.proofs.verifier_key(TENANT))
        prefix = f"{live.url}/log/{live.node.identity.tenant(TENANT).log_id}"
        other = Verifier(log.name, bytes([log.public_key[0] ^ 1]) + log.public_key[1:])
        command = [str(built(PROJECT)), "check", prefix, str(other)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 1
        assert "note has no verifiable signatures" in done.stderr


@pytest.mark.parametrize("events", [0, 300])
def test_tessera_checks_what_was_published(tmp_path: Path, events: int) -> None:
    data, folder = ("--data", str(tmp_path / "data")), tmp_path / "site"
    run("tenants", "create", "default", *data)
    if events:
        run("demo", "--events", str(events), *data)
    site = Path(told("publish", str(folder), "--entries", *data)["folder"])
    command = [str(built(PROJECT)), "fsck", str(site), (site / "log.vkey").read_text().strip()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "clean\n"), done.stderr
    # It sees what somebody changed in the files.
    bundle = next(path for path in sorted((site / "tile" / "entries").rglob("*")) if path.is_file())
    content = bundle.read_bytes()
    bundle.chmod(0o600)
    bundle.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "clean" not in done.stdout
