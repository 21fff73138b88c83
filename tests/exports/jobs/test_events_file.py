"""The file of an export: the same bytes however often its writing was cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.errors import StoreFailed
from tallystick.events.event import Resource
from tallystick.exports import rows
from tallystick.exports.jobs import events_file
from tallystick.exports.jobs.files import FileOrder, WrittenFile
from tallystick.identity.exports import ExportJob
from tallystick.identity.streams import Maker
from tallystick.query.expr import Eq, Everything, Expr
from tallystick.store.base import Store
from tests.support.recording import TENANT, Recorder, draft

COUNT = 5_000


class _CutOff(Exception):
    pass


@pytest.fixture
def filled(store: Store, recorder: Recorder) -> Store:
    """Return a store with events of two actors."""
    people = [Resource("user", "1"), Resource("user", "2")]
    for first in range(0, COUNT, 1_000):
        recorder.append(
            TENANT,
            *(draft(n, actor=people[n % 2], data={"n": n}) for n in range(first, first + 1_000)),
        )
    return store


def order(form: str, visible: Expr = Everything(), size: int = COUNT) -> FileOrder:
    """Return an order of all events."""
    job = ExportJob(
        id="0" * 32, tenant=TENANT, created_ms=0, expires_ms=1, what="events", format=form,
        size=size, maker=Maker(),
    )  # fmt: skip
    return FileOrder(job, {}, visible)


def written(
    store: Store, asked: FileOrder, folder: Path, *, cut_off_at: int | None = None
) -> WrittenFile:
    """Write a file, or be cut off once so many entries are done."""
    folder.mkdir(exist_ok=True)

    def progress(done: int, total: int) -> None:
        assert total == asked.job.size
        if cut_off_at is not None and done >= cut_off_at:
            raise _CutOff

    return events_file.events_file(store).write(asked, folder / "file", progress)


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
def test_a_file_that_was_cut_off_has_the_same_bytes(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(events_file, "_NOTED_EVERY_BYTES", 200_000)
    whole = written(filled, order(form), tmp_path / "whole")
    starts: list[int] = []
    original = rows.export_slices

    def noted(*args: object, start: int, size: int) -> object:
        starts.append(start)
        return original(*args, start=start, size=size)  # type: ignore[arg-type]

    monkeypatch.setattr(events_file, "export_slices", noted)
    for at in (2_000, 4_000, COUNT):
        with pytest.raises(_CutOff):
            written(filled, order(form), tmp_path / "broken", cut_off_at=at)
    assert written(filled, order(form), tmp_path / "broken") == whole
    assert (tmp_path / "broken/file").read_bytes() == (tmp_path / "whole/file").read_bytes()
    assert [path.name for path in (tmp_path / "broken").iterdir()] == ["file"]
    assert starts[0] == 0
    assert starts[-1] > 0
    assert (whole.events, whole.first_index, whole.last_index) == (COUNT, 0, COUNT - 1)


def test_other_rights_begin_again(filled: Store, tmp_path: Path) -> None:
    with pytest.raises(_CutOff):
        written(filled, order("ndjson"), tmp_path / "f", cut_off_at=3_000)
    seen = written(filled, order("ndjson", Eq("actor", "user:1")), tmp_path / "f")
    assert seen.events == COUNT // 2
    assert b'"user","id":"2"' not in (tmp_path / "f/file").read_bytes()


def test_an_export_of_nothing_is_an_empty_file(filled: Store, tmp_path: Path) -> None:
    nothing = written(filled, order("ndjson", size=0), tmp_path / "f")
    assert (nothing.events, nothing.bytes, nothing.first_index) == (0, 0, None)
    assert (tmp_path / "f/file").read_bytes() == b""


def test_exports_leave_room_to_the_log(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_file, "EXPORT_FREE_BYTES", 1 << 62)
    with pytest.raises(StoreFailed, match="almost full"):
        written(filled, order("ndjson"), tmp_path / "f")
