"""`import`: bring in records of other systems; safe to stop and to run again."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tallystick import json_text
from tallystick.cli.target import Reach, with_reach
from tallystick.client.client import Client, Json
from tallystick.errors import TallystickError
from tallystick.imports import cloudtrail, github
from tallystick.imports.cloudfoundry.controller import CloudController, Login
from tallystick.imports.cloudfoundry.copier import import_events

_RECORDS_AT_ONCE = 1000
_PATHS = click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True)
)


class Record(NamedTuple):
    """One record of a source: where it stands, and how it becomes an event."""

    place: str
    to_event: Callable[[], Json]


class Tally:
    """What became of the records of an import."""

    def __init__(self) -> None:
        self.stored = self.known = self.skipped = 0

    def told(self) -> Json:
        """Return the counts by name."""
        return {"stored": self.stored, "already_there": self.known, "skipped": self.skipped}


@click.group("import")
def import_group() -> None:
    """Bring in records of other systems.

    Records keep their own ids, so an import that was interrupted is simply run again.
    """


@import_group.command("cloudtrail")
@_PATHS
@with_reach
def import_cloudtrail(reach: Reach, paths: tuple[Path, ...]) -> None:
    """Import AWS CloudTrail log files (JSON), or folders of them."""
    _run(reach, _files(paths), _cloudtrail_records)


@import_group.command("github")
@_PATHS
@with_reach
def import_github(reach: Reach, paths: tuple[Path, ...]) -> None:
    """Import GitHub webhook payloads; a file's folder names its event type."""
    _run(reach, _files(paths), _github_records)


@import_group.command("cloudfoundry")
@click.argument("source")
@click.option("--username", help="User of the deployment; reads what the user sees.")
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


def _asked_secret() -> str:
    secret: str = click.prompt("password or secret", hide_input=True, err=True)
    return secret


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += sorted(path.rglob("*.json")) if path.is_dir() else [path]
    if not found:
        raise click.UsageError("there is no .json file in these paths")
    return found


def _cloudtrail_records(file: Path) -> Iterator[Record]:
    value = json_text.decode(file.read_bytes())
    records = value.get("Records") if isinstance(value, dict) else value
    for n, record in enumerate(records if isinstance(records, list) else [value]):
        yield Record(f"{file.name} record {n + 1}", functools.partial(cloudtrail.to_event, record))


def _github_records(file: Path) -> Iterator[Record]:
    payload = json_text.decode(file.read_bytes())
    yield Record(file.name, functools.partial(github.to_event, file.parent.name, payload))


def _run(reach: Reach, files: list[Path], read: Callable[[Path], Iterator[Record]]) -> None:
    tally = Tally()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files"),
        TimeRemainingColumn(),
    )
    with reach.client() as client, Progress(*columns, console=reach.progress) as progress:
        task = progress.add_task("importing", total=len(files))
        waiting: list[tuple[str, Json]] = []
        for file in files:
            waiting += _events(file, read, tally)
            while len(waiting) >= _RECORDS_AT_ONCE:
                _store(client, waiting[:_RECORDS_AT_ONCE], tally)
                del waiting[:_RECORDS_AT_ONCE]
            progress.advance(task)
        _store(client, waiting, tally)
    reach.show(
        tally.told(),
        lambda: f"{tally.stored} stored, {tally.known} already there, {tally.skipped} skipped",
    )


def _events(
    file: Path, read: Callable[[Path], Iterator[Record]], tally: Tally
) -> list[tuple[str, Json]]:
    """Return a file's events with their places; malformed records are reported and skipped."""
    events: list[tuple[str, Json]] = []
    place = file.name
    try:
        for record in read(file):
            place = record.place
            try:
                events.append((place, record.to_event()))
            except TallystickError as error:
                _skip(place, error.message, tally)
    except (TallystickError, OSError) as error:
        _skip(place, str(error), tally)
    return events


def _store(client: Client, events: Sequence[tuple[str, Json]], tally: Tally) -> None:
    lines = [msgspec.json.encode(event) for _, event in events]
    for results in client.append_lines(lines):
        for result in results:
            if result.error is not None:
                _skip(events[result.line - 1][0], result.error, tally)
            elif result.status == 200:
                tally.known += 1
            else:
                tally.stored += 1


def _skip(place: str, reason: str, tally: Tally) -> None:
    tally.skipped += 1
    click.echo(f"skipped {place}: {reason}", err=True)


COMMANDS = (import_group,)
