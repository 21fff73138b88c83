"""Every receipt of the real data is accepted by a stranger's verifier, every forgery refused."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.client.client import Client
from tallystick.errors import VerificationError
from tallystick.imports import cloudtrail, github
from tallystick.tlog.note import Verifier
from tallystick.tlog.receipt import verify_receipt
from tests.support.independent_receipt_verifier import Refused, verify
from tests.support.live_server import TENANT, LiveServer, open_server
from tests.support.needs import ROOT

Json = dict[str, Any]


def real_events(data: Path) -> Iterator[Json]:
    for file in sorted((data / "data/aws-cloudtrail-invictus/CloudTrail").glob("*.json")):
        yield from map(cloudtrail.to_event, json.loads(file.read_text())["Records"])
    for file in sorted((data / "data/github-webhooks-octokit").rglob("*.json")):
        yield github.to_event(file.parent.name, json.loads(file.read_text()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[LiveServer]:
    """Serve the real data."""
    with open_server(tmp_path_factory.mktemp("real") / "data") as live:
        with Client(live.url, live.admin_key) as client:
            for results in client.append_lines(real_events(shared_data)):
                assert all(result.error is None for result in results)
        yield live


@pytest.mark.needs("data")
def test_every_receipt_is_accepted_with_its_content(server: LiveServer) -> None:
    proofs, store = server.node.ledger.proofs, server.node.store
    key = proofs.verifier_key(TENANT)
    size = proofs.head(TENANT).size
    assert size == 2 + 2_900 + 270
    for index in range(size):
        sections = verify(proofs.receipt(TENANT, index), key)
        row = store.rows(TENANT, index, index + 1)[0]
        data = row.sections[3]
        assert data is not None
        assert sections["data"] == json.loads(data[16:])


def flip(text: str, at: int = 0) -> str:
    data = bytearray(base64.b64decode(text))
    data[at] ^= 1
    return base64.b64encode(data).decode()


def of_checkpoint(change: Callable[[list[str]], object]) -> Callable[[Json], None]:
    def mutate(receipt: Json) -> None:
        lines = receipt["checkpoint"].split("\n")
        change(lines)
        receipt["checkpoint"] = "\n".join(lines)

    return mutate


def set_item(items: Any, key: Any, value: Any) -> None:
    items[key] = value


MUTATIONS: dict[str, Callable[[Json], Any]] = {
    "entry": lambda r: r.update(entry=r["entry"].replace('"kind":"', '"kind":"x')),
    "a blank in the entry": lambda r: r.update(entry=r["entry"] + " "),
    "section bytes": lambda r: r["sections"]["data"].update(bytes='{"a":1}'),
    "salt": lambda r: r["sections"]["data"].update(salt=flip(r["sections"]["data"]["salt"])),
    "sections swapped": lambda r: r["sections"].update(
        data=r["sections"]["actor"], actor=r["sections"]["data"]
    ),
    "section dropped": lambda r: r["sections"].pop("data"),
    "section added": lambda r: r["sections"].update(links=None),
    "section renamed": lambda r: r["sections"].update(notes=r["sections"].pop("data")),
    "index + 1": lambda r: r.update(index=r["index"] + 1),
    "index - 1": lambda r: r.update(index=r["index"] - 1),
    "index negative": lambda r: r.update(index=-1),
    "index huge": lambda r: r.update(index=2**62),
    "index no integer": lambda r: r.update(index=True),
    "siblings swapped": lambda r: r["inclusion_proof"].reverse(),
    "sibling": lambda r: set_item(r["inclusion_proof"], 2, flip(r["inclusion_proof"][2])),
    "proof cut off": lambda r: r["inclusion_proof"].pop(),
    "proof too long": lambda r: r["inclusion_proof"].append(r["inclusion_proof"][0]),
    "proof empty": lambda r: r.update(inclusion_proof=[]),
    "origin": lambda r: r.update(origin="localhost/log/other"),
    "checkpoint's origin": of_checkpoint(lambda lines: set_item(lines, 0, "other")),
    "checkpoint's size": of_checkpoint(lambda lines: set_item(lines, 1, "3")),
    "checkpoint's root": of_checkpoint(lambda lines: set_item(lines, 2, flip(lines[2]))),
    "signature": of_checkpoint(
        lambda lines: set_item(lines, 4, lines[4][:-8] + lines[4][-8:].swapcase())
    ),
    "no signature": of_checkpoint(lambda lines: lines.pop(4)),
    "format": lambda r: r.update(format="tallystick-receipt/2"),
    "member dropped": lambda r: r.pop("verifier_key"),
    "member added": lambda r: r.update(note="trust me"),
}


@pytest.mark.needs("data")
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_forged_receipt_is_refused_by_both_verifiers(server: LiveServer, name: str) -> None:
    proofs = server.node.ledger.proofs
    key = proofs.verifier_key(TENANT)
    receipt = json.loads(proofs.receipt(TENANT, 1234))
    forged = copy.deepcopy(receipt)
    MUTATIONS[name](forged)
    assert forged != receipt
    text = json.dumps(forged)
    with pytest.raises(Refused):
        verify(text, key)
    with pytest.raises(VerificationError):
        verify_receipt(text, verifier=Verifier.parse(key))


@pytest.mark.needs("data")
def test_a_receipt_of_another_log_is_refused(server: LiveServer, tmp_path: Path) -> None:
    receipt = server.node.ledger.proofs.receipt(TENANT, 5)
    with open_server(tmp_path / "other") as other:
        key = other.node.ledger.proofs.verifier_key(TENANT)
    with pytest.raises(Refused):
        verify(receipt, key)
    with pytest.raises(VerificationError):
        verify_receipt(receipt, verifier=Verifier.parse(key))


@pytest.mark.needs("data")
def test_a_section_left_out_is_reported_not_refused(server: LiveServer) -> None:
    proofs = server.node.ledger.proofs
    receipt = json.loads(proofs.receipt(TENANT, 1234))
    receipt["sections"]["data"] = None
    text = json.dumps(receipt)
    assert verify(text, None)["data"] is None
    assert verify_receipt(text).erased == ("data",)


def test_the_golden_receipt_is_accepted() -> None:
    golden = (ROOT / "tests/vectors/receipt_v1.json").read_text("utf-8")
    sections = verify(golden, None)
    assert {name: value for name, value in sections.items() if value is not None}
