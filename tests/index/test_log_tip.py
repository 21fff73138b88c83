"""The tip beside an index's write-ahead log: what a process finds when it opens the index."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.followers.damage import IndexDamaged
from tallystick.index.log_tip import LOG_HEADER_BYTES, FoundLog


@pytest.mark.parametrize("log", [None, b""])
def test_a_tip_without_a_byte_is_that_of_a_log_never_begun(
    tmp_path: Path, log: bytes | None
) -> None:
    """A process killed between creating the tip and writing it."""
    (tmp_path / "names.db-wal-tip").touch()
    if log is not None:
        (tmp_path / "names.db-wal").write_bytes(log)
    FoundLog(tmp_path / "names.db")


@pytest.mark.parametrize(
    ("tip", "said"), [(None, "missing"), (b"", "missing"), (b"\0" * 27, "damaged")]
)
def test_a_log_without_a_sound_tip_is_damage(tmp_path: Path, tip: bytes | None, said: str) -> None:
    (tmp_path / "names.db-wal").write_bytes(bytes(LOG_HEADER_BYTES))
    if tip is not None:
        (tmp_path / "names.db-wal-tip").write_bytes(tip)
    with pytest.raises(IndexDamaged, match=said):
        FoundLog(tmp_path / "names.db")
