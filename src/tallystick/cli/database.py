"""What a PostgreSQL wants besides: `migrate` its schema, `scrub` what was erased from it."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING

import click

from tallystick.cli.output import Output
from tallystick.errors import SettingsError

if TYPE_CHECKING:
    from tallystick.store.postgres.vacuum import ErasureHorizon

_DATABASE = click.option(
    "--database", required=True, envvar="TALLYSTICK_DATABASE", help="URL of the database."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@_DATABASE
@click.option("--dry-run", is_flag=True, help="List the migrations, change nothing.")
@_JSON
def migrate(database: str, dry_run: bool, as_json: bool) -> None:
    """Bring the schema of a PostgreSQL up to date; several may call this at once.

    Events that are in it without being listed, because they are older than the lists, are listed
    then; servers may run meanwhile, and this may be interrupted and run again.
    """
    _require_driver()
    from tallystick.index.open import fill_lists
    from tallystick.store.postgres import migrate as migrations

    done = migrations.pending(database) if dry_run else migrations.migrate(database)
    listed = 0 if dry_run else fill_lists(database, _progress)
    verb = "would apply" if dry_run else "applied"
    lines = [f"{verb} {one.number} {one.name}" for one in done] or ["the schema is up to date"]
    if listed:
        lines.append(f"{listed:,} events were listed")
    told = {"dry_run": dry_run, "migrations": [one.name for one in done], "listed": listed}
    Output(as_json).show(told, lambda: "\n".join(lines))


def _progress(listed: int, total: int) -> None:
    click.echo(f"listed {listed:,} of {total:,} events", err=True)


@click.command()
@_DATABASE
@click.option("--dry-run", is_flag=True, help="Only report where erased bytes may remain.")
@_JSON
def scrub(database: str, dry_run: bool, as_json: bool) -> None:
    """Rewrite the tables of a PostgreSQL that something was erased from, locking each meanwhile.

    Erased rows are vacuumed away by themselves, which leaves their bytes in free space until that
    is used again. In the end this tells where else they may stand: nothing here reaches the
    write-ahead log, its archives, standbys and slots.
    """
    _require_driver()
    from tallystick.store.postgres.store import open_postgres

    with contextlib.closing(open_postgres(database)) as store:
        if not dry_run:
            store.scrub()
        horizon = store.erasure_horizon()
    Output(as_json).show(horizon._asdict(), lambda: _told(horizon))


def _told(horizon: ErasureHorizon) -> str:
    archived = "archived" if horizon.is_archiving else "not archived"
    return (
        f"tables with erased rows: {horizon.unvacuumed} to be vacuumed, "
        f"{horizon.unscrubbed} to be rewritten\n"
        f"write-ahead log: {horizon.wal_size_max} at most between checkpoints, {archived}\n"
        f"standbys: {', '.join(horizon.standbys) or 'none'}\n"
        f"replication slots: {', '.join(horizon.slots) or 'none'}"
    )


def _require_driver() -> None:
    if importlib.util.find_spec("psycopg") is None:
        raise SettingsError(
            "PostgreSQL needs its driver", hint="pip install 'tallystick[postgres]'"
        )


COMMANDS = (migrate, scrub)
