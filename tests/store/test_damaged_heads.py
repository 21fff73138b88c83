"""A log whose head was damaged while nobody looked is not written to; others go on, reads too."""

# ruff: noqa: S608  # every statement is put together from what stands in this file

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw
import psycopg
import pytest

from tallystick.errors import StoreCorrupt
from tallystick.log.keys import LogKey
from tallystick.store.base import Store
from tallystick.tlog.checkpoint import sign_checkpoint
from tests.store.store_fixtures import Place, SqlitePlace
from tests.store.transactions import KEY
from tests.support.recording import TENANT, Recorder, draft, order

OTHER = "other"
SIZE = 256 * 3 + 41
LAST = SIZE - 1

Change = Callable[["Rows"], None]


class Rows:
    """The rows of the damaged log, in whichever database they are."""

    def __init__(self, place: Place) -> None:
        self.is_sqlite = isinstance(place, SqlitePlace)
        self._url = place.url

    def run(self, statement: str, *values: Any) -> list[Any]:
        """Run a statement written with `?`, and return its rows."""
        if self.is_sqlite:
            connection = apsw.Connection(self._url)
            rows = connection.execute(statement, values).fetchall()
            changed = connection.changes()
            connection.close()
        else:
            with psycopg.connect(self._url) as database:
                cursor = database.execute(statement.replace("?", "%s").encode(), values)
                rows = cursor.fetchall() if cursor.description else []
                changed = cursor.rowcount
        assert rows or changed > 0, "nothing was changed"
        return rows

    def change(self, statement: str, *values: Any) -> None:
        """Run a statement that changes rows."""
        self.run(statement, *values)

    @property
    def log(self) -> str:
        """The condition on `logs` that the damaged one meets."""
        return "tenant = 'acme'" if self.is_sqlite else "tenant = '\\x61636d65'"

    def row(self, index: int) -> str:
        """The condition on `log` that one of its entries meets."""
        if self.is_sqlite:
            return f"pos = (SELECT number FROM logs WHERE {self.log}) * 1099511627776 + {index}"
        return f"{self.log} AND idx = {index}"

    def tile(self, number: int) -> str:
        """The condition on `tiles` that one of its lowest tiles meets."""
        if self.is_sqlite:
            return f"pos = (SELECT number FROM logs WHERE {self.log}) * 34359738368 + {number}"
        return f"{self.log} AND level = 0 AND number = {number}"

    def flip(self, table: str, column: str, where: str, at: float) -> None:
        """Flip one bit of a column, `at` a fraction of the way through its bytes."""
        [(value,)] = self.run(f"SELECT {column} FROM {table} WHERE {where}")
        self.run(f"UPDATE {table} SET {column} = ? WHERE {where}", flipped(value, at))


def flipped(value: Any, at: float) -> Any:
    """Return a value with one bit flipped."""
    if isinstance(value, int):
        return value ^ (1 << int(at * 40))
    damaged = bytearray(value.encode() if isinstance(value, str) else value)
    damaged[int(at * (len(damaged) - 1))] ^= 1
    return damaged.decode() if isinstance(value, str) else bytes(damaged)


def flip(column: str, at: float) -> tuple[str, Change]:
    return f"{column} at {at}", lambda rows: rows.flip("logs", column, rows.log, at)


def flip_entry(column: str, index: int) -> tuple[str, Change]:
    return (
        f"{column} of entry {index}",
        lambda rows: rows.flip("log", column, rows.row(index), 0.5),
    )


def flip_tile(column: str, number: int) -> tuple[str, Change]:
    return (
        f"{column} of tile {number}",
        lambda rows: rows.flip("tiles", column, rows.tile(number), 0.5),
    )


def insert_row_behind_the_end(rows: Rows) -> None:
    columns = "entry, leaf, actor, target, place, data, previous"
    key = "pos + 1" if rows.is_sqlite else "tenant, idx + 1"
    rows.run(f"INSERT INTO log SELECT {key}, {columns} FROM log WHERE {rows.row(LAST)}")


def insert_tile_behind_the_end(rows: Rows) -> None:
    key = "pos + 1" if rows.is_sqlite else "tenant, level, number + 1"
    rows.run(f"INSERT INTO tiles SELECT {key}, root, hashes FROM tiles WHERE {rows.tile(2)}")


def sign_by_a_stranger(rows: Rows) -> None:
    [(origin, root)] = rows.run(f"SELECT origin, root FROM logs WHERE {rows.log}")
    name = origin if isinstance(origin, str) else origin.decode()
    signer = LogKey.generate().signer(name)
    note = sign_checkpoint(signer, name, SIZE, root)
    text = note if rows.is_sqlite else note.encode()
    rows.run(f"UPDATE logs SET checkpoint = ?, key_id = ? WHERE {rows.log}", text, signer.key_id)


DAMAGE: list[tuple[str, Change]] = [
    *[
        flip(column, at)
        for column in ("origin", "key_id", "size", "frontier", "root", "checkpoint", "recorded_ms")
        for at in (0.1, 0.8)
    ],
    flip_entry("entry", LAST),
    flip_entry("leaf", LAST),
    flip_entry("leaf", SIZE - 41),
    flip_tile("root", 0),
    flip_tile("root", 2),
    flip_tile("hashes", 2),
    ("last entry is gone", lambda rows: rows.change("DELETE FROM log WHERE " + rows.row(LAST))),
    ("last tile is gone", lambda rows: rows.change("DELETE FROM tiles WHERE " + rows.tile(2))),
    ("all entries are gone", lambda rows: rows.change("DELETE FROM log")),
    ("entry behind the end", insert_row_behind_the_end),
    ("tile behind the end", insert_tile_behind_the_end),
    ("key id is gone", lambda rows: rows.change("UPDATE logs SET key_id = ?", b"")),
    ("signed by a stranger", sign_by_a_stranger),
]  # fmt: skip


def fill(place: Place) -> None:
    store = place.open()
    recorder = Recorder(store, KEY)
    recorder.append(OTHER, draft(0))
    recorder.fill(TENANT, SIZE, at_once=200)
    recorder.close()
    store.close()


def open_again(place: Place) -> tuple[Store, Recorder]:
    store = place.open()
    return store, Recorder(store, KEY)


def tree_of(place: Place) -> list[Any]:
    rows = Rows(place)
    return rows.run(f"SELECT size, frontier, root, checkpoint FROM logs WHERE {rows.log}")


@pytest.mark.parametrize("damage", [name for name, _ in DAMAGE])
def test_damaged_head_is_never_signed_over(place: Place, damage: str) -> None:
    fill(place)
    dict(DAMAGE)[damage](Rows(place))
    before = tree_of(place)
    store, recorder = open_again(place)
    with pytest.raises(StoreCorrupt, match="nothing is written to the log of 'acme'"):
        recorder.append(TENANT, draft(1, target=order("1")))
    with pytest.raises(StoreCorrupt, match="nothing is written to the log of 'acme'"):
        recorder.append(TENANT, draft(2))
    assert [str(each)[:36] for each in recorder.sequencer.failures.values()] == [
        "nothing is written to the log of 'ac"
    ]
    assert tree_of(place) == before
    # Reads go on, and so does everybody else.
    if damage not in ("all entries are gone", "key id is gone"):
        assert store.rows(TENANT, 0, 1)
        recorder.append(OTHER, draft(1))
    recorder.close()
    store.close()


def test_start_finds_a_damaged_head_before_anybody_writes(place: Place) -> None:
    fill(place)
    rows = Rows(place)
    rows.flip("logs", "frontier", rows.log, 0.5)
    store, recorder = open_again(place)
    assert recorder.sequencer.prove([OTHER, TENANT], deadline_s=60) == 2
    [failure] = recorder.sequencer.failures.values()
    assert "its frontier does not give its size and root" in failure.message
    recorder.close()
    store.close()


def test_head_that_is_damaged_while_serving_is_found_at_the_next_commit(place: Place) -> None:
    fill(place)
    store, recorder = open_again(place)
    recorder.append(TENANT, draft(1))
    rows = Rows(place)
    rows.flip("logs", "recorded_ms", rows.log, 0.9)
    with pytest.raises(StoreCorrupt, match="its time is not that of its last entry"):
        recorder.append(TENANT, draft(2))
    recorder.close()
    store.close()


def test_log_that_is_set_back_while_serving_is_found_at_the_next_commit(place: Place) -> None:
    """As a failover that lost commits sets it back."""
    fill(place)
    rows = Rows(place)
    columns = "size, frontier, root, checkpoint, recorded_ms"
    [old] = rows.run(f"SELECT {columns} FROM logs WHERE {rows.log}")
    store, recorder = open_again(place)
    recorder.append(TENANT, draft(1))
    rows.run(f"DELETE FROM log WHERE {rows.row(SIZE)}")
    settings = ", ".join(f"{column} = ?" for column in columns.split(", "))
    rows.run(f"UPDATE logs SET {settings} WHERE {rows.log}", *old)
    with pytest.raises(StoreCorrupt, match=r"it had 810 entries and has 809 now: it was set back"):
        recorder.append(TENANT, draft(2))
    recorder.close()
    store.close()


def test_log_that_another_server_extends_is_proven_and_goes_on(place: Place) -> None:
    fill(place)
    store, recorder = open_again(place)
    recorder.append(TENANT, draft(1))
    elsewhere, another = open_again(place)
    another.append(TENANT, draft(2), draft(3))
    recorder.append(TENANT, draft(4))
    another.fill(TENANT, 5_000)
    assert recorder.append(TENANT, draft(5))[0].index == SIZE + 5_004
    assert recorder.sequencer.failures == {}
    for each in (recorder, another):
        each.close()
    for opened in (store, elsewhere):
        opened.close()


def test_log_that_is_gone_while_serving_is_not_begun_again(place: Place) -> None:
    fill(place)
    store, recorder = open_again(place)
    recorder.append(TENANT, draft(1))
    rows = Rows(place)
    rows.run(f"DELETE FROM logs WHERE {rows.log}")
    with pytest.raises(StoreCorrupt, match="it had 810 entries and is gone"):
        recorder.append(TENANT, draft(2))
    recorder.close()
    store.close()
