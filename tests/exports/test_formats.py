"""Formats of exports, read by programs that nobody here wrote."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from py_ocsf_models.events.base_event import BaseEvent  # type: ignore[import-untyped]
from py_ocsf_models.objects.metadata import Metadata  # type: ignore[import-untyped]
from py_ocsf_models.objects.product import Product  # type: ignore[import-untyped]

from tallystick.events.event import Resource
from tallystick.exports.formats import FORMATS, Source, rows_of
from tallystick.exports.rows import export_slices
from tallystick.query.expr import Everything
from tallystick.store.base import Store
from tests.support.recording import TENANT, Recorder, draft, order

ORIGIN = "log.test/1"
ANN = Resource("user", "7", "Ann")
FORMULA = '=HYPERLINK("http://x")'


@pytest.fixture
def filled(store: Store, recorder: Recorder) -> Store:
    """Return a store with events of every class of OCSF, and of every shape."""
    recorder.append(
        TENANT,
        draft(0, kind="order.created", actor=ANN, target=order("1"), occurred_ms=-1_234),
        draft(1, kind="session.logged_in", actor=ANN),
        draft(2, kind="session.logged_out", actor=ANN, target=Resource("service", "s")),
        draft(3, kind="weather", data={"text": "\u2028 ä \n", "deep": {"n": [1, 2.5, None]}}),
        draft(4, kind=FORMULA, actor=Resource("key", FORMULA), trails=("t/1", "t,2")),
        draft(5, kind="order.deleted", target=order("=1"), scopes=(Resource("w", "9"),)),
    )
    return store


def exported(store: Store, name: str) -> bytes:
    """Return a whole export in a format."""
    form, source = FORMATS[name], Source(ORIGIN)
    head = store.log_head(TENANT)
    assert head is not None
    slices = export_slices(store, TENANT, Everything(), start=0, size=head.size)
    body = form.head + b"".join(rows_of(form, part.body, source) for part in slices if part.body)
    if form.convert is None:
        return body
    made = io.BytesIO()
    form.convert(io.BytesIO(body), made, source)
    return made.getvalue()


def lines(store: Store, name: str) -> list[dict[str, Any]]:
    """Return the rows of an export whose rows are lines of JSON."""
    return [json.loads(line) for line in exported(store, name).splitlines()]


def test_the_sdk_reads_cloudevents(filled: Store) -> None:
    structured = {"content-type": "application/cloudevents+json"}
    rows = lines(filled, "ndjson")
    for line, row in zip(exported(filled, "cloudevents").splitlines(), rows, strict=True):
        event = from_http_event(HTTPMessage(structured, line), JSONFormat())
        assert event.get_id() == row["id"]
        assert event.get_source() == f"//{ORIGIN}"
        assert event.get_data() == row
        assert event.get_extension("tallystickindex") == str(row["index"])


def test_ocsf_models_accept_every_class(filled: Store) -> None:
    events = lines(filled, "ocsf")
    assert {event["class_uid"] for event in events} == {0, 3002, 3004}
    for event in events:
        read = BaseEvent.model_validate(event)
        assert read.severity_id.value == 1
        metadata = Metadata.model_validate(event["metadata"])
        assert metadata.version == "1.3.0"
        assert metadata.sequence == event["unmapped"]["index"]
        assert Product.model_validate(event["metadata"]["product"]).vendor_name == "Tallystick"


def test_a_spreadsheet_runs_nothing_of_a_csv(filled: Store) -> None:
    """A cell that openpyxl takes for a formula has the type `f`; csv-raw shows that it would."""
    found: dict[str, set[str]] = {}
    for name in ("csv", "csv-raw"):
        sheet = openpyxl.Workbook().create_sheet()
        for row in csv.reader(io.StringIO(exported(filled, name).decode(), newline="")):
            sheet.append(row)
        found[name] = {cell.data_type for row in sheet.iter_rows() for cell in row}
    assert "f" not in found["csv"]
    assert "f" in found["csv-raw"]


def test_pyarrow_reads_parquet(filled: Store) -> None:
    body = exported(filled, "parquet")
    assert exported(filled, "parquet") == body
    file = pyarrow.parquet.ParquetFile(io.BytesIO(body))
    assert file.metadata.metadata[b"tallystick.origin"] == ORIGIN.encode()
    types = {field.name: str(field.type) for field in file.schema_arrow}
    assert types["index"] == types["revision"] == "int64"
    assert types["occurred_at"] == types["recorded_at"] == "timestamp[ms, tz=UTC]"
    assert types["scopes"].startswith("list<")
    for read, row in zip(file.read().to_pylist(), lines(filled, "ndjson"), strict=True):
        assert {name: read[name] for name in ("id", "kind", "index", "receipt", "leaf_hash")} == {
            name: row[name] for name in ("id", "kind", "index", "receipt", "leaf_hash")
        }
        assert read["occurred_at"].isoformat(timespec="milliseconds") == row["occurred_at"].replace(
            "Z", "+00:00"
        )
        assert json.loads(read["data"]) == row["data"]
        assert read["trails"] == row.get("trails", [])
        assert read["actor_id"] == row.get("actor", {}).get("id")


def test_an_empty_export_is_a_file_of_its_format(store: Store) -> None:
    empty = io.BytesIO()
    convert = FORMATS["parquet"].convert
    assert convert is not None
    convert(io.BytesIO(), empty, Source(ORIGIN))
    assert pyarrow.parquet.read_table(io.BytesIO(empty.getvalue())).num_rows == 0


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_rows_say_where_they_stand_in_the_log(filled: Store, name: str) -> None:
    """One row taken out of any format is enough to find and check its receipt."""
    leaves = filled.leaves(TENANT, 0, 6)
    if name == "parquet":
        table = pyarrow.parquet.read_table(io.BytesIO(exported(filled, name)))
        rows = table.to_pylist()
    elif name.startswith("csv"):
        rows = list(csv.DictReader(io.StringIO(exported(filled, name).decode(), newline="")))
    else:
        inside = {"cloudevents": "data", "ecs": "tallystick", "ocsf": "unmapped"}.get(name)
        rows = [row if inside is None else row[inside] for row in lines(filled, name)]
    assert len(rows) == 6
    for row in rows:
        assert bytes.fromhex(row["leaf_hash"]) == leaves[int(row["index"])]
        assert row["receipt"] == f"/v1/events/{row['id']}/receipt"
