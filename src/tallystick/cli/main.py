"""The root command, its global options, and how errors leave the program."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from tallystick import __version__
from tallystick.errors import TallystickError, VerificationError, for_operator

VERIFICATION_FAILED = 3
MODULES = {
    "serve": ("serve", "demo", "console-link"),
    "events": ("append", "events", "search", "receipt"),
    "evidence": ("verify",),
    "tail": ("tail",),
    "export": ("export",),
    "imports": ("import",),
    "access": ("tenants", "keys", "users", "grants", "keysets"),
    "clients": ("clients",),
    "holds": ("holds",),
    "witnesses": ("witnesses", "witness"),
    "streams": ("streams",),
    "mirror": ("mirror", "publish"),
    "timestamps": ("timestamps",),
    "erase": ("erase",),
    "retention": ("retention",),
    "reviews": ("reviews",),
    "public_log": ("public-log",),
    "maintenance": ("fsck", "backup", "restore", "rebuild"),
    "signing_key": ("signer",),
    "drill": ("drill",),
    "database": ("migrate", "scrub"),
    "copy": ("copy",),
    "conformance": ("conformance",),
}
"""The commands of each module, which is imported when one of them is wanted."""


class Group(click.Group):
    """A command group that tells our errors in words, with their exit code.

    A command's module is imported when the command is asked for: a short command does not wait for
    what a server needs.
    """

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(name for names in MODULES.values() for name in names)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command by its name."""
        for module, names in MODULES.items():
            if name in names:
                commands: tuple[click.Command, ...]
                commands = import_module(f"tallystick.cli.{module}").COMMANDS
                return next(one for one in commands if one.name == name)
        return None

    def invoke(self, context: click.Context) -> Any:
        """Run the command and turn our errors into a message and an exit code."""
        try:
            return super().invoke(context)
        except TallystickError as error:
            hint = f"\n{error.hint}" if error.hint else ""
            click.echo(f"tallystick: {for_operator(error)}{hint}", err=True)
            code = VERIFICATION_FAILED if isinstance(error, VerificationError) else 1
            context.exit(code)
        except BrokenPipeError:
            # The reader of our output has seen enough.
            sys.stderr.close()
            context.exit(0)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tallystick")
def main() -> None:
    """Keep a tamper-evident record of events, and prove it.

    Start a server with `tallystick serve`; see what it holds with `tallystick events list`.
    """
