"""What a format of exports is."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import IO, Any, NamedTuple

import msgspec

from tallystick.errors import Malformed

Row = dict[str, Any]
"""A row as `exports.rows` writes it: the event as `/v1/events` shows it, and `leaf_hash`."""


class Source(NamedTuple):
    """Where rows come from: the origin of the log, which names it for good."""

    origin: str


class ExportFormat(NamedTuple):
    """A format: what a file begins with, and how a row is written.

    `row` is given a row and its line, and returns bytes that depend on nothing else; None leaves
    lines as they are. Where a file is more than its rows, `convert` makes it of all lines.
    """

    name: str
    suffix: str
    media_type: str
    head: bytes
    row: Callable[[Row, bytes, Source], bytes] | None
    convert: Callable[[IO[bytes], IO[bytes], Source], None] | None = None
    extra: str | None = None
    """The extra of this package that has what it needs."""
    modules: tuple[str, ...] = ()

    def require(self) -> None:
        """Let a format pass whose libraries are installed.

        Raises: Malformed.
        """
        for name in self.modules:
            try:
                import_module(name)
            except ImportError:
                raise Malformed(
                    f"the format {self.name} needs libraries that are not installed here",
                    path="format",
                    hint=f"pip install 'tallystick[{self.extra}]'",
                ) from None


def rows_of(form: ExportFormat, lines: bytes, source: Source) -> bytes:
    """Return lines of JSON, each with its end, as a format writes them."""
    if form.row is None:
        return lines
    decoded = (line + b"\n" for line in lines[:-1].split(b"\n"))
    return b"".join(form.row(msgspec.json.decode(line), line, source) for line in decoded)


def json_line(value: object) -> bytes:
    """Return a value as a line of JSON."""
    return msgspec.json.encode(value) + b"\n"


def resource_text(resource: Any) -> str | None:
    """Return a resource as `type:id`; None for none."""
    return None if resource is None else f"{resource['type']}:{resource['id']}"
