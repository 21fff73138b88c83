"""Legal holds: what may not be changed, hidden or destroyed until they are lifted."""

from __future__ import annotations

import click

from tallystick.cli.target import Reach, with_reach
from tallystick.client.client import Json


@click.group()
def holds() -> None:
    """Place, list and lift legal holds."""


@holds.command("place")
@click.argument("hold_id", metavar="ID", required=False)
@click.option(
    "--query",
    required=True,
    help="Query for the events, such as target:order:17; '*' means all.",
)
@click.option("--reason", required=True, help="Why: a matter, an order, a letter.")
@click.option("--from", "start", help="Only events that occurred at or after this RFC 3339 time.")
@click.option("--to", "end", help="Only events that occurred before this RFC 3339 time.")
@with_reach
def place_hold(
    reach: Reach,
    hold_id: str | None,
    query: str,
    reason: str,
    start: str | None,
    end: str | None,
) -> None:
    """Place the hold ID: covered events cannot be revised, retracted, deleted or erased."""
    body: Json = {"id": hold_id, "query": query, "reason": reason, "from": start, "to": end}
    placed = reach.ask_tenant("POST", "holds", body=body)
    reach.show(placed, lambda: _placed(placed))
    if placed.get("warning"):
        click.echo(f"warning: {placed['warning']}", err=True)


def _placed(hold: Json) -> str:
    text = f"hold {hold['id']} placed on {hold['query']}"
    count = hold.get("count")
    return text if count is None else f"{text}; events held: {count:,}"


@holds.command("list")
@click.option("--all", "lifted_too", is_flag=True, help="Include lifted holds.")
@with_reach
def list_holds(reach: Reach, lifted_too: bool) -> None:
    """List holds, with who placed them and why."""
    params = {"all": "true" if lifted_too else None}
    rows = reach.ask_tenant("GET", "holds", params=params)["holds"]
    columns = ("id", "query", "from", "to", "reason", "placed_at", "placed_by")
    reach.show_table(rows, (*columns, "lifted_at", "lift_reason") if lifted_too else columns)


@holds.command("lift")
@click.argument("hold_id", metavar="ID")
@click.option("--reason", required=True, help="Reason for lifting it.")
@with_reach
def lift_hold(reach: Reach, hold_id: str, reason: str) -> None:
    """Lift the hold ID; that it was there stays on record."""
    lifted = reach.ask_tenant("POST", "holds", hold_id, "lift", body={"reason": reason})
    reach.show(lifted, lambda: f"hold {lifted['id']} lifted")


COMMANDS = (holds,)
