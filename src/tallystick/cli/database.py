"""`migrate`: the schema of a PostgreSQL, and the lists that a new schema has room for."""

from __future__ import annotations

import click

from tallystick.errors import SettingsError


@click.command()
@click.option("--database", required=True, envvar="TALLYSTICK_DATABASE", help="URL of it.")
@click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing.")
def migrate(database: str, dry_run: bool) -> None:
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
    for migration in done:
        click.echo(f"{'would apply' if dry_run else 'applied'} {migration.number} {migration.name}")
    if not done:
        click.echo("the schema is up to date")
    if not dry_run:
        listed = fill_lists(
            database, lambda n, total: click.echo(f"listed {n:,} of {total:,} events", err=True)
        )
        if listed:
            click.echo(f"{listed:,} events were listed")


COMMANDS = (migrate,)
