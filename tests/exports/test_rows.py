"""Exports as of a size of the log: the same bytes whatever happens meanwhile, on every store."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.events.event import Draft, Resource
from tallystick.exports.formats import FORMATS, Source, rows_of
from tallystick.exports.rows import export_slices
from tallystick.ledger.ledger import Ledger
from tallystick.query.expr import Eq, Everything, Expr, Not, Nothing
from tallystick.store.base import Store
from tallystick.store.sqlite.store import open_sqlite
from tests.store.transactions import KEY
from tests.support.recording import TENANT, Recorder, draft, order
from tests.support.strategies import drafts


def body(store: Store, size: int, *, start: int = 0, where: Expr | None = None) -> bytes:
    """Return an export."""
    slices = export_slices(store, TENANT, where or Everything(), start=start, size=size)
    return b"".join(part.body for part in slices)


def rows(text: bytes) -> list[dict[str, Any]]:
    """Return the rows of an export."""
    return [json.loads(line) for line in text.splitlines()]


def test_an_export_is_pinned_to_a_size(store: Store, ledger: Ledger, recorder: Recorder) -> None:
    """Revised before and after, retracted before and after: shown as at that size."""
    drafts = [draft(n, target=order(str(n)), data={"a": n}) for n in range(6)]
    ids = [accepted.id for accepted in recorder.append(TENANT, *drafts)]

    def revise(n: int, a: int) -> None:
        ledger.revise(TENANT, ids[n], {"a": a}, visible=Everything(), dialect="native")

    def retract(n: int) -> None:
        ledger.retract(TENANT, ids[n], visible=Everything(), dialect="native")

    revise(1, 11)
    revise(2, 12)
    retract(3)
    head = store.log_head(TENANT)
    assert head is not None
    before = body(store, head.size)
    assert [(row["index"], row["data"]["a"]) for row in rows(before)] == [
        (0, 0), (1, 11), (2, 12), (4, 4), (5, 5),
    ]  # fmt: skip
    revise(0, 100)
    revise(1, 101)
    revise(1, 102)
    retract(2)
    retract(4)
    recorder.append(TENANT, draft(9))
    assert body(store, head.size) == before
    parts = body(store, 3), body(store, head.size, start=3)
    assert len(rows(b"".join(parts))) == 5
    leaves = store.leaves(TENANT, 0, 6)
    assert all(bytes.fromhex(row["leaf_hash"]) == leaves[row["index"]] for row in rows(before))
    assert [row["index"] for row in rows(body(store, 6, where=Eq("data.a", 5)))] == [5]


@settings(max_examples=60)
@given(written=st.lists(drafts(), min_size=1, max_size=8))
def test_a_spliced_line_is_a_rendered_line(written: list[Draft]) -> None:
    """The law of splicing: a filter that lets everything pass is answered without splicing."""
    with TemporaryDirectory() as folder, closing(open_sqlite(Path(folder) / "log.db")) as store:
        recorder = Recorder(store, KEY)
        try:
            recorder.append(TENANT, *written)
            head = store.log_head(TENANT)
            assert head is not None
            assert body(store, head.size) == body(store, head.size, where=Not(Nothing()))
        finally:
            recorder.close()


HOSTILE = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "＝1", '=HYPERLINK("http://x")']


def exported(store: Store, name: str) -> bytes:
    """Return a whole export in a format."""
    form, source = FORMATS[name], Source("log.test/1")
    head = store.log_head(TENANT)
    assert head is not None
    return form.head + rows_of(form, body(store, head.size), source)


def test_no_cell_is_a_formula_unless_raw_ones_are_asked_for(
    store: Store, recorder: Recorder
) -> None:
    recorder.append(
        TENANT, *(draft(n, actor=Resource("user", text, text)) for n, text in enumerate(HOSTILE))
    )
    safe = list(csv.DictReader(io.StringIO(exported(store, "csv").decode(), newline="")))
    raw = list(csv.DictReader(io.StringIO(exported(store, "csv-raw").decode(), newline="")))
    assert [row["actor_id"] for row in raw] == HOSTILE
    assert [row["actor_name"] for row in safe] == [f"'{text}" for text in HOSTILE]
    for row in safe:
        assert not any(cell.lstrip().startswith(tuple("=+-@＝")) for cell in row.values())


def test_other_formats_have_what_their_readers_need(store: Store, recorder: Recorder) -> None:
    ann = Resource("user", "7", "Ann")
    recorder.append(
        TENANT,
        draft(0, kind="order.created", actor=ann, target=order("1"), occurred_ms=1_000),
        draft(1, kind="session.logged_in", actor=ann),
        draft(2, kind="weather"),
    )
    ocsf = rows(exported(store, "ocsf"))
    assert [(row["class_uid"], row["activity_id"]) for row in ocsf] == [
        (3004, 1),
        (3002, 1),
        (0, 99),
    ]
    assert ocsf[0]["type_uid"] == 300401
    assert ocsf[0]["time"] == 1_000
    assert ocsf[0]["metadata"]["version"] == "1.3.0"
    assert all(row["unmapped"]["leaf_hash"] for row in ocsf)
    ecs = rows(exported(store, "ecs"))
    assert ecs[0]["@timestamp"] == "1970-01-01T00:00:01.000Z"
    assert ecs[0]["user"] == {"id": "7", "name": "Ann"}
    assert ecs[2]["tallystick"]["receipt"].endswith("/receipt")
    cloud = rows(exported(store, "cloudevents"))
    assert cloud[0]["subject"] == "order:1"
    assert cloud[0]["data"]["index"] == 0
    assert {row["specversion"] for row in cloud} == {"1.0"}
