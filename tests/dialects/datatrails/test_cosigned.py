"""A witness cosigns the log that holds the events of the DataTrails API."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest

from tallystick.identity import acts
from tallystick.identity.records import ConfiguredWitness
from tallystick.tlog.checkpoint import open_checkpoint
from tallystick.tlog.cosignature import cosignatures_of
from tallystick.tlog.note import Verifier
from tallystick.tlog.policy import parse_witness
from tallystick.tlog.proof import verify_consistency
from tallystick.tlog.receipt import verify_receipt
from tallystick.witness.cosign import add_log, init_witness, read_cosigners, witness_lines
from tests.dialects.datatrails.conftest import eventually
from tests.support.live_server import TENANT, open_server
from tests.support.witnesses import running_witness


@pytest.mark.row("D-81")
def test_event_is_covered_by_a_checkpoint_that_a_witness_cosigned(tmp_path: Path) -> None:
    """Its receipt and the cosigned checkpoint lead to one root, at one place of the log."""
    folder = tmp_path / "witness"
    init_witness(folder, "witness.example/dt")
    with open_server(tmp_path / "data") as live, running_witness(folder) as url:
        log = Verifier.parse(live.node.ledger.proofs.verifier_key(TENANT))
        add_log(folder, log)
        known = parse_witness(witness_lines(read_cosigners(folder), url)[0])
        record = ConfiguredWitness(
            id=known.name, tenant=TENANT, created_ms=0, key=str(known.verifier), url=url
        )
        live.node.ledger.administer(TENANT, acts.add_witness(record))
        live.node.start_witnesses(interval_s=0.05)
        with live.http() as http:
            stored = http.post("/archivist/v1/events", json={"attributes": {"a": "b"}})
            assert stored.status_code == 200, stored.text
            id = stored.json()["identity"].rpartition("/")[2]
            receipt = http.get(f"/v1/events/{id}/receipt").content
            found = verify_receipt(receipt, verifier=log)
            assert found.entry["dialect"] == "datatrails"
            notes = f"/log/{log.name.rpartition('/')[2]}/cosigned/checkpoint"
            note = eventually(
                lambda: http.get(notes).text,
                lambda note: int(note.splitlines()[1]) > found.index and "witness" in note,
            )
            size = int(note.splitlines()[1])
            proof = http.get(f"/v1/proofs/consistency?from={found.size}&to={size}").json()
        (cosigned,) = cosignatures_of(note, [known.verifier])
        assert cosigned.verifier == known.verifier
        covered = open_checkpoint(note, [log], log.name)
        hashes = [b64decode(each) for each in proof["hashes"]]
        verify_consistency(found.size, found.root, covered.size, covered.root, hashes)
