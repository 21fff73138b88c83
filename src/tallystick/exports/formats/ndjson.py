"""Lines of JSON: events as the native API shows them, with their leaf hash."""

from __future__ import annotations

from tallystick.exports.formats.base import ExportFormat

NDJSON = ExportFormat("ndjson", ".ndjson", "application/x-ndjson", b"", None)
