"""Having logs cosigned: real server, real witnesses, both stores."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tallystick.cli.witnesses import policy_text
from tallystick.errors import StoreCorrupt
from tallystick.events.event import Draft
from tallystick.identity import acts
from tallystick.identity.records import ConfiguredWitness
from tallystick.maintenance.fsck import check
from tallystick.node.node import Node, open_node
from tallystick.settings import Settings
from tallystick.tlog.cosignature import cosignatures_of
from tallystick.tlog.note import Verifier, open_note
from tallystick.tlog.policy import Policy, parse_witness
from tallystick.witness.cosign import add_log, init_witness, read_cosigners, witness_lines
from tests.support.live_server import TENANT, LiveServer, open_server
from tests.support.witnesses import running_witness

EVENT = {"kind": "order.created"}


class Place:
    """One witness in a folder of its own, on a port that it keeps."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / name
        init_witness(self.folder, f"witness.example/{name}")
        with running_witness(self.folder) as url:
            self.url = url
        self.port = int(url.rpartition(":")[2])

    def lines(self) -> list[str]:
        return witness_lines(read_cosigners(self.folder), self.url)

    def running(self) -> AbstractContextManager[str]:
        return running_witness(self.folder, self.port)


def configure(live: LiveServer, place: Place) -> None:
    """Let log and witness know each other."""
    add_log(place.folder, Verifier.parse(live.node.ledger.proofs.verifier_key(TENANT)))
    for line in place.lines():
        witness = parse_witness(line)
        record = ConfiguredWitness(
            id=witness.name,
            tenant=TENANT,
            created_ms=live.node.clock.now_ms(),
            key=str(witness.verifier),
            url=place.url,
        )
        live.node.ledger.administer(TENANT, acts.add_witness(record))


def until(true: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something is so."""
    end_s = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end_s, "it did not become so"
        time.sleep(0.02)


@pytest.fixture(params=["sqlite", "postgres"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveServer]:
    database = None
    if request.param == "postgres":
        database = request.getfixturevalue("postgres_database")
    with open_server(tmp_path / "data", database=database) as live:
        yield live


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, "w1")


def prefix(live: LiveServer) -> str:
    return f"/log/{live.node.identity.tenant(TENANT).log_id}"


def test_log_is_cosigned_and_an_outage_is_caught_up_in_one_request(
    live: LiveServer, place: Place
) -> None:
    """Also: commits never wait, `Prefer: wait` does, plain checkpoints keep their bytes."""
    configure(live, place)
    keys = [cosigner.verifier for cosigner in read_cosigners(place.folder)]
    with live.http() as http, live.plain_http() as anyone:
        plain = anyone.get(f"{prefix(live)}/checkpoint").text
        assert anyone.get(f"{prefix(live)}/cosigned/checkpoint").text == plain
        with place.running():
            live.node.start_witnesses(interval_s=0.05)
            stored = http.post("/v1/events", json=EVENT, headers={"Prefer": "wait=20"})
            assert stored.status_code == 201
            assert stored.headers["preference-applied"] == "wait=20"
            assert stored.headers["tally-cosignatures"] == str(len(keys))
            size = stored.json()["index"] + 1
            note = anyone.get(f"{prefix(live)}/cosigned/checkpoint").text
            assert int(note.split("\n")[1]) >= size
            assert len(cosignatures_of(note, keys)) == len(keys)
            log_key = Verifier.parse(live.node.ledger.proofs.verifier_key(TENANT))
            assert open_note(note, [log_key]).verifiers == (log_key,)
            of_today = anyone.get(f"{prefix(live)}/cosigned/checkpoint/{_day()}")
            assert of_today.text.split("\n")[0] == note.split("\n")[0]
            assert anyone.get(f"{prefix(live)}/cosigned/checkpoint/2001-01-01").status_code == 404
        # The witness is away: writing goes on, and whoever would wait is told that nobody cosigned.
        unseen = http.post("/v1/events", json=EVENT, headers={"Prefer": "wait=20"})
        assert (unseen.status_code, unseen.headers["tally-cosignatures"]) == (201, "0")
        http.post("/v1/events", json=[EVENT] * 300)
        until(lambda: max(live.node.witnesses.lag().values()) > 300)  # type: ignore[union-attr]
        metrics = http.get("/metrics").text
        assert 'tallystick_witness_lag_entries{witness="witness.example/w1"}' in metrics
        told = http.get(f"/v1/admin/tenants/{TENANT}/witnesses").json()["witnesses"]
        assert "cannot be reached" in told[0]["failure"]
        client = live.node.witnesses._client  # type: ignore[union-attr]
        answered: list[int] = []
        ask = client._ask

        def counted(method: str, url: str, body: bytes) -> Any:
            answer = ask(method, url, body)
            answered.append(answer.status)
            return answer

        client._ask = counted  # type: ignore[method-assign]
        with place.running():
            until(lambda: not any(live.node.witnesses.lag().values()))  # type: ignore[union-attr]
        note = anyone.get(f"{prefix(live)}/cosigned/checkpoint").text
        assert int(note.split("\n")[1]) > 300
        assert len(cosignatures_of(note, keys)) == len(keys)
        assert answered == [200]
        told = http.get(f"/v1/admin/tenants/{TENANT}/witnesses").json()["witnesses"]
        assert all("failure" not in each for each in told)
        assert {each["size"] for each in told} == {int(note.split("\n")[1])}
    report = check(
        live.node.store, lambda origin: live.node.key.signer(origin).verifier, replay=True
    )
    assert report.clean


def _day() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def test_policy_of_the_log_accepts_what_is_served(live: LiveServer, place: Place) -> None:
    configure(live, place)
    with place.running(), live.http() as http:
        live.node.start_witnesses(interval_s=0.05)
        http.post("/v1/events", json=EVENT, headers={"Prefer": "wait=20"})
        told = http.get(f"/v1/admin/tenants/{TENANT}/witnesses").json()
        policy = Policy.parse(policy_text(told, None))
        note = http.get(f"{prefix(live)}/cosigned/checkpoint").text
        assert policy.accept(note).checkpoint.size >= 3
        url = policy.logs[0].url
        assert url is not None
        assert httpx2.get(f"{url}/checkpoint", verify=False).text.split("\n")[0] == (
            policy.logs[0].verifier.name
        )


def test_rolled_back_log_is_read_only_at_the_next_start(tmp_path: Path, place: Place) -> None:
    """The whole folder, remembered heads and cosignatures included, is an older copy."""
    folder = tmp_path / "data"
    with open_server(folder) as live:
        configure(live, place)
    shutil.copytree(folder, tmp_path / "older", ignore=shutil.ignore_patterns("control.sock"))
    with place.running(), open_server(folder, tenant=None) as live:
        live.node.start_witnesses(interval_s=0.05)
        node = live.node
        node.ledger.append(TENANT, [_draft()])
        until(lambda: not any(node.witnesses.lag().values()))  # type: ignore[union-attr]
    with place.running(), open_server(tmp_path / "older", tenant=None) as live:
        live.node.start_witnesses(interval_s=0.05)
        (problem,) = live.node.problems
        assert "nothing is written to the log" in problem
        assert "the witness knows" in problem
        with live.plain_http() as http:
            ready = http.get("/readyz")
            assert ready.status_code == 503
            assert "the witness knows" in ready.json()["reason"]
            assert http.get(f"{prefix(live)}/checkpoint").status_code == 200
        with pytest.raises(StoreCorrupt, match="the witness knows"):
            live.node.ledger.append(TENANT, [_draft()])


def test_fork_is_proven_by_what_the_witness_shows(tmp_path: Path, place: Place) -> None:
    """Two copies of a folder go on separately: the second one is stopped while it runs."""
    folder = tmp_path / "data"
    with open_server(folder) as live:
        configure(live, place)
    shutil.copytree(folder, tmp_path / "twin", ignore=shutil.ignore_patterns("control.sock"))
    with place.running(), open_server(folder, tenant=None) as live:
        live.node.start_witnesses(interval_s=0.05)
        live.node.ledger.append(TENANT, [_draft()])
        until(lambda: not any(live.node.witnesses.lag().values()))  # type: ignore[union-attr]
    with closing(_node(tmp_path / "twin")) as node:
        # The witness was away at the start; writing had begun when it came back.
        node.start_witnesses(interval_s=0.05)
        assert node.problems == []
        node.ledger.append(TENANT, [_draft()])
        node.ledger.append(TENANT, [_draft()])
        with place.running():
            until(lambda: node.problems)
        assert "another history" in node.problems[0]
        assert node.witnesses is not None
        assert node.witnesses.conflicts == 1


def _node(folder: Path) -> Node:
    return open_node(folder, Settings(), followers=False)


def _draft() -> Draft:
    return Draft(kind="order.created", dialect="native")


def test_witness_with_another_key_is_no_witness(tmp_path: Path, place: Place) -> None:
    other = Place(tmp_path, "other")
    with open_server(tmp_path / "data") as live:
        add_log(other.folder, Verifier.parse(live.node.ledger.proofs.verifier_key(TENANT)))
        other.url = place.url
        configure(live, other)
        add_log(place.folder, Verifier.parse(live.node.ledger.proofs.verifier_key(TENANT)))
        with place.running():
            live.node.start_witnesses(interval_s=0.05)
            witnesses = live.node.witnesses
            assert witnesses is not None
            until(lambda: witnesses.failure(TENANT, place.url))
            assert "another key" in str(witnesses.failure(TENANT, place.url))
        assert live.node.cosigned.note(TENANT) is None


def test_only_the_operator_adds_and_removes_witnesses(tmp_path: Path, place: Place) -> None:
    with open_server(tmp_path / "data") as live, live.http() as http:
        path = f"/v1/admin/tenants/{TENANT}/witnesses"
        refused = http.post(path, json={"line": place.lines()[0]})
        assert refused.status_code == 403
        assert http.delete(f"{path}/x").status_code == 403
        told = http.get(path).json()
        assert told["witnesses"] == []
        assert told["log"].startswith("log ")
