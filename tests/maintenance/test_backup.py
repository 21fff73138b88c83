"""A backup holds what cannot be made again, and a restore brings it back."""

from __future__ import annotations

import io
from pathlib import Path

from tallystick.data_folder import BLOBS_FOLDER, INDEX_FOLDER, TIMESTAMPS_FOLDER
from tallystick.maintenance import backup
from tallystick.node.node import open_node
from tallystick.settings import Settings


def test_time_stamps_and_blobs_come_back_and_indexes_do_not(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    open_node(folder, Settings(), followers=False).close()
    for name in (BLOBS_FOLDER, TIMESTAMPS_FOLDER, INDEX_FOLDER):
        (folder / name / "log").mkdir(parents=True, exist_ok=True)
        (folder / name / "log" / "1.tsr").write_bytes(name.encode())
    archive = io.BytesIO()
    backup.back_up(folder, archive, lambda done, total: None)
    archive.seek(0)
    restored = tmp_path / "restored"
    backup.restore(archive, restored)
    for name in (BLOBS_FOLDER, TIMESTAMPS_FOLDER):
        assert (restored / name / "log" / "1.tsr").read_bytes() == name.encode()
    assert not (restored / INDEX_FOLDER).exists()
