"""The root command, its global options, and how errors leave the program."""

from __future__ import annotations

import sys
from typing import Any

import click

from tallystick import __version__
from tallystick.cli import (
    access,
    clients,
    conformance,
    database,
    events,
    importing,
    operations,
    serving,
)
from tallystick.errors import TallystickError, VerificationError

VERIFICATION_FAILED = 3


class Group(click.Group):
    """A command group that tells our errors in words, with their exit code."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command and turn our errors into a message and an exit code."""
        try:
            return super().invoke(context)
        except TallystickError as error:
            hint = f"\n{error.hint}" if error.hint else ""
            click.echo(f"tallystick: {error.message}{hint}", err=True)
            code = VERIFICATION_FAILED if isinstance(error, VerificationError) else 1
            context.exit(code)
        except BrokenPipeError:
            # Whoever read our output has seen enough.
            sys.stderr.close()
            context.exit(0)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tallystick")
def main() -> None:
    """Keep a tamper-evident record of events, and prove it.

    Start a server with `tallystick serve`; see what it holds with `tallystick events list`.
    """


for module in (serving, events, importing, access, clients, operations, database, conformance):
    for command in module.COMMANDS:
        main.add_command(command)
