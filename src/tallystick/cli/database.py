"""`migrate`: the schema of a PostgreSQL."""

from __future__ import annotations

import click

from tallystick.errors import SettingsError


@click.command()
@click.option("--database", required=True, envvar="TALLYSTICK_DATABASE", help="URL of it.")
@click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing.")
def migrate(database: str, dry_run: bool) -> None:
    """Bring the schema of a PostgreSQL up to date; several may call this at once."""
    try:
        from tallystick.store.postgres import migrate as migrations
    except ImportError as error:
        raise SettingsError(
            "PostgreSQL needs its driver", hint="pip install 'tallystick[postgres]'"
        ) from error
    done = migrations.pending(database) if dry_run else migrations.migrate(database)
    for migration in done:
        click.echo(f"{'would apply' if dry_run else 'applied'} {migration.number} {migration.name}")
    if not done:
        click.echo("the schema is up to date")


COMMANDS = (migrate,)
