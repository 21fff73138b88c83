"""A witness network from the command line: `witness serve` here, `witnesses add` there."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import httpx2

from tallystick.tlog.policy import Policy
from tests.cli.program import TALLYSTICK, program, run, served, told


def test_two_commands_make_a_witness_network(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    server, said = served(*data)
    key = told("witnesses", "policy", *data)["policy"].split("\n")[0]
    witness = subprocess.Popen(
        [str(TALLYSTICK), "witness", "serve", str(tmp_path / "w"), "--name", "example.com/w",
         "--log", key, "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert witness.stdout is not None
        assert "knows 1 logs" in witness.stdout.readline()
        line = witness.stdout.readline().partition("'")[2].rpartition("'")[0]
        added = run("witnesses", "add", line, *data)
        assert added.stdout == "witness example.com/w added\n"
        refused = run("witnesses", "add", line, *data, code=1)
        assert "has a witness with that key" in refused.stderr
        with httpx2.Client(
            base_url=said["url"], verify=False, headers={"Authorization": f"Bearer {said['key']}"}
        ) as http:
            stored = http.post(
                "/v1/events", json={"kind": "a"}, headers={"Prefer": "wait=20"}, timeout=30
            )
            assert stored.headers["tally-cosignatures"] == "1"
            policy = Policy.parse(told("witnesses", "policy", *data)["policy"])
            assert policy.logs[0].url is not None
            path = policy.logs[0].url.partition("/log/")[2]
            note = http.get(f"/log/{path}/checkpoint").text
        assert policy.accept(note).checkpoint.size == stored.json()["index"] + 1
        (listed,) = told("witnesses", "list", *data)
        assert listed["size"] == stored.json()["index"] + 1
        run("witnesses", "remove", "example.com/w", *data)
        assert told("witnesses", "list", *data) == []
        assert told("witnesses", "policy", *data)["policy"].endswith("quorum none\n")
    finally:
        witness.send_signal(signal.SIGINT)
        server.send_signal(signal.SIGINT)
        _, complaints = witness.communicate(timeout=30)
        server.communicate(timeout=30)
    assert "tallystick: stopped" in complaints
    assert program("fsck", *data).stdout.startswith("clean")


def test_witness_is_made_once_and_named(tmp_path: Path) -> None:
    folder = str(tmp_path / "w")
    assert "name the witness" in run("witness", "init", folder, code=2).stderr
    made = run("witness", "init", folder, "--name", "w/1", "--url", "https://w.example/")
    assert "tallystick witnesses add 'witness w/1 w/1+" in made.stdout
    assert " https://w.example'" in made.stdout
    assert (
        "already contains a witness"
        in run("witness", "init", folder, "--name", "w/1", code=1).stderr
    )
    wrong = run("witness", "init", str(tmp_path / "x"), "--name", "w/1", "--log", "no", code=2)
    assert "--log: " in wrong.stderr
    assert "contains no witness" in run("witness", "serve", str(tmp_path / "y"), code=1).stderr
