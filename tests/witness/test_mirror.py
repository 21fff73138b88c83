"""Mirrors: copies that only grow, whatever the log does and wherever they are interrupted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.client.client import ApiError
from tallystick.errors import (
    BadConsistencyProof,
    BadSignature,
    ContentMismatch,
    StoreCorrupt,
)
from tallystick.tlog import tile
from tallystick.tlog.checkpoint import sign_checkpoint
from tallystick.tlog.hashing import leaf_hash
from tallystick.tlog.note import Signer
from tallystick.tlog.tile import tile_width
from tallystick.witness.mirror import Mirrored, mirror_log
from tallystick.witness.mirror_folder import MirrorFolder
from tests.cli.program import run, told
from tests.support.live_server import TENANT, LiveServer, open_server
from tests.tlog.trees import tree_hash

SIGNER = Signer.generate("log.example/a")


class ServedLog:
    """A log that answers paths below its prefix, and counts them."""

    def __init__(self, size: int) -> None:
        self.entries = [b'{"n":%d}' % n for n in range(size)]
        self.asked: list[str] = []
        self.broken_after: int | None = None

    @property
    def leaves(self) -> list[bytes]:
        return [leaf_hash(entry) for entry in self.entries]

    def fetch(self, path: str) -> bytes:
        self.asked.append(path)
        if self.broken_after is not None and len(self.asked) > self.broken_after:
            raise ApiError(500, {"detail": "gone"})
        if path == "/checkpoint":
            root = tree_hash(self.leaves)
            return sign_checkpoint(SIGNER, SIGNER.name, len(self.entries), root).encode()
        level, number, width = tile.parse_path(path.removeprefix("/tile/"))
        start = number * 256
        assert tile_width(level, number, len(self.entries)) >= width
        if level == "entries":
            return tile.entry_bundle(self.entries[start : start + width])
        assert level == 0, "higher tiles follow from the lowest"
        return b"".join(self.leaves[start : start + width])


@pytest.fixture
def folder(tmp_path: Path) -> MirrorFolder:
    return MirrorFolder(tmp_path / "mirror", SIGNER.verifier)


def mirrored(log: ServedLog, folder: MirrorFolder, *, entries: bool = True) -> Mirrored:
    return mirror_log(log.fetch, folder, SIGNER.verifier, entries=entries)


def files(folder: MirrorFolder) -> dict[str, bytes]:
    paths = (path for path in folder.path.rglob("*") if path.is_file())
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in paths}


def test_growing_log_is_followed(folder: MirrorFolder) -> None:
    for size in (0, 1, 5, 256, 300, 300, 512, 66_000):
        log = ServedLog(size)
        assert mirrored(log, folder).size == size
        assert folder.checkpoint().size == size
        assert folder.root_at(size) == tree_hash(log.leaves)
        assert folder.entries("", 0, size) == log.entries
    names = {name for name in files(folder) if name.startswith("tile/")}
    # Exactly the tiles of the size, and nothing that was fetched and is complete meanwhile.
    wanted = {
        f"tile/{tile.path(each.level, n, 256)}"
        for each in tile.tiles_at(66_000)
        for n in range(each.full)
    } | {
        f"tile/{tile.path(each.level, each.full, each.partial)}"
        for each in tile.tiles_at(66_000)
        if each.partial
    }
    wanted |= {
        f"tile/{tile.path('entries', n, tile_width('entries', n, 66_000))}" for n in range(258)
    }
    assert wanted <= names


def test_what_is_there_is_not_fetched_again(folder: MirrorFolder) -> None:
    log = ServedLog(3_000)
    log.broken_after = 6
    with pytest.raises(ApiError):
        mirrored(log, folder)
    assert folder.note() is None
    log.broken_after, log.asked = None, []
    mirrored(log, folder)
    tiles = [path for path in log.asked if path.startswith("/tile/0/")]
    assert len(tiles) == 12 - 5
    log.asked = []
    mirrored(log, folder)
    assert log.asked == ["/checkpoint"]


def test_entries_are_added_to_a_mirror_of_hashes(folder: MirrorFolder) -> None:
    log = ServedLog(700)
    mirrored(log, folder, entries=False)
    assert folder.entries("", 0, 700) == []
    mirrored(log, folder)
    assert folder.entries("", 0, 700) == log.entries


@pytest.mark.parametrize("size", [299, 300, 301, 900])
def test_fork_changes_nothing(folder: MirrorFolder, size: int) -> None:
    mirrored(ServedLog(300), folder)
    before = files(folder)
    fork = ServedLog(size)
    fork.entries[7] = b"another"
    with pytest.raises(BadConsistencyProof, match="forked"):
        mirrored(fork, folder)
    assert files(folder) == before
    # The fork is in the open tile, which is fetched again.
    fork = ServedLog(size)
    fork.entries[280] = b"another"
    with pytest.raises(BadConsistencyProof, match="forked"):
        mirrored(fork, folder)
    assert files(folder) == before
    assert mirrored(ServedLog(900), folder).size == 900


def test_rewound_log_changes_nothing(folder: MirrorFolder) -> None:
    mirrored(ServedLog(300), folder)
    before = files(folder)
    for size in (0, 5, 299):
        with pytest.raises(BadConsistencyProof, match="rewound: the log showed 300"):
            mirrored(ServedLog(size), folder)
    assert files(folder) == before


def test_tile_that_was_spoilt_in_an_interrupted_run_is_fetched_again(folder: MirrorFolder) -> None:
    log = ServedLog(1_000)
    log.broken_after = 4
    with pytest.raises(ApiError):
        mirrored(log, folder)
    spoilt = folder.path / "tile" / tile.path(0, 1)
    spoilt.write_bytes(bytes(8192))
    log.broken_after = None
    assert mirrored(log, folder).size == 1_000


def test_damaged_copy_says_so_and_is_not_taken_for_a_fork(folder: MirrorFolder) -> None:
    mirrored(ServedLog(300), folder)
    damaged = folder.path / "tile" / tile.path(1, 0, 1)
    damaged.write_bytes(bytes(32))
    with pytest.raises(StoreCorrupt, match="is damaged"):
        mirrored(ServedLog(301), folder)


def test_entries_that_are_not_those_of_the_leaves_are_refused(folder: MirrorFolder) -> None:
    log = ServedLog(300)

    def fetch(path: str) -> bytes:
        data = log.fetch(path)
        return data.replace(b'"n":17}', b'"n":18}') if "entries" in path else data

    with pytest.raises(ContentMismatch, match="entries 0 to 255"):
        mirror_log(fetch, folder, SIGNER.verifier, entries=True)
    assert folder.note() is None


def test_checkpoint_by_another_key_is_refused(tmp_path: Path) -> None:
    other = Signer.generate(SIGNER.name).verifier
    folder = MirrorFolder(tmp_path / "mirror", other)
    with pytest.raises(BadSignature):
        mirror_log(ServedLog(3).fetch, folder, other, entries=False)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with open_server(tmp_path_factory.mktemp("served") / "data") as live:
        with live.http() as http:
            http.post("/v1/events", json=[{"kind": "order.created"}] * 300)
        yield live


def test_mirror_and_its_publication_from_the_command_line(live: LiveServer, tmp_path: Path) -> None:
    verifier = live.node.ledger.proofs.verifier_key(TENANT)
    url = f"{live.url}/log/{live.node.identity.tenant(TENANT).log_id}"
    folder = str(tmp_path / "m")
    unknown = run("mirror", url, folder, code=1)
    assert "pass it with --pin" in unknown.stderr
    first = told("mirror", url, folder, "--pin", verifier)
    assert (first["old_size"], first["size"] > 300, first["entries"]) == (0, True, False)
    again = told("mirror", f"{url}/cosigned/", folder, "--key", live.admin_key)
    assert (again["old_size"], again["entries"]) == (first["size"], True)
    other = str(Signer.generate(verifier.partition("+")[0]).verifier)
    assert "another key" in run("mirror", url, folder, "--pin", other, code=1).stderr


def test_publish_writes_pages_beside_the_tiles(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "site"
    run("tenants", "create", "default", "--data", str(data))
    run("demo", "--events", "300", "--data", str(data))
    first = told("publish", str(folder), "--data", str(data))
    site = Path(first["folder"])
    assert {"checkpoint", "growth.csv", "index.html", "log.vkey", "tile"} <= {
        path.name for path in site.iterdir()
    }
    assert not (site / "tile" / "entries").exists()
    told("publish", str(folder), "--entries", "--data", str(data))
    assert (site / "tile" / "entries").exists()
    run("demo", "--events", "1", "--data", str(data))
    second = told("publish", str(folder), "--data", str(data))
    growth = (site / "growth.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in growth] == [
        "size", str(first["size"]), str(second["size"])
    ]  # fmt: skip
    page = (site / "index.html").read_text()
    assert (site / "log.vkey").read_text().strip() in page
    assert f"{second['size']:,} entries" in page
    # An older copy of the data folder is not published over the newer one.
    shutil.copyfile(data / "ledger.db", tmp_path / "kept.db")
    run("demo", "--events", "5", "--data", str(data))
    told("publish", str(folder), "--data", str(data))
    shutil.copyfile(tmp_path / "kept.db", data / "ledger.db")
    refused = run("publish", str(folder), "--data", str(data), code=3)
    assert "rewound" in refused.stderr
