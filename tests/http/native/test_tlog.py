"""What is proven over HTTP: receipts, checkpoints, consistency, the tiled log."""

from __future__ import annotations

import json
from base64 import b64decode

import httpx2
import pytest

from tallystick.errors import VerificationError
from tallystick.identity.access import Scope
from tallystick.tlog.checkpoint import open_checkpoint
from tallystick.tlog.frontier import Frontier
from tallystick.tlog.hashing import leaf_hash
from tallystick.tlog.note import Verifier
from tallystick.tlog.proof import verify_consistency
from tallystick.tlog.receipt import verify_receipt
from tallystick.tlog.tile import parse_entry_bundle, split_hashes
from tests.support.live_server import TENANT, LiveServer


def fill(http: httpx2.Client, count: int) -> list[str]:
    """Store `count` events and return their ids."""
    body = "\n".join(json.dumps({"kind": "k", "data": {"n": n}}) for n in range(count))
    answer = http.post("/v1/events", content=body, headers={"Content-Type": "application/x-ndjson"})
    return [json.loads(line)["id"] for line in answer.text.splitlines()]


def test_a_receipt_verifies_offline_with_the_pinned_key(http: httpx2.Client) -> None:
    event_id = fill(http, 300)[17]
    key = Verifier.parse(http.get("/v1/checkpoint").json()["verifier_key"])
    receipt = http.get(f"/v1/events/{event_id}/receipt")
    assert receipt.headers["content-disposition"].startswith("attachment")
    found = verify_receipt(receipt.content, verifier=key)
    assert found.pinned
    assert found.entry["id"] == event_id
    assert found.sections == {"data": {"n": 17}}
    forged = receipt.json()
    forged["sections"]["data"]["bytes"] = '{"n":18}'
    with pytest.raises(VerificationError):
        verify_receipt(json.dumps(forged), verifier=key)


def test_the_log_only_grows(http: httpx2.Client) -> None:
    before = http.get("/v1/checkpoint").json()
    fill(http, 700)
    after = http.get("/v1/checkpoint").json()
    answer = http.get(
        "/v1/proofs/consistency", params={"from": before["size"], "to": after["size"]}
    ).json()
    verify_consistency(
        before["size"], b64decode(before["root"]), after["size"], b64decode(after["root"]),
        [b64decode(text) for text in answer["hashes"]],
    )  # fmt: skip


@pytest.mark.parametrize("params", [{}, {"from": 1}, {"from": 2, "to": 1}, {"from": 0, "to": 99}])
def test_impossible_sizes_are_refused(http: httpx2.Client, params: dict[str, int]) -> None:
    assert http.get("/v1/proofs/consistency", params=params).status_code == 400


def test_the_tiled_log_rebuilds_to_the_signed_root(server: LiveServer, http: httpx2.Client) -> None:
    """Anybody can fetch tiles and entries and arrive at the checkpoint's root."""
    fill(http, 600)
    told = http.get("/v1/checkpoint").json()
    log = f"/log/{told['origin'].rpartition('/')[2]}"
    with server.plain_http() as anybody:
        note = anybody.get(f"{log}/checkpoint")
        assert note.headers["cache-control"] == "no-cache"
        checkpoint = open_checkpoint(note.text, [Verifier.parse(told["verifier_key"])])
        assert checkpoint.size == told["size"] == 602
        hashes: list[bytes] = []
        for path in ("0/000", "0/001", "0/002.p/90"):
            tile = anybody.get(f"{log}/tile/{path}")
            assert tile.headers["cache-control"] == "public, max-age=31536000, immutable"
            hashes += split_hashes(tile.content)
        frontier = Frontier.empty()
        frontier.extend(hashes)
        assert frontier.root() == checkpoint.root
        assert len(split_hashes(anybody.get(f"{log}/tile/1/000.p/2").content)) == 2
        assert anybody.get(f"{log}/tile/entries/000").status_code == 401
    bundle = http.get(f"{log}/tile/entries/000")
    assert bundle.headers["cache-control"].startswith("private")
    entries = parse_entry_bundle(bundle.content)
    assert [leaf_hash(entry) for entry in entries] == hashes[:256]


@pytest.mark.parametrize(
    "path", ["0/003", "0/002.p/91", "9/000", "0/1", "0/000.p/256", "entries/009", "x"]
)
def test_tiles_that_do_not_exist_are_not_found(
    server: LiveServer, http: httpx2.Client, path: str
) -> None:
    fill(http, 600)
    log = http.get("/v1/checkpoint").json()["origin"].rpartition("/")[2]
    assert http.get(f"/log/{log}/tile/{path}").status_code == 404


def test_entries_need_a_key_of_the_tenant_that_may_read(
    server: LiveServer, http: httpx2.Client
) -> None:
    log = http.get("/v1/checkpoint").json()["origin"].rpartition("/")[2]
    path = f"/log/{log}/tile/entries/000.p/2"
    assert http.get(path).status_code == 200
    with server.http(server.create_tenant("other")) as other:
        assert other.get(path).status_code == 404
    with server.http(server.create_key(TENANT, (Scope.WRITE,))) as writer:
        assert writer.get(path).status_code == 403
    assert http.get("/log/unknown/checkpoint").status_code == 404


def test_a_tenant_may_keep_its_log_to_itself(server: LiveServer, http: httpx2.Client) -> None:
    fill(http, 300)
    about = f"/v1/admin/tenants/{TENANT}"
    log = f"/log/{http.get(about).json()['log_id']}"
    paths = (f"{log}/checkpoint", f"{log}/tile/0/000")
    server.create_tenant("other")
    other_key = server.create_key("other", (Scope.READ,))
    with (
        server.plain_http() as anybody,
        server.http(server.create_key(TENANT, (Scope.READ,))) as reader,
        server.http(other_key) as other,
    ):
        assert [anybody.get(path).status_code for path in paths] == [200, 200]
        assert reader.patch(about, json={"public_log": False}).status_code == 403
        assert other.patch(about, json={"public_log": False}).status_code == 403
        assert http.patch(about, json={"public_log": "no"}).status_code == 400
        closed = http.patch(about, json={"public_log": False})
        assert (closed.status_code, closed.json()["public_log"]) == (200, False)
        assert [anybody.get(path).status_code for path in paths] == [401, 401]
        assert [other.get(path).status_code for path in paths] == [404, 404]
        tile = reader.get(paths[1])
        assert tile.headers["cache-control"].startswith("private")
        assert len(split_hashes(tile.content)) == 256
        assert http.patch(about, json={"public_log": True}).json()["public_log"] is True
        assert [anybody.get(path).status_code for path in paths] == [200, 200]
    acts = http.get("/v1/events", params={"view": "log", "kind": "policy.changed"}).json()
    told = [entry["data"] for entry in acts["events"]]
    assert told == [{"public_log": True}, {"public_log": False}]
