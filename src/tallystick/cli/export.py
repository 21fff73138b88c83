"""`tallystick export`: every event that matches, as a file whose manifest says that it is whole."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from tallystick import durable
from tallystick.cli.evidence import write_bundle
from tallystick.cli.target import Reach, with_reach
from tallystick.client.client import Client, Json
from tallystick.errors import Conflict, Malformed
from tallystick.exports.formats import FORMATS, ExportFormat, Source, rows_of
from tallystick.exports.rows import span_of
from tallystick.json_text import NOT_JSON

_PIECE_BYTES = 1024 * 1024
_ROWS_AT_ONCE = 5_000
"""Rows between two notes of how far an export is: what is written twice after a kill at most."""


class _Progress(msgspec.Struct, kw_only=True):
    """How far an export is; beside the file until it is whole, and then its manifest."""

    format: str
    filters: dict[str, Any]
    origin: str
    size: int
    """Size of the log that the export is pinned to."""
    first_index: int | None = None
    last_index: int | None = None
    rows: int = 0
    bytes: int = 0
    sha256: str = ""
    complete: bool = False


@click.command()
@click.option(
    "--format", "form", type=click.Choice(sorted(FORMATS)), default="ndjson", show_default=True
)
@click.option("--kind", multiple=True, help="Kind, exact or like order.*; repeatable.")
@click.option("--actor", multiple=True, metavar="TYPE:ID")
@click.option("--target", multiple=True, metavar="TYPE:ID")
@click.option("--scope", multiple=True, metavar="TYPE:ID")
@click.option("--trail", multiple=True)
@click.option("--dialect", multiple=True, help="The API that wrote it; repeatable.")
@click.option("--from", "start", help="Not before this time (RFC 3339).")
@click.option("--to", "stop", help="Before this time (RFC 3339).")
@click.option("-q", "query", help="Search query; see `tallystick search --help`.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write an evidence bundle: events with their proofs and two verifiers, as one ZIP.",
)
@click.option(
    "--at",
    type=click.IntRange(0),
    help="For a bundle: export the log as of this number of entries.",
)
@click.option("--first", type=click.IntRange(0), help="Bundle: account for all entries from here.")
@click.option("--until", type=click.IntRange(0), help="Bundle: and before this one.")
@with_reach
def export(
    reach: Reach,
    form: str,
    kind: tuple[str, ...],
    actor: tuple[str, ...],
    target: tuple[str, ...],
    scope: tuple[str, ...],
    trail: tuple[str, ...],
    dialect: tuple[str, ...],
    start: str | None,
    stop: str | None,
    query: str | None,
    out: Path | None,
    bundle: Path | None,
    at: int | None,
    first: int | None,
    until: int | None,
) -> None:
    """Write every event that matches, in the order of the log, to a file or standard output.

    With --out, FILE.manifest.json says how many events there are, their hash and range. An export
    that was broken off is taken up again by the same command, and has the same bytes. With
    --bundle, the events come with what proves them; see `tallystick verify`.
    """
    asked: Json = {
        "kind": kind, "actor": actor, "target": target, "scope": scope, "trail": trail,
        "dialect": dialect, "from": start, "to": stop, "q": query,
    }  # fmt: skip
    filters = {name: value for name, value in asked.items() if value not in (None, ())}
    if bundle is not None:
        write_bundle(reach, bundle, filters | {"at": at, "first": first, "stop": until})
        return
    FORMATS[form].require()
    if any(value is not None for value in (at, first, until)):
        raise click.UsageError("--at, --first and --until are for --bundle")
    with reach.client() as client:
        if out is None:
            manifest = _to_output(client, FORMATS[form], filters)
        else:
            manifest = _to_file(reach, client, FORMATS[form], filters, out)
    text = f"{manifest.rows} events of {manifest.size} entries, sha256 {manifest.sha256}"
    click.echo(msgspec.json.encode(manifest).decode() if reach.as_json else text, err=True)


def _to_output(client: Client, form: ExportFormat, filters: Json) -> _Progress:
    output = sys.stdout.buffer
    if form.convert is None:
        progress, digest = _rows_to(output, client, form, filters)
    else:
        # What is more than its rows is made of all of them.
        with tempfile.TemporaryFile() as rows, tempfile.TemporaryFile() as made:
            progress, _ = _rows_to(rows, client, form, filters)
            rows.seek(0)
            form.convert(rows, made, Source(progress.origin))
            digest, progress.bytes = hashlib.sha256(), 0
            made.seek(0)
            while piece := made.read(_PIECE_BYTES):
                _write(output, piece, progress, digest)
    output.flush()
    return _whole(progress, digest)


def _rows_to(
    file: IO[bytes], client: Client, form: ExportFormat, filters: Json
) -> tuple[_Progress, Any]:
    with client.export(filters) as answer:
        progress = _Progress(
            format=form.name, filters=filters, origin=answer.origin, size=answer.size
        )
        digest = hashlib.sha256()
        _write(file, form.head, progress, digest)
        for line in answer.lines:
            _write_row(file, line, form, progress, digest)
    return progress, digest


def _to_file(
    reach: Reach, client: Client, form: ExportFormat, filters: Json, out: Path
) -> _Progress:
    part, note = (out.with_name(f"{out.name}{end}") for end in (".part", ".part.json"))
    if out.exists():
        raise Malformed(f"{out} exists", hint="remove it, or choose another --out")
    progress = _noted(note, part, form, filters)
    params = dict(filters)
    if progress is not None:
        params |= {"size": progress.size, "start": (progress.last_index or 0) + 1}
    with client.export(params) as answer, part.open("ab") as file:
        if progress is None:
            file.truncate(0)
            progress = _Progress(
                format=form.name, filters=filters, origin=answer.origin, size=answer.size
            )
            digest = hashlib.sha256()
            _write(file, form.head, progress, digest)
        elif progress.origin != answer.origin:
            raise Conflict(
                f"{part} belongs to another log", hint=f"remove {part} and {note} to begin again"
            )
        else:
            file.truncate(progress.bytes)
            digest = _digest_of(part)
        for line in _shown(reach, answer.lines, progress):
            _write_row(file, line, form, progress, digest)
            if progress.rows % _ROWS_AT_ONCE == 0:
                _note(note, file, progress)
        file.flush()
        os.fsync(file.fileno())
    if form.convert is not None:
        part, digest = _converted(part, form, progress)
    manifest = _whole(progress, digest)
    part.replace(out)
    out.with_name(f"{out.name}.part").unlink(missing_ok=True)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    durable.replace_file(out.with_name(f"{out.name}.manifest.json"), text, mode=0o644)
    note.unlink(missing_ok=True)
    return manifest


def _converted(part: Path, form: ExportFormat, progress: _Progress) -> tuple[Path, Any]:
    """Make a file of all rows, and return where it is and its digest."""
    assert form.convert is not None, "other formats are their rows"
    made = part.with_name(f"{part.name}.made")
    with part.open("rb") as rows, made.open("wb") as file:
        form.convert(rows, file, Source(progress.origin))
        durable.flush_file(file)
    progress.bytes = made.stat().st_size
    return made, _digest_of(made)


def _noted(note: Path, part: Path, form: ExportFormat, filters: Json) -> _Progress | None:
    """Return how far an export of the same question is, if one was broken off.

    Raises: Malformed when another one was.
    """
    try:
        progress = msgspec.json.decode(note.read_bytes(), type=_Progress)
    except (FileNotFoundError, *NOT_JSON):
        return None
    asked = msgspec.json.decode(msgspec.json.encode(filters))
    if not part.exists() or part.stat().st_size < progress.bytes:
        return None
    if progress.format != form.name or progress.filters != asked:
        raise Malformed(
            f"{part} belongs to an export with another format or other filters",
            hint=f"remove {part} and {note}, or choose another --out",
        )
    return progress


def _note(note: Path, file: IO[bytes], progress: _Progress) -> None:
    # The rows first: a note of rows that are not on disk would leave a gap.
    file.flush()
    os.fsync(file.fileno())
    durable.replace_file(note, msgspec.json.encode(progress))


def _write_row(
    file: IO[bytes], line: bytes, form: ExportFormat, progress: _Progress, digest: Any
) -> None:
    text = line + b"\n"
    _write(file, rows_of(form, text, Source(progress.origin)), progress, digest)
    progress.rows += 1
    first, progress.last_index = span_of(text)
    if progress.first_index is None:
        progress.first_index = first


def _write(file: IO[bytes], data: bytes, progress: _Progress, digest: Any) -> None:
    file.write(data)
    digest.update(data)
    progress.bytes += len(data)


def _whole(progress: _Progress, digest: Any) -> _Progress:
    progress.sha256, progress.complete = digest.hexdigest(), True
    return progress


def _digest_of(part: Path) -> Any:
    with part.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest


def _shown(reach: Reach, lines: Iterator[bytes], progress: _Progress) -> Iterator[bytes]:
    """Yield the lines, showing on a terminal how far they are."""
    if not reach.progress.is_terminal:
        yield from lines
        return
    from tallystick.cli.output import progress_bar

    with progress_bar(reach, "exporting", "entries") as show:
        for number, line in enumerate(lines):
            yield line
            if number % 500 == 0:
                show((progress.last_index or 0) + 1, progress.size)


COMMANDS = (export,)
