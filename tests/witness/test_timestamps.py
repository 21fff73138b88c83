"""Trusted time: a real authority made of `openssl ts`, and `openssl ts` as the judge."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from tallystick.errors import BadSignature, SettingsError
from tallystick.node.node import open_node
from tallystick.settings import Settings
from tallystick.tlog.checkpoint import open_checkpoint
from tallystick.tlog.note import Verifier
from tallystick.witness.trusted_time import TimestampFailed, request_token, verify_token
from tests.cli.program import run
from tests.support.live_server import TENANT, open_server

_CONFIG = """
[ req ]
distinguished_name = dn
[ dn ]
[ ca ]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[ tsa ]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[ tsa_config ]
serial = serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def openssl(folder: Path, *words: str) -> str:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Authority:
    """A time-stamping authority on a socket: each request is answered by `openssl ts -reply`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tsa.cnf").write_text(_CONFIG)
        (folder / "serial").write_text("01\n")
        for name in ("ca", "tsa"):
            curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
            openssl(folder, "genpkey", *curve, "-out", f"{name}.key")
        openssl(
            folder, "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=Test CA", "-days", "2",
            "-config", "tsa.cnf", "-extensions", "ca", "-out", "ca.pem",
        )  # fmt: skip
        openssl(
            folder, "req", "-new", "-key", "tsa.key", "-subj", "/CN=Test TSA", "-config",
            "tsa.cnf", "-out", "tsa.csr",
        )  # fmt: skip
        openssl(
            folder, "x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-days", "2", "-extfile", "tsa.cnf", "-extensions", "tsa", "-out", "tsa.pem",
        )  # fmt: skip
        self.is_away = False
        self.answers_other: bytes | None = None
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the library's name
                query = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/timestamp-query"
                reply = authority.answers_other or authority.reply(query)
                self.send_response(503 if authority.is_away else 200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, format: str, *args: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/tsa"

    def reply(self, query: bytes) -> bytes:
        (self.folder / "query.tsq").write_bytes(query)
        openssl(
            self.folder, "ts", "-reply", "-config", "tsa.cnf", "-section", "tsa_config",
            "-queryfile", "query.tsq", "-signer", "tsa.pem", "-inkey", "tsa.key",
            "-out", "reply.tsr",
        )  # fmt: skip
        return (self.folder / "reply.tsr").read_bytes()


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    folder = tmp_path / "tsa"
    folder.mkdir()
    authority = Authority(folder)
    thread = threading.Thread(target=authority.server.serve_forever)
    thread.start()
    yield authority
    authority.server.shutdown()
    thread.join()
    authority.server.server_close()


def until(true: Callable[[], object]) -> None:
    end_s = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end_s, "it did not become so"
        time.sleep(0.02)


def test_checkpoints_are_stamped_and_openssl_verifies(authority: Authority, tmp_path: Path) -> None:
    ca = authority.folder / "ca.pem"
    with (
        open_server(tmp_path / "data", timestamps="required", timestamp_url=authority.url) as live,
        live.plain_http() as http,
    ):
        authority.is_away = True
        live.node.start_timestamps()
        assert live.node.stamper is not None
        live.node.stamper.committed(live.node.store.log_heads())
        until(lambda: live.node.problems)
        assert "returned status 503" in http.get("/readyz").json()["reason"]
        with live.http() as admin:  # writing goes on
            assert admin.post("/v1/events", json={"kind": "a"}).status_code == 201
        authority.is_away = False
        live.node.stamper._due_s.clear()
        until(lambda: not live.node.problems)
        prefix = f"/log/{live.node.identity.tenant(TENANT).log_id}/timestamps"
        names = http.get(prefix).json()["files"]
        assert len(names) == 2
        files = {name: http.get(f"{prefix}/{name}").content for name in names}
        assert http.get(f"{prefix}/20260101T000000Z-1.tsr").status_code == 404
        log = Verifier.parse(live.node.ledger.proofs.verifier_key(TENANT))
    run("timestamps", "fetch", str(tmp_path / "out"), "--data", str(tmp_path / "data"))
    data, token = (tmp_path / "out" / name for name in sorted(files))
    assert (data.read_bytes(), token.read_bytes()) == (files[data.name], files[token.name])
    assert open_checkpoint(data.read_bytes(), [log], log.name).size >= 2
    judged = ("ts", "-verify", "-data", str(data), "-in", str(token), "-CAfile", str(ca))
    openssl(tmp_path, *judged)
    data.write_bytes(data.read_bytes() + b"x")
    refused = subprocess.run(["openssl", *judged], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "imprint mismatch" in refused.stderr
    data.write_bytes(files[data.name])
    done = run("timestamps", "verify", str(data), str(token), "--ca", str(ca))
    assert "existed at 20" in done.stdout


def test_tokens_that_do_not_hold_are_refused(authority: Authority, tmp_path: Path) -> None:
    ca = (authority.folder / "ca.pem").read_bytes()
    with httpx2.Client(verify=False) as http:
        token = request_token(http, authority.url, b"what was stamped")
        authority.answers_other = token
        with pytest.raises(TimestampFailed, match="another request"):
            request_token(http, authority.url, b"what was stamped")  # an old nonce
        authority.answers_other = b"no token"
        with pytest.raises(TimestampFailed, match="no token"):
            request_token(http, authority.url, b"what was stamped")
    now_ms = time.time() * 1000
    assert abs(verify_token(b"what was stamped", token, ca) - now_ms) < 120_000
    with pytest.raises(BadSignature):
        verify_token(b"something else", token, ca)
    for at in (len(token) - 5, len(token) // 2):
        damaged = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
        with pytest.raises(BadSignature):
            verify_token(b"what was stamped", damaged, ca)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    other = Authority(stranger)
    other.server.server_close()
    with pytest.raises(BadSignature):
        verify_token(b"what was stamped", token, (stranger / "ca.pem").read_bytes())
    with pytest.raises(SettingsError, match="no certificate"):
        verify_token(b"what was stamped", token, b"nothing")


def test_timestamps_without_an_authority_are_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="timestamp_url"):
        open_node(tmp_path / "data", Settings(timestamps="required"), followers=True)
