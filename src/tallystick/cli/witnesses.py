"""Witnesses: those that cosign this server's logs, and being one for the logs of others."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click

from tallystick.cli.target import Reach, with_reach
from tallystick.client.client import Json
from tallystick.clock import SystemClock
from tallystick.errors import MalformedNote, SettingsError
from tallystick.witness.cosign import (
    Witness,
    add_log,
    has_witness,
    init_witness,
    parse_log,
    read_cosigners,
    read_logs,
    witness_lines,
)

_COLUMNS = ("name", "url", "size", "cosigned_at", "failure", "key")


@click.group()
def witnesses() -> None:
    """Add, list and remove the witnesses that cosign a tenant's log."""


@witnesses.command("add")
@click.argument("line")
@with_reach
def add_witness(reach: Reach, line: str) -> None:
    """Have a tenant's checkpoints cosigned by a witness.

    LINE is how a policy names it, `witness NAME KEY URL`; `tallystick witness serve` prints it.
    """
    added = reach.ask_tenant("POST", "witnesses", body={"line": line})
    reach.show(added, lambda: f"witness {added['name']} added")


@witnesses.command("list")
@with_reach
def list_witnesses(reach: Reach) -> None:
    """List a tenant's witnesses, with the last cosigned size and error of each."""
    reach.show_table(reach.ask_tenant("GET", "witnesses")["witnesses"], _COLUMNS)


@witnesses.command("policy")
@click.option("--quorum", type=click.IntRange(0), help="How many must cosign.  [default: all]")
@with_reach
def show_policy(reach: Reach, quorum: int | None) -> None:
    """Print the policy with which others verify a tenant's checkpoints (C2SP tlog-policy)."""
    told = reach.ask_tenant("GET", "witnesses")
    text = policy_text(told, quorum)
    reach.show({"policy": text}, lambda: text.removesuffix("\n"))


def policy_text(told: Json, quorum: int | None) -> str:
    """Return the policy of a log and its witnesses, as administration tells of them."""
    names = [witness["name"] for witness in told["witnesses"]]
    wanted = len(names) if quorum is None else quorum
    if wanted > len(names):
        raise SettingsError(f"the log has {len(names)} witnesses, fewer than {wanted}")
    lines = [told["log"], *(witness["line"] for witness in told["witnesses"])]
    if wanted:
        lines.append(f"group witnesses {wanted} {' '.join(names)}")
    return "\n".join([*lines, f"quorum {'witnesses' if wanted else 'none'}", ""])


@witnesses.command("remove")
@click.argument("name")
@with_reach
def remove_witness(reach: Reach, name: str) -> None:
    """Stop asking the witness NAME; that it was one stays on record."""
    reach.ask_tenant("DELETE", "witnesses", name)
    reach.show({"removed": name}, lambda: f"witness {name} removed")


_FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
_LOGS = click.option(
    "--log",
    "logs",
    metavar="KEY",
    multiple=True,
    help="A log to cosign, by its key or its line of a policy; may be given several times.",
)
_NAME = click.option("--name", help="Name of a new witness, such as example.com/witness.")
_URL = click.option("--url", help="URL by which logs reach the witness, for the printed line.")


@click.group()
def witness() -> None:
    """Be a witness: cosign the checkpoints of other servers' logs (C2SP tlog-witness)."""


@witness.command("init")
@_FOLDER
@_NAME
@_LOGS
@_URL
@click.option(
    "--ml-dsa/--no-ml-dsa",
    default=None,
    help="A second key, of ML-DSA-44.  [default: where the cryptography library has it]",
)
def init(
    folder: Path, name: str | None, logs: tuple[str, ...], url: str | None, ml_dsa: bool | None
) -> None:
    """Create a witness in DIR and print the lines with which logs add it."""
    if name is None:
        raise click.UsageError("name the witness with --name")
    init_witness(folder, name, ml_dsa=ml_dsa)
    _learn(folder, logs)
    _print_lines(folder, url or "URL")


@witness.command("serve")
@_FOLDER
@_NAME
@_LOGS
@_URL
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=7380, show_default=True, help="Port."
)
def serve_command(
    folder: Path,
    name: str | None,
    logs: tuple[str, ...],
    url: str | None,
    host: str,
    port: int,
) -> None:
    """Serve the witness in DIR until Ctrl-C; with --name, make it if there is none.

    It prints the lines by which logs add it. Logs may be added to the file `logs` in DIR while it
    runs. Keep DIR: a witness that was set back may vouch for a fork.
    """
    # Imported late: the other commands of witnesses need no web server.
    from tallystick.followers.log_lines import configure_logging
    from tallystick.http.server import listen
    from tallystick.http.witness_app import serve_witness

    configure_logging("info")
    with contextlib.closing(listen(host, port)) as listener:
        if name is not None and not has_witness(folder):
            init_witness(folder, name)
        _learn(folder, logs)
        with contextlib.closing(Witness(folder, SystemClock())) as keeper:
            serve_witness(keeper, listener, lambda own: _announce(folder, url or own))
    click.echo("tallystick: stopped", err=True)


def _announce(folder: Path, url: str) -> None:
    known = len(read_logs(folder))
    click.echo(f"The witness listens on {url} and knows {known} logs. To have it cosign a log:")
    _print_lines(folder, url)
    sys.stdout.flush()


def _print_lines(folder: Path, url: str) -> None:
    for line in witness_lines(read_cosigners(folder), url.rstrip("/")):
        click.echo(f"tallystick witnesses add '{line}'")


def _learn(folder: Path, logs: tuple[str, ...]) -> None:
    for line in logs:
        try:
            add_log(folder, parse_log(line))
        except MalformedNote as error:
            raise click.UsageError(f"--log: {error.message}") from None


COMMANDS = (witnesses, witness)
