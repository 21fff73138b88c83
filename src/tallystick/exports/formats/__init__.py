"""Formats of exports: each turns rows, as `rows` writes them, into its own bytes.

A format is a value; to add one, write its functions and add it to `FORMATS`.
"""

from __future__ import annotations

from tallystick.exports.formats import cloudevents, csv, ecs, ndjson, ocsf, parquet
from tallystick.exports.formats.base import ExportFormat, Source, rows_of

FORMATS: dict[str, ExportFormat] = {
    each.name: each
    for each in (
        ndjson.NDJSON,
        csv.CSV,
        csv.CSV_RAW,
        cloudevents.CLOUDEVENTS,
        ecs.ECS,
        ocsf.OCSF,
        parquet.PARQUET,
    )
}
"""Every format, by the name that `--format` takes."""

__all__ = ["FORMATS", "ExportFormat", "Source", "rows_of"]
