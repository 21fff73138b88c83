"""The public log of DataTrails, as an operator handles it."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick.cli.target import Reach, with_reach


@click.group("public-log")
def public_log() -> None:
    """The public Merkle log of a tenant (DataTrails)."""


@public_log.command("remake")
@click.option(
    "--keep",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="A new folder for the files as they were published.",
)
@click.option("--reason", required=True, help="Reason; recorded in the log.")
@with_reach
def remake_public_log(reach: Reach, keep: Path, reason: str) -> None:
    """Publish a log again that is not the one which was published.

    For a log that was set back, with no newer copy left. The files go to the folder of --keep, an
    entry publiclog.remade says what they were, and the next server publishes from the first entry
    on. A public log that agrees with its log is left alone. Stop the server before.
    """
    # Imported late: it opens the store, which other commands leave to a server.
    from tallystick.node.public_log import remake

    replaced = remake(reach.folder, reach.settings(), reach.named_tenant, keep=keep, reason=reason)
    reach.show(
        {**replaced._asdict(), "folder": str(keep)},
        lambda: (
            f"the public log of {replaced.tenant} ({replaced.leaves:,} leaves) is in {keep}: "
            f"{replaced.difference}\nthe next server publishes it again"
        ),
    )


COMMANDS = (public_log,)
