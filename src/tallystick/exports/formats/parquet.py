"""Parquet: typed columns, a row group every 100,000 events; members of `data` stay JSON texts.

Rows are written as flat lines of JSON first; the file is made of all of them in one pass, a batch
at a time. Needs the extra `parquet`. Source: Apache Parquet format 2; Apache Arrow columnar format.
"""

from __future__ import annotations

from typing import IO, Any

import msgspec

from tallystick.exports.formats.base import ExportFormat, Row, Source, json_line, resource_text

_TEXTS = ("id", "kind", "dialect", "leaf_hash", "receipt")
_JSON = ("data", "previous", "original")
_RESOURCE = ("type", "id", "name")
_BATCH_ROWS = 8_192
_GROUP_ROWS = 100_000


def _row(row: Row, line: bytes, source: Source) -> bytes:
    flat: dict[str, Any] = {name: row[name] for name in _TEXTS}
    for name in ("index", "revision", "occurred_at", "recorded_at"):
        flat[name] = row[name]
    for role in ("actor", "target"):
        resource = row.get(role) or {}
        flat |= {f"{role}_{name}": resource.get(name) for name in _RESOURCE}
    for name in _JSON:
        flat[name] = msgspec.json.encode(row[name]).decode() if name in row else None
    flat["scopes"] = [resource_text(scope) for scope in row.get("scopes", ())]
    flat["trails"] = row.get("trails", [])
    return json_line(flat)


def _convert(rows: IO[bytes], file: IO[bytes], source: Source) -> None:
    # Imported late: an extra.
    from arro3.core import DataType, Field, Schema
    from arro3.io import read_json, write_parquet

    text, number = DataType.utf8(), DataType.int64()
    moment = DataType.timestamp("ms", tz="UTC")
    texts = DataType.list(Field("item", text, nullable=True))
    schema = Schema(
        [
            Field("index", number, nullable=False),
            Field("id", text, nullable=False),
            Field("kind", text, nullable=False),
            Field("occurred_at", moment, nullable=False),
            Field("recorded_at", moment, nullable=False),
            Field("dialect", text, nullable=False),
            *(
                Field(f"{role}_{name}", text, nullable=True)
                for role in ("actor", "target")
                for name in _RESOURCE
            ),
            Field("scopes", texts, nullable=False),
            Field("trails", texts, nullable=False),
            *(Field(name, text, nullable=True) for name in _JSON),
            Field("revision", number, nullable=False),
            Field("leaf_hash", text, nullable=False),
            Field("receipt", text, nullable=False),
        ]
    )
    write_parquet(
        read_json(rows, schema, batch_size=_BATCH_ROWS),
        file,
        compression="zstd(3)",
        created_by="Tallystick",
        key_value_metadata={"tallystick.origin": source.origin},
        max_row_group_size=_GROUP_ROWS,
    )


PARQUET = ExportFormat(
    "parquet",
    ".parquet",
    "application/vnd.apache.parquet",
    b"",
    _row,
    _convert,
    extra="parquet",
    modules=("arro3.core", "arro3.io"),
)
