"""Being a witness: every rule of C2SP tlog-witness, over a real server on a socket."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tallystick.errors import SettingsError
from tallystick.tlog.checkpoint import sign_checkpoint
from tallystick.tlog.cosignature import CosignatureAlgorithm, cosignatures_of, has_ml_dsa
from tallystick.tlog.encoding import to_base64
from tallystick.tlog.note import Signer, open_note
from tallystick.tlog.policy import parse_witness
from tallystick.witness.cosign import (
    Witness,
    add_log,
    init_witness,
    parse_log,
    read_cosigners,
    read_logs,
    witness_lines,
)
from tallystick.witness.requests import CosignRequest, checkpoint_path
from tests.support.witnesses import running_witness
from tests.tlog.trees import consistency_path, made_up_leaves, tree_hash

LEAVES = made_up_leaves(300)
FORK = [*LEAVES[:3], bytes(32), *LEAVES[4:]]


class Log:
    """A log of made-up leaves, with an origin and key of its own."""

    def __init__(self, name: str) -> None:
        self.signer = Signer.generate(name)

    def note(self, size: int, leaves: list[bytes] = LEAVES) -> str:
        return sign_checkpoint(self.signer, self.signer.name, size, tree_hash(leaves[:size]))

    def body(self, old: int, size: int, leaves: list[bytes] = LEAVES) -> bytes:
        proof = consistency_path(old, leaves[:size]) if 0 < old < size else []
        return CosignRequest(old, proof, self.note(size, leaves)).to_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("witness") / "w"
    init_witness(folder, "witness.example/w1")
    return folder


@pytest.fixture(scope="module")
def http(folder: Path) -> Iterator[httpx2.Client]:
    with (
        running_witness(folder) as url,
        httpx2.Client(base_url=url, verify=False, timeout=30) as client,
    ):
        yield client


@pytest.fixture
def log(folder: Path, request: pytest.FixtureRequest) -> Log:
    log = Log(f"log.example/{request.node.name}")
    assert add_log(folder, log.signer.verifier)
    return log


def add(http: httpx2.Client, body: bytes) -> httpx2.Response:
    return http.post("/add-checkpoint", content=body)


def test_growing_log_is_cosigned_and_shown(http: httpx2.Client, folder: Path, log: Log) -> None:
    keys = [cosigner.verifier for cosigner in read_cosigners(folder)]
    assert len(keys) == (2 if has_ml_dsa() else 1)
    for old, new in ((0, 1), (1, 7), (7, 256), (256, 300), (300, 300)):
        answer = add(http, log.body(old, new))
        assert answer.status_code == 200, answer.text
        assert len(cosignatures_of(log.note(new) + answer.text, keys)) == len(keys)
    shown = http.get(f"/{checkpoint_path(log.signer.name)}").text
    assert open_note(shown, [log.signer.verifier]).text == log.note(300).partition("\n\n")[0] + "\n"
    assert len(cosignatures_of(shown, keys)) == len(keys)


def test_other_old_size_is_answered_with_the_size(http: httpx2.Client, log: Log) -> None:
    assert add(http, log.body(0, 10)).status_code == 200
    for old, size in ((0, 20), (9, 20), (11, 20), (0, 5)):
        answer = add(http, log.body(old, size))
        assert (answer.status_code, answer.text) == (409, "10\n")
        assert answer.headers["content-type"].split(";")[0] == "text/x.tlog.size"


def test_fork_is_never_cosigned(http: httpx2.Client, log: Log) -> None:
    assert add(http, log.body(0, 10)).status_code == 200
    assert add(http, log.body(10, 20, FORK)).status_code == 422
    assert add(http, log.body(10, 10, FORK)).status_code == 422
    other = CosignRequest(10, consistency_path(10, LEAVES[:21]), log.note(20)).to_bytes()
    assert add(http, other).status_code == 422
    needless = CosignRequest(10, [bytes(32)], log.note(10)).to_bytes()
    assert add(http, needless).status_code == 422
    shown = http.get(f"/{checkpoint_path(log.signer.name)}").text
    assert shown.split("\n")[1] == "10"
    assert add(http, log.body(10, 20)).status_code == 200


def test_proof_from_nothing_and_wrong_empty_root(http: httpx2.Client, log: Log) -> None:
    assert add(http, CosignRequest(0, [bytes(32)], log.note(4)).to_bytes()).status_code == 422
    text = f"{log.signer.name}\n0\n{to_base64(bytes(32))}\n"
    assert add(http, f"old 0\n\n{log.signer.sign(text)}".encode()).status_code == 422
    assert add(http, log.body(0, 0)).status_code == 200
    assert add(http, log.body(0, 4)).status_code == 200


def test_unknown_log_wrong_key_and_wrong_signature(http: httpx2.Client, log: Log) -> None:
    assert add(http, Log("log.example/unknown").body(0, 4)).status_code == 404
    assert http.get(f"/{checkpoint_path('log.example/unknown')}").status_code == 404
    impostor = Log(log.signer.name)
    assert add(http, impostor.body(0, 4)).status_code == 403
    wrong = log.body(0, 4).replace(b"\n4\n", b"\n5\n")
    assert add(http, wrong).status_code == 403


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"old 0", b"old 00"),
        (b"old 0", b"old -1"),
        (b"old 0", b"old 9"),
        (b"old 0", b"old 18446744073709551616"),
        (b"old 0", b"older 0"),
        (b"old 0\n", b"old 0\nAAAA\n"),
        (b"old 0\n", b"old 0\n" + (to_base64(bytes(32)) + "\n").encode() * 64),
        (b"\n\n", b"\n"),
        (b"\xe2\x80\x94", b"\xff"),
    ],
)
def test_malformed_requests_are_400(
    http: httpx2.Client, folder: Path, old: bytes, new: bytes
) -> None:
    log = Log("log.example/malformed")
    add_log(folder, log.signer.verifier)
    body = log.body(0, 4).replace(old, new)
    assert add(http, body).status_code == 400
    assert add(http, log.body(0, 4)[:-1]).status_code == 400
    assert http.get(f"/{checkpoint_path(log.signer.name)}").status_code == 404


def test_large_request_is_refused(http: httpx2.Client) -> None:
    assert add(http, b"old 0\n" + b"x" * 100_000).status_code == 413


def test_of_many_at_once_each_size_is_vouched_for_once(
    http: httpx2.Client, folder: Path, log: Log
) -> None:
    """Requests for forks race: whichever wins, all cosignatures are of one history."""
    assert add(http, log.body(0, 10)).status_code == 200
    bodies = [
        log.body(10, 20, leaves) for leaves in (LEAVES, [*LEAVES[:15], bytes(32), *LEAVES])
    ] * 8
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: add(http, body).status_code, bodies))
    assert answers.count(200) == 1
    assert set(answers) == {200, 409}


def test_state_outlasts_the_process(tmp_path: Path) -> None:
    folder, log = tmp_path / "w", Log("log.example/a")
    init_witness(folder, "w/1", ml_dsa=False)
    add_log(folder, log.signer.verifier)
    for old, new, status in ((0, 5, 200), (0, 9, 409), (5, 9, 200)):
        with running_witness(folder) as url:
            answer = httpx2.post(
                f"{url}/add-checkpoint", content=log.body(old, new), verify=False, timeout=30
            )
            assert answer.status_code == status


def test_folder_of_a_witness(tmp_path: Path) -> None:
    from tallystick.clock import SystemClock

    folder = tmp_path / "deep" / "w"
    with pytest.raises(SettingsError, match="contains no witness"):
        Witness(folder, SystemClock())
    init_witness(folder, "w/1", ml_dsa=False)
    (cosigner,) = read_cosigners(folder)
    with pytest.raises(SettingsError, match="already contains a witness"):
        init_witness(folder, "w/1")
    (line,) = witness_lines(read_cosigners(folder), "https://w.example/1")
    assert parse_witness(line).verifier == cosigner.verifier
    assert cosigner.verifier.algorithm is CosignatureAlgorithm.ED25519
    key = folder / "witness.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o644)
    with pytest.raises(SettingsError, match="other than its owner"):
        read_cosigners(folder)


def test_logs_of_a_witness(tmp_path: Path) -> None:
    log = Log("log.example/a").signer.verifier
    assert add_log(tmp_path, log)
    assert not add_log(tmp_path, parse_log(f"log {log} https://log.example"))
    assert read_logs(tmp_path) == [log]
    (tmp_path / "logs").write_text(f"# mine\n\n{log}\nlog nonsense\n")
    with pytest.raises(SettingsError, match="line 4"):
        read_logs(tmp_path)
