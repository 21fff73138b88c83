"""The tamper drill, on the data folder that `serve --demo` makes."""

from __future__ import annotations

import functools
import hashlib
import shutil
from pathlib import Path

import pytest

from tallystick.data_folder import KEY_FILE
from tallystick.errors import StoreCorrupt
from tallystick.maintenance import drill, tampering
from tests.cli.program import run, served, told
from tests.support.live_server import open_server


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what `make run` leaves behind."""
    folder = tmp_path_factory.mktemp("drilled") / "data"
    server, _ = served("--data", str(folder), "--demo")
    server.terminate()
    server.communicate(timeout=30)
    return folder


def state_of(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() or path.is_dir()
    }


def test_all_acts_are_caught_and_the_original_stays_as_it_was(sample: Path) -> None:
    before = state_of(sample)
    found = told("drill", "--data", str(sample))
    assert (found["caught"], found["acts"]) == (14, 14), found
    assert state_of(sample) == before
    by = {each["act"]: each["caught_by"] for each in found["results"]}
    # What the signing key and the whole folder can forge, only somebody outside notices.
    outside = {"backdate", "roll back", "fork", "re-sign with another key"}
    assert {act for act, name in by.items() if name == "a remembered head"} == outside
    assert by["hide from an index"] == "lists against log"
    assert all(each["found"] and 0 < each["after_s"] < 60 for each in found["results"])


def test_uncaught_act_fails_the_drill(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = tampering.TamperAct("nothing", "bare hands", lambda made: None)
    tried = functools.partial(drill.run_drill, acts=(nothing, tampering.ACTS[0]))
    monkeypatch.setattr("tallystick.cli.drill.run_drill", tried)
    said = run("drill", "--data", str(sample), code=3).stdout
    assert "nothing, with bare hands\n  NOT CAUGHT" in said
    assert "caught: 1 of 2" in said


def test_damage_from_before_is_not_taken_for_the_drills(sample: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "data"
    shutil.copytree(sample, damaged)
    with tampering.forging(damaged) as forgery:
        forgery.execute("DELETE FROM log WHERE pos = (SELECT min(pos) + 9 FROM log)")
    refused = run("drill", "--data", str(damaged), code=1)
    assert "finds something wrong before the drill" in refused.stderr


def test_copy_is_made_beside_a_running_server(tmp_path: Path) -> None:
    with open_server(tmp_path / "data") as live:
        with live.http() as http:
            http.post("/v1/events", json={"kind": "order.created"})
        before = state_of(tmp_path / "data")
        drill.copy_untouched(tmp_path / "data", tmp_path / "copy")
        # The server writes heads, and what it shares with its readers, when it likes.
        for name, state in state_of(tmp_path / "data").items():
            assert name.startswith("heads") or name.endswith("-shm") or state == before[name], name
        size = live.node.ledger.proofs.head("default").size
    with tampering.forging(tmp_path / "copy") as forgery:
        assert forgery.size("default") == size
    assert (tmp_path / "copy" / KEY_FILE).stat().st_mode & 0o077 == 0


def test_folder_without_a_store_is_named(tmp_path: Path) -> None:
    assert "holds no store" in run("drill", "--data", str(tmp_path), code=1).stderr
    with pytest.raises(StoreCorrupt):
        drill.StoredLog(_Empty(), "default", None)  # type: ignore[arg-type]


class _Empty:
    def log_head(self, tenant: str) -> None:
        return None
