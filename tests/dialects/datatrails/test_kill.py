"""A real server process, killed under load: the public log goes on as if nothing had happened."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tallystick.data_folder import PUBLIC_FILE
from tallystick.store.public_files import Patch
from tallystick.store.sqlite.public_files import SqlitePublicFiles
from tests.dialects.datatrails import independent_verifier as verifier
from tests.dialects.datatrails.conftest import LOGS, eventually
from tests.dialects.datatrails.test_public_log import key_of

TALLYSTICK = Path(sys.executable).with_name("tallystick")
KILLS = 2
HEIGHT = 5
WRITERS = 3


def run(*args: str, code: int = 0) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(
        [str(TALLYSTICK), *args], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout


class Served:
    """A server process and its tenant, as `key_of` and the verifier need it."""

    def __init__(self, process: subprocess.Popen[str], url: str, key: str) -> None:
        self.process = process
        self.key = key
        self.http = httpx2.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False
        )
        self.anonymous = self.http
        self.uuid = ""

    def learn_tenant(self) -> None:
        """Note the tenant's UUID."""
        identity: str = self.http.get("/archivist/v1/tenancies/self").json()["identity"]
        self.uuid = identity.removeprefix("tenant/")

    def wait_until_confirmed(self, identity: str) -> None:
        """Wait for a seal over an event."""
        path = f"/archivist/v1/{identity}"
        eventually(
            lambda: self.http.get(path).json()["confirmation_status"],
            lambda status: status == "CONFIRMED",
        )

    def files(self, kind: str, ending: str) -> list[bytes]:
        """Return all public files of a kind."""
        path = f"{LOGS}/tenant/{self.uuid}/0/{kind}"
        answers = (self.http.get(f"{path}/{n:016d}.{ending}") for n in itertools.count())
        found = itertools.takewhile(lambda answer: answer.status_code == 200, answers)
        return [answer.content for answer in found]


@contextlib.contextmanager
def serving(folder: Path, key: str | None) -> Iterator[Served]:
    """Run a server on a data folder; it is killed in the end, without a chance to tidy up."""
    config = folder.parent / "settings.toml"
    config.write_text(f"[datatrails]\nmassif_height = {HEIGHT}\n")
    process = subprocess.Popen(
        [str(TALLYSTICK), "serve", "--data", str(folder), "--port", "0", "--json",
         "--config", str(config)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        told: dict[str, Any] = {}
        text = ""
        for line in process.stdout:
            text += line
            with contextlib.suppress(ValueError):
                told = json.loads(text)
                break
        served = Served(process, told["url"], key or told["key"])
        yield served
        served.http.close()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.mark.row("D-25", "D-72", "D-73", "D-74")
def test_public_log_survives_kills_under_load(tmp_path: Path) -> None:
    """Writers write and a reader verifies until the server is killed; then the next one starts."""
    folder = tmp_path / "data"
    key: str | None = None
    acknowledged: list[str] = []
    older: list[bytes] = []
    for round_ in range(KILLS + 1):
        with serving(folder, key) as server:
            key = server.key
            if not round_:
                application = {"display_name": "app"}
                server.http.post("/archivist/iam/v1/applications", json=application)
            server.learn_tenant()
            if round_ == KILLS:
                check_everything(server, acknowledged, older)
                break
            writers = [
                threading.Thread(target=write, args=(server, acknowledged, round_ * WRITERS + n))
                for n in range(WRITERS)
            ]
            for writer in writers:
                writer.start()
            enough = len(acknowledged) + 60
            while len(acknowledged) < enough:
                older = read_and_verify(server, older)
            # In the middle of what everybody is doing.
            os.kill(server.process.pid, signal.SIGKILL)
            for writer in writers:
                writer.join()
    assert run("fsck", "--data", str(folder)).startswith("clean: 1 logs")


def write(server: Served, acknowledged: list[str], number: int) -> None:
    """Record events until the server is gone; note those that it acknowledged."""
    with httpx2.Client(
        base_url=server.http.base_url, headers=server.http.headers, timeout=60, trust_env=False
    ) as http:
        for n in itertools.count():
            event = {"attributes": {"n": f"{number} {n}"}, "trails": [f"writer {number}"]}
            try:
                answer = http.post("/archivist/v1/events", json=event)
            except httpx2.HTTPError:
                return
            assert answer.status_code == 200
            acknowledged.append(answer.json()["identity"])


def read_and_verify(server: Served, older: list[bytes]) -> list[bytes]:
    """Read the public log, check it and that it grew out of an earlier read; return it."""
    seals = server.files("massifseals", "sth")
    newer = server.files("massifs", "log")
    log = verifier.read_log(newer, height=HEIGHT)
    key = key_of(server)  # type: ignore[arg-type]  # it asks for the key without credentials
    for seal in seals:
        verifier.check_seal(seal, log, key)
    assert len(newer) >= len(older)
    for before, after in zip(older, newer, strict=False):
        verifier.check_growth(before, after, height=HEIGHT)
    return newer


def check_everything(server: Served, acknowledged: list[str], older: list[bytes]) -> None:
    """Check that every acknowledged event is there, confirmed, and in the files."""
    server.wait_until_confirmed(acknowledged[-1])
    log = verifier.read_log(read_and_verify(server, older), height=HEIGHT)
    found: set[str] = set()
    while True:
        search = {"top": 50, "skip": len(found)}
        # Lists are behind until whoever keeps them has started, too.
        answer = eventually(
            lambda search=search: server.http.post("/archivist/v1/events/search", json=search),  # type: ignore[misc]
            lambda answer: answer.status_code == 200,
        )
        events = answer.json()["events"]
        for event in events:
            if event["confirmation_status"] == "CONFIRMED":
                verifier.check_event(log, event, log_id=server.uuid)
            found.add(event["identity"])
        if not events:
            break
    assert found >= set(acknowledged)


def test_killed_follower_is_started_again(tmp_path: Path) -> None:
    """Only the process that publishes is killed: the server goes on and starts another one."""
    with serving(tmp_path / "data", None) as server:
        server.http.post("/archivist/iam/v1/applications", json={"display_name": "app"})
        (pid,) = eventually(lambda: children(server.process.pid), bool)
        os.kill(pid, signal.SIGKILL)
        event = server.http.post("/archivist/v1/events", json={}).json()
        server.wait_until_confirmed(event["identity"])
        assert pid not in children(server.process.pid)


def children(pid: int) -> list[int]:
    """Return the processes of a server that publish."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError, ValueError):
            status = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().split(b"\0")
            if (
                int(status[1]) == pid
                and status[0] != "Z"
                and any(b"publiclog" in argument for argument in command)
            ):
                found.append(int(entry.name))
    return found


def test_fsck_backup_and_restore_cover_blobs_and_the_public_log(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with serving(folder, None) as server:
        server.http.post("/archivist/iam/v1/applications", json={"display_name": "app"})
        for number in range(16):
            event = server.http.post(
                "/archivist/v1/events", json={"attributes": {"n": str(number)}}
            ).json()
        server.http.post("/archivist/v1/blobs", files={"file": b"content"})
        server.learn_tenant()
        server.wait_until_confirmed(event["identity"])
        # The blob's own entry is the last leaf.
        log_of = partial(verifier.read_log, height=HEIGHT)
        eventually(
            lambda: len(log_of(server.files("massifs", "log")).leaves), lambda count: count == 20
        )
        # Both work beside the running server.
        assert "1 blobs" in run("fsck", "--data", str(folder))
        run("backup", str(tmp_path / "backup.tar"), "--data", str(folder))
        served = server.files("massifs", "log")
    restored = tmp_path / "restored"
    told = run("restore", str(tmp_path / "backup.tar"), "--data", str(restored))
    assert "1 blobs" in told
    files = SqlitePublicFiles(restored / PUBLIC_FILE)
    (tenant,) = files.tenants()
    for number, before in enumerate(served):
        assert files.read(tenant, number) == before
    files.close()
    damage_and_find(restored)


def damage_and_find(folder: Path) -> None:
    """Flip a bit in a blob, then in a massif; fsck names both and tells by its exit code."""
    (content,) = [path for path in (folder / "blobs").rglob("*") if path.is_file()]
    content.write_bytes(b"cOntent")
    told = run("fsck", "--data", str(folder), code=3)
    assert "its content is not what was uploaded" in told
    content.write_bytes(b"content")
    files = SqlitePublicFiles(folder / PUBLIC_FILE)
    (tenant,) = files.tenants()
    cursor = files.cursor(tenant)
    assert cursor is not None
    byte = files.read(tenant, 0, 300, 301)
    assert byte is not None
    files.advance(tenant, cursor, cursor, patches=[Patch(0, 300, bytes((byte[0] ^ 1,)))])
    files.close()
    told = run("fsck", "--data", str(folder), code=3)
    assert "massif 0: byte 300" in told
