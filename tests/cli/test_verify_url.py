"""`verify URL` and the client's watch, against real servers."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick import Client, VerificationError
from tallystick.client.remembered_heads import PinnedHeads
from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.records import Tenant
from tallystick.tlog.note import Signer
from tests.cli.program import TALLYSTICK, run
from tests.support.live_server import TENANT, LiveServer, open_server


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with open_server(tmp_path_factory.mktemp("watched") / "data") as live:
        yield live


def append(live: LiveServer, count: int, key: str | None = None) -> None:
    with live.http(key) as http:
        http.post("/v1/events", json=[{"kind": "order.created"}] * count).raise_for_status()


def check(url: str, heads: Path, *options: str, key: str | None = None) -> dict[str, object]:
    env = {"TALLYSTICK_HEADS": str(heads), "TALLYSTICK_KEY": key or ""}
    told = run("verify", url, "--once", "--json", *options, env=env).stdout
    found: dict[str, object] = json.loads(told)
    return found


def test_server_is_pinned_and_followed(live: LiveServer, tmp_path: Path) -> None:
    first = check(live.url, tmp_path, "--key", live.admin_key)
    assert (first["pinned_now"], first["old_size"]) == (True, None)
    assert first["key"] == live.node.ledger.proofs.verifier_key(TENANT)
    append(live, 300)
    # The variable of the environment is the credential, as everywhere.
    second = check(f"{live.url}/", tmp_path, key=live.admin_key)
    assert (second["pinned_now"], second["old_size"]) == (False, first["size"])
    assert "unchanged and in order; 300 were added" in str(second["proven"])
    assert "other readers are shown the same log" in str(second["not_proven"])
    # The public form of the same log, without a credential, goes on from the same head.
    append(live, 1)
    prefix = f"{live.url}/log/{live.node.identity.tenant(TENANT).log_id}"
    third = check(prefix, tmp_path)
    assert (third["pinned_now"], third["old_size"]) == (False, second["size"])
    fourth = check(prefix, tmp_path / "elsewhere")
    assert fourth["pinned_now"]
    said = run("verify", prefix, "--once", env={"TALLYSTICK_HEADS": str(tmp_path / "third")}).stdout
    assert f"pinned      {first['key']}" in said
    assert "not proven  anything about the time before this first contact" in said


def test_private_log_needs_the_credential(live: LiveServer, tmp_path: Path) -> None:
    key = live.create_tenant("private")
    live.change(
        Tenant, "private", "private", lambda known: acts.change_policy(known, public_log=False)
    )
    append(live, 5, key)
    prefix = f"{live.url}/log/{live.node.identity.tenant('private').log_id}"
    refused = run("verify", prefix, "--once", env={"TALLYSTICK_HEADS": str(tmp_path)}, code=1)
    assert "no public log is at this URL" in refused.stderr
    assert check(prefix, tmp_path, key=key)["pinned_now"]
    append(live, 300, key)
    assert check(prefix, tmp_path, key=key)["old_size"]


def test_pin_beforehand(live: LiveServer, tmp_path: Path) -> None:
    key = live.node.ledger.proofs.verifier_key(TENANT)
    found = check(live.url, tmp_path, "--pin", key, key=live.admin_key)
    assert found["pinned_now"] is False
    other = str(Signer.generate(key.partition("+")[0]).verifier)
    env = {"TALLYSTICK_HEADS": str(tmp_path / "other"), "TALLYSTICK_KEY": live.admin_key}
    refused = run("verify", live.url, "--once", "--pin", other, env=env, code=3)
    assert "another key" in refused.stderr


def test_unreachable_server_is_no_alarm(tmp_path: Path) -> None:
    env = {"TALLYSTICK_HEADS": str(tmp_path)}
    refused = run("verify", "http://127.0.0.1:9/log/x", "--once", env=env, code=1)
    assert "cannot reach the server" in refused.stderr


def test_it_follows_until_it_is_stopped(live: LiveServer, tmp_path: Path) -> None:
    prefix = f"{live.url}/log/{live.node.identity.tenant(TENANT).log_id}"
    command = [
        str(TALLYSTICK), "verify", prefix, "--every", "0.1", "--json", "--heads", str(tmp_path)
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        append(live, 3)
        while (told := json.loads(watching.stdout.readline()))["size"] == first["size"]:
            pass
        assert told["old_size"] == first["size"]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0


def test_log_of_an_older_copy_is_rewound_and_then_forked(tmp_path: Path) -> None:
    heads, data = tmp_path / "heads", tmp_path / "data"
    with open_server(data) as live:
        key = live.admin_key
        append(live, 10)
    shutil.copytree(data, tmp_path / "older")
    with open_server(data, tenant=None) as live, Client(live.url, key, heads=heads) as client:
        # What a client was shown is remembered when it is closed.
        append(live, 10, key)
        client.append({"kind": "order.paid"})
        append(live, 10, key)
        client.append({"kind": "order.paid"})
        place = live.url
    shutil.rmtree(tmp_path / "older" / "heads")
    env = {"TALLYSTICK_HEADS": str(heads), "TALLYSTICK_KEY": key}
    with open_server(tmp_path / "older", tenant=None) as live:
        assert live.url != place, "another port: the key and origin are what is remembered"
        refused = run("verify", live.url, "--once", env=env, code=3)
        assert "rewound" in refused.stderr
        with (
            pytest.raises(VerificationError, match="rewound"),
            Client(live.url, key, heads=heads) as client,
        ):
            client.append({"kind": "order.lost"})
        append(live, 40, key)
        refused = run("verify", live.url, "--once", env=env, code=3)
        assert "forked" in refused.stderr
        with (
            pytest.raises(VerificationError, match="forked"),
            Client(live.url, key, heads=heads) as client,
        ):
            client.page({"limit": 1})
        # A client that does not watch reads on.
        with Client(live.url, key, watch=False) as client:
            client.page({"limit": 1})


def test_receipts_are_verified_with_the_pinned_key(live: LiveServer, tmp_path: Path) -> None:
    with Client(live.url, live.admin_key, heads=tmp_path) as client:
        stored = client.append({"kind": "order.created"})
        client.receipt(stored["id"])
        receipt = json.loads(client.receipt(stored["id"]))
    key = receipt["verifier_key"]
    other = Signer.generate(key.partition("+")[0]).verifier
    with (
        pytest.raises(VerificationError, match="another key"),
        Client(live.url, live.admin_key, heads=tmp_path / "b", pin=str(other)) as client,
    ):
        client.append({"kind": "order.created"})
    heads = PinnedHeads(tmp_path)
    (known,) = heads.keys_of(receipt["origin"])
    assert str(known) == key


def test_client_of_part_of_the_log_watches_too(live: LiveServer, tmp_path: Path) -> None:
    append(live, 2)
    key = live.create_key(TENANT, (Scope.READ,))
    with Client(live.url, key, heads=tmp_path) as client:
        client.page({"limit": 1})
    assert list(tmp_path.glob("*.head"))


def test_api_key_is_not_taken_for_a_verifier_key(tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_text("{}")
    refused = run("verify", str(file), "--key", "tlk_x_y", code=2)
    assert "--key is an API key" in refused.stderr
