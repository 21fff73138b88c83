"""A server that is killed under load: what it acknowledged is there, nothing is half-written."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import msgspec

from tallystick.log.keys import LogKey, open_log_key
from tallystick.store.base import Store
from tallystick.store.sqlite.store import open_sqlite
from tests.faults.processes import Acknowledged, WriterProcess
from tests.faults.writer import Orders
from tests.support.check import check_log

KILLS = int(os.environ.get("TALLYSTICK_TEST_KILLS", "20"))
ACKNOWLEDGED = 1_000
KILLS_IN_A_COMMIT = KILLS // 4
KILLS_OF_A_LOG = 5


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    """Kill the writer as it commits, once it was acknowledged enough; check everything; go on
    with the same log. A log sees a few kills, then a new one is begun."""
    in_commit = sum(
        kill_repeatedly(tmp_path / f"{start}", min(KILLS_OF_A_LOG, KILLS - start))
        for start in range(0, KILLS, KILLS_OF_A_LOG)
    )
    assert in_commit >= KILLS_IN_A_COMMIT


def kill_repeatedly(folder: Path, kills: int) -> int:
    """Kill the writers of one log, each after the other, and return how many died in a commit."""
    folder.mkdir()
    mark, key_file, path = folder / "mark", folder / "log.key", folder / "log.db"
    key = open_log_key(key_file, "log.test")
    in_commit = size = 0
    for number in range(kills):
        orders = Orders(url=str(path), key=str(key_file), name=f"{number}", mark=str(mark))
        told, in_the_act = run_and_kill(orders, mark)
        in_commit += in_the_act
        store = open_sqlite(path)
        check_round(store, key, told)
        before, size = size, sum(head.size for head in store.log_heads())
        store.close()
        assert size - before >= len(told) >= ACKNOWLEDGED
    return in_commit


def run_and_kill(orders: Orders, mark: Path) -> tuple[list[Acknowledged], bool]:
    """Return what a writer was acknowledged before it was killed, and whether in a commit."""
    assert orders.mark is not None
    mark.write_bytes(b"\0")
    writer = WriterProcess(orders)
    writer.wait_for(ACKNOWLEDGED)
    with mark.open("r+b") as file, mmap.mmap(file.fileno(), 1) as flag:
        while not flag[0]:
            pass
        writer.kill()
        return writer.acknowledged, flag[0] == 1


def check_round(store: Store, key: LogKey, told: list[Acknowledged]) -> None:
    """Check that all of the log is sound and that it holds what was acknowledged, once."""
    check_log(store, key)
    for tenant in {each.tenant for each in told}:
        expected = {each.place: each.number for each in told if each.tenant == tenant}
        rows = store.rows_at(tenant, expected)
        numbers = {
            index: msgspec.json.decode((row.sections[3] or b"")[16:])["number"]
            for index, row in rows.items()
        }
        assert numbers == expected
        assert len(set(expected.values())) == len(expected)
