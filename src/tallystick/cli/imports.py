"""`import`: bring in records of other systems; safe to stop and to run again."""

from __future__ import annotations

import contextlib
import functools
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import click
import msgspec
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from tallystick.cli.target import Reach, with_reach
from tallystick.client.client import Client, Json
from tallystick.errors import Malformed
from tallystick.imports import cloudtrail, files, github
from tallystick.imports.cloudfoundry.controller import CloudController, Login
from tallystick.imports.cloudfoundry.copier import import_events
from tallystick.imports.splitting import values_of

_RECORDS_AT_ONCE = 1000
_BYTES_AT_ONCE = 8 * 1024 * 1024
_PATHS = click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True)
)


_EXCLUDE = click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help="Skip files whose name or path matches; repeatable.",
)

ToEvents = Callable[[Path, object], Iterator[Callable[[], Json]]]
"""Yields what makes each event that one value of a file holds; the file's path may tell its type.

Each event is made by itself, so that one that cannot be made does not stop the others.
"""


class Tally:
    """What became of the records of an import."""

    def __init__(self) -> None:
        self.stored = self.known = self.skipped = self.left_out = self.timeless = 0

    def told(self) -> Json:
        """Return the counts by name."""
        counts = {
            "stored": self.stored,
            "already_there": self.known,
            "skipped": self.skipped,
        }
        rare = {"left_out": self.left_out, "without_a_time": self.timeless}
        return counts | {name: count for name, count in rare.items() if count}

    def text(self) -> str:
        """Return the counts as a sentence; rare ones only where they are not zero."""
        parts = [f"{self.stored} stored, {self.known} already there, {self.skipped} skipped"]
        if self.left_out:
            parts.append(f"{self.left_out} left out")
        if self.timeless:
            parts.append(f"{self.timeless} tell no time and have that of the import")
        return ", ".join(parts)


@click.group("import")
def import_group() -> None:
    """Import records of other systems.

    Records keep their own ids, so an import that was interrupted is simply run again. Files may be
    packed with gzip or zstd, or in zip archives. Exits with 1 when something was skipped or left
    out, which is named on standard error.
    """


@import_group.command("cloudtrail")
@_PATHS
@_EXCLUDE
@with_reach
def import_cloudtrail(reach: Reach, paths: tuple[Path, ...], exclude: tuple[str, ...]) -> None:
    """Import AWS CloudTrail log files, or folders of them.

    Log files as they are delivered, a record a line, what `aws cloudtrail lookup-events` prints,
    and Insight records are read. Digest files are left out.
    """
    _run(reach, paths, exclude, _cloudtrail_events)


@import_group.command("github")
@_PATHS
@_EXCLUDE
@with_reach
def import_github(reach: Reach, paths: tuple[Path, ...], exclude: tuple[str, ...]) -> None:
    """Import GitHub webhook payloads, or an export of the audit log.

    The folder that a payload's file is in names its event type. Records of the audit log are known
    by their members.
    """
    _run(reach, paths, exclude, _github_events)


@import_group.command("cloudfoundry")
@click.argument("source")
@click.option(
    "--username", help="User of the deployment; the import sees the same events as the user."
)
@click.option("--client-id", help="Client of the deployment, instead of a user.")
@click.option(
    "--secret-stdin", is_flag=True, help="Read the password or secret from standard input."
)
@with_reach
def import_cloudfoundry(
    reach: Reach,
    source: str,
    username: str | None,
    client_id: str | None,
    secret_stdin: bool,
) -> None:
    """Copy the events of the Cloud Controller at SOURCE (its API's URL) that are not here yet.

    Guids and times are kept. The password or secret is asked for unless it comes on standard
    input. Run it again to go on, or to fetch what is new.
    """
    if (username is None) == (client_id is None):
        raise click.UsageError("name either --username or --client-id")
    secret = sys.stdin.readline().rstrip("\n") if secret_stdin else _asked_secret()
    login = (
        Login(username, secret) if username else Login(client_id=client_id, client_secret=secret)
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} events"))
    with (
        CloudController(source, login) as controller,
        reach.client() as client,
        Progress(*columns, console=reach.progress) as progress,
    ):
        task = progress.add_task("copying", total=None)
        done = import_events(
            controller, client, lambda told: progress.update(task, completed=told.read)
        )
    for refused in done.refused:
        click.echo(f"skipped {refused.guid}: {refused.reason}", err=True)
    told = {"read": done.read, "stored": done.stored, "skipped": len(done.refused)}
    reach.show(told, lambda: f"{done.stored} stored of {done.read} read")
    if done.refused:
        raise SystemExit(1)


def _asked_secret() -> str:
    secret: str = click.prompt("password or secret", hide_input=True, err=True)
    return secret


def _cloudtrail_events(path: Path, value: object) -> Iterator[Callable[[], Json]]:
    for record in cloudtrail.records_of(value):
        yield functools.partial(cloudtrail.to_event, record)


def _github_events(path: Path, value: object) -> Iterator[Callable[[], Json]]:
    for item in value if isinstance(value, list) else (value,):
        delivery = github.delivery_of(item)
        if isinstance(item, dict) and github.is_audit_record(item):
            yield functools.partial(github.audit_event, item)
        elif delivery is not None:
            yield functools.partial(github.to_event, *delivery)
        else:
            yield functools.partial(github.to_event, path.resolve().parent.name, item)


def _run(reach: Reach, paths: Sequence[Path], exclude: Sequence[str], to_events: ToEvents) -> None:
    tally = Tally()
    found, left_out, documents = files.sources(paths, exclude)
    for name in documents:
        click.echo(f"passed over {name}: a document", err=True)
    for name in left_out:
        _leave_out(name, "its name does not end like that of a file to import", tally)
    if not found and not left_out:
        raise click.UsageError(
            f"these paths have no file that ends with {' or '.join(files.ENDINGS)}"
        )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with reach.client() as client, Progress(*columns, console=reach.progress) as progress:
        task = progress.add_task("importing", total=sum(map(_size_bytes, found)))
        batch = _Batch(client, tally)
        for source in found:
            try:
                with _counted(source.path, lambda read: progress.advance(task, read)) as file:
                    _import_file(file, source, to_events, batch)
            except OSError as error:
                _skip(source.name, str(error), tally)
        batch.store()
    reach.show(tally.told(), tally.text)
    if tally.skipped or tally.left_out:
        raise SystemExit(1)


def _size_bytes(source: files.ImportSource) -> int:
    try:
        return source.path.stat().st_size
    except OSError:
        return 0


def _import_file(
    file: IO[bytes], source: files.ImportSource, to_events: ToEvents, batch: _Batch
) -> None:
    """Add a file's events to the batch; what is none of them is reported and skipped."""
    name = source.name
    try:
        for inner, stream in files.streams(file):
            name = f"{source.name}/{inner}" if inner else source.name
            number = 0
            for found in values_of(stream):
                if found.error is not None:
                    _skip(f"{name} {found.place}".rstrip(), found.error.message, batch.tally)
                    continue
                path = Path(inner) if "/" in inner else source.path
                for to_event in to_events(path, found.value):
                    number += 1
                    _add(batch, f"{name} record {number}", to_event)
    except files.BROKEN as error:
        _skip(name, str(error) or "the file is cut off or damaged", batch.tally)


def _add(batch: _Batch, place: str, to_event: Callable[[], Json]) -> None:
    try:
        batch.add(place, to_event())
    except files.LeftOut as reason:
        _leave_out(place, reason.message, batch.tally)
    except Malformed as error:
        _skip(place, error.message, batch.tally)


class _Batch:
    """Events on their way to the server, with their places; stored a thousand at a time."""

    def __init__(self, client: Client, tally: Tally) -> None:
        self._client = client
        self.tally = tally
        self._places: list[str] = []
        self._lines: list[bytes] = []
        self._size_bytes = 0

    def add(self, place: str, event: Json) -> None:
        """Store an event, soon."""
        if event.get("occurred_at") is None:
            self.tally.timeless += 1
        self._places.append(place)
        self._lines.append(msgspec.json.encode(event))
        self._size_bytes += len(self._lines[-1])
        if len(self._lines) == _RECORDS_AT_ONCE or self._size_bytes > _BYTES_AT_ONCE:
            self.store()

    def store(self) -> None:
        """Store what waits."""
        for results in self._client.append_lines(self._lines):
            for result in results:
                if result.error is not None:
                    _skip(self._places[result.line - 1], result.error, self.tally)
                elif result.status == 200:
                    self.tally.known += 1
                else:
                    self.tally.stored += 1
        self._places, self._lines, self._size_bytes = [], [], 0


@contextlib.contextmanager
def _counted(path: Path, advance: Callable[[int], object]) -> Iterator[IO[bytes]]:
    """Open a file that tells how many of its bytes are read, packed as they are."""
    with path.open("rb", buffering=0) as raw, io.BufferedReader(_Counted(raw, advance)) as file:
        yield file


class _Counted(io.RawIOBase):
    def __init__(self, raw: io.FileIO, advance: Callable[[int], object]) -> None:
        self._raw = raw
        self._advance = advance

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._raw.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readinto(self, buffer: Any) -> int:
        read = self._raw.readinto(buffer) or 0
        self._advance(read)
        return read


def _leave_out(place: str, reason: str, tally: Tally) -> None:
    tally.left_out += 1
    click.echo(f"left out {place}: {reason}", err=True)


def _skip(place: str, reason: str, tally: Tally) -> None:
    tally.skipped += 1
    click.echo(f"skipped {place}: {reason}", err=True)


COMMANDS = (import_group,)
