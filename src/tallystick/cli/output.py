"""How a command prints: text for a person, or JSON."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import click
import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from tallystick.cli import table
from tallystick.client.client import Json


class Output:
    """The output of one command; `as_json` asks for JSON on standard output."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(highlight=False)
        self.progress = Console(stderr=True, highlight=False)

    def show(self, value: object, text: Callable[[], object]) -> None:
        """Print `value` as JSON if that was asked for, else what `text` returns."""
        if self.as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
        else:
            self.console.print(text(), soft_wrap=True)

    def show_table(self, rows: Sequence[Json], columns: Sequence[str]) -> None:
        """Print rows as JSON if that was asked for, else as a table."""
        if self.as_json:
            self.show(rows, str)
            return
        width = self.console.width if self.console.is_terminal else None
        (head, *body), left_out = table.lines(rows, columns, width)
        click.secho(head, bold=True)
        for line in body:
            click.echo(line)
        if left_out:
            click.echo(f"not shown: {', '.join(left_out)} (--json shows all)", err=True)


@contextlib.contextmanager
def progress_bar(output: Output, verb: str, what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what moves a progress bar on standard error: so many of so many are done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(what),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output.progress) as progress:
        task = progress.add_task(verb, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
