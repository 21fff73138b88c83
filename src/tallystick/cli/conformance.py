"""Runs the transcripts of the dialects against a server anywhere."""

from __future__ import annotations

import sys
from base64 import b64encode
from contextlib import ExitStack
from importlib import resources
from typing import NamedTuple

import click
from rich.text import Text

from tallystick.cli.target import Reach, with_reach
from tallystick.cli.transcript_tenant import fresh_variables
from tallystick.client.client import Client
from tallystick.dialects import DIALECTS, transcript
from tallystick.dialects.transcript import Failure


class Outcome(NamedTuple):
    """How one transcript went; `missing` are variables it needs and was not given."""

    name: str
    exchanges: int
    failures: tuple[Failure, ...]
    missing: tuple[str, ...]


@click.command("conformance")
@click.argument("server", metavar="URL")
@click.option("--only", multiple=True, help="A dialect, or one transcript such as kvass/seed.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A variable's value.")
@click.option("--fresh", is_flag=True, help="Create a tenant for each, with keys and users.")
@with_reach
def run_transcripts(
    reach: Reach, server: str, only: tuple[str, ...], given: tuple[str, ...], fresh: bool
) -> None:
    """Run the transcripts of the dialects against the server at URL.

    A transcript writes, and begins with an empty tenant. --fresh makes one for each, through the
    data folder of that server, and they stay there. Without it --key gives them an API key, and
    one that needs more variables than there are is skipped and says which. Exits with 1 if one
    fails.
    """
    wanted = [(name, text) for name, text in _transcripts() if _wanted(name, only)]
    with ExitStack() as stack:
        client = stack.enter_context(reach.client()) if fresh else None
        outcomes = [
            _run(name, text, server, _variables(client, server, reach.key, given))
            for name, text in wanted
        ]
    if not outcomes:
        raise click.UsageError("no such dialect or transcript")
    reach.show(
        [_told(outcome) for outcome in outcomes], lambda: Text("\n".join(map(_line, outcomes)))
    )
    if any(outcome.failures for outcome in outcomes):
        sys.exit(1)


def _transcripts() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for dialect in DIALECTS:
        folder = resources.files(f"tallystick.dialects.{dialect.name}").joinpath("transcripts")
        files = folder.iterdir() if folder.is_dir() else ()
        for file in sorted(files, key=lambda file: file.name):
            name = file.name.removesuffix(".http")
            if name != file.name:
                found.append((f"{dialect.name}/{name}", file.read_text("utf-8")))
    return found


def _wanted(name: str, only: tuple[str, ...]) -> bool:
    return not only or name in only or name.partition("/")[0] in only


def _variables(
    client: Client | None, server: str, key: str | None, given: tuple[str, ...]
) -> dict[str, str]:
    variables: dict[str, str] = {}
    if client is not None:
        variables = fresh_variables(client, server)
    elif key is not None:
        variables = {"key": key, "basic": b64encode(f"{key}:".encode()).decode()}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError("--set takes NAME=VALUE")
        variables[name] = value
    return variables


def _run(name: str, text: str, server: str, variables: dict[str, str]) -> Outcome:
    exchanges = transcript.parse(text, name)
    missing = transcript.missing_variables(exchanges, variables)
    failures: tuple[Failure, ...] = ()
    if not missing:
        results = transcript.run(exchanges, server, variables, source=name)
        failures = tuple(failure for failure in results if failure is not None)
    return Outcome(name, len(exchanges), failures, tuple(sorted(missing)))


def _told(outcome: Outcome) -> dict[str, object]:
    return {
        "transcript": outcome.name,
        "exchanges": outcome.exchanges,
        "missing": outcome.missing,
        "failures": [
            {"line": f.line, "request": f.request, "difference": f.difference.strip()}
            for f in outcome.failures
        ],
    }


def _line(outcome: Outcome) -> str:
    if outcome.missing:
        return f"{outcome.name}: skipped, needs {', '.join(outcome.missing)}"
    if not outcome.failures:
        return f"{outcome.name}: {outcome.exchanges} exchanges as expected"
    told = "\n".join(map(str, outcome.failures))
    return f"{outcome.name}: {len(outcome.failures)} of {outcome.exchanges} differ\n{told}"


COMMANDS = (run_transcripts,)
