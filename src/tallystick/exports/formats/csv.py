"""Comma-separated values for spreadsheets, safe by default: no cell is a formula.

A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or a line break as a formula,
and events hold what strangers wrote. In `csv` such a cell begins with an apostrophe, which
spreadsheets hide. `csv-raw` leaves cells as they are, for programs. Source: RFC 4180; OWASP, CSV
Injection.
"""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec

from tallystick.exports.formats.base import ExportFormat, Row, Source, resource_text

_COLUMNS = (
    *("index", "id", "kind", "occurred_at", "recorded_at", "dialect"),
    *("actor_type", "actor_id", "actor_name", "target_type", "target_id", "target_name"),
    *("scopes", "trails", "data", "previous", "revision", "leaf_hash", "receipt"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
"""What spreadsheets take for the beginning of a formula, full-width forms too."""


def _cells(row: Row) -> list[str]:
    actor, target = row.get("actor") or {}, row.get("target") or {}
    values = {
        **row,
        **{f"actor_{name}": actor.get(name) for name in ("type", "id", "name")},
        **{f"target_{name}": target.get(name) for name in ("type", "id", "name")},
        "scopes": [resource_text(scope) for scope in row.get("scopes", ())],
        "trails": row.get("trails", []),
    }
    return [_text(values.get(name)) for name in _COLUMNS]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _harmless(text: str) -> str:
    # A spreadsheet passes over blanks before it looks for a formula.
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def _written(cells: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode("utf-8", "replace")


def _safe_row(row: Row, line: bytes, source: Source) -> bytes:
    return _written([_harmless(cell) for cell in _cells(row)])


def _raw_row(row: Row, line: bytes, source: Source) -> bytes:
    return _written(_cells(row))


_HEAD = _written(list(_COLUMNS))
_MEDIA_TYPE = "text/csv; charset=utf-8; header=present"

CSV = ExportFormat("csv", ".csv", _MEDIA_TYPE, _HEAD, _safe_row)
CSV_RAW = ExportFormat("csv-raw", ".csv", _MEDIA_TYPE, _HEAD, _raw_row)
