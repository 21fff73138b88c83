"""`migrate`: the schema of a PostgreSQL, and the lists that a new schema has room for."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick.cli.reach import Reach
from tallystick.errors import SettingsError


@click.command()
@click.option("--database", required=True, envvar="TALLYSTICK_DATABASE", help="URL of it.")
@click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def migrate(database: str, dry_run: bool, as_json: bool) -> None:
    """Bring the schema of a PostgreSQL up to date; several may call this at once.

    Events that are in it without being listed, because they are older than the lists, are listed
    then; servers may run meanwhile, and this may be interrupted and run again.
    """
    try:
        from tallystick.store.postgres import migrate as migrations
    except ImportError as error:
        raise SettingsError(
            "PostgreSQL needs its driver", hint="pip install 'tallystick[postgres]'"
        ) from error
    from tallystick.index.opening import fill_lists

    done = migrations.pending(database) if dry_run else migrations.migrate(database)
    listed = 0 if dry_run else fill_lists(database, _progress)
    verb = "would apply" if dry_run else "applied"
    lines = [f"{verb} {one.number} {one.name}" for one in done] or ["the schema is up to date"]
    if listed:
        lines.append(f"{listed:,} events were listed")
    told = {"dry_run": dry_run, "migrations": [one.name for one in done], "listed": listed}
    reach = Reach(Path(), None, None, None, None, None, as_json)
    reach.show(told, lambda: "\n".join(lines))


def _progress(listed: int, total: int) -> None:
    click.echo(f"listed {listed:,} of {total:,} events", err=True)


COMMANDS = (migrate,)
