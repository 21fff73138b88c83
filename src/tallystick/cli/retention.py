"""Retention: how long events are kept, and what removes them."""

from __future__ import annotations

import click

from tallystick.cli.target import Reach, with_reach
from tallystick.client.client import Json


@click.group()
def retention() -> None:
    """Manage and run policies for how long events are kept.

    A server runs each policy once a day by itself. Age is measured by the log's own clock; legal
    holds and compliance win.
    """


_CONFIRM = click.option("--confirm", is_flag=True, help="Do it although it keeps less than before.")


@retention.command("set")
@click.argument("policy_id", metavar="ID", required=False)
@click.option(
    "--query", required=True, help="Query for the events, such as kind:audit.*; '*' means all."
)
@click.option("--days", type=int, help="Remove events that are this many days old.")
@click.option("--floor", type=int, help="No policy removes matching events before this many days.")
@click.option("--reason", help="Why: a law, a contract; it is kept with the policy.")
@_CONFIRM
@with_reach
def set_policy(
    reach: Reach,
    policy_id: str | None,
    query: str,
    days: int | None,
    floor: int | None,
    reason: str | None,
    confirm: bool,
) -> None:
    """Create or replace the policy ID (default: `default`)."""
    if days is None and floor is None:
        raise click.UsageError("give --days, --floor or both")
    body: Json = {
        "id": policy_id or "default", "query": query, "days": days, "floor": floor,
        "reason": reason, "confirm": confirm,
    }  # fmt: skip
    made = reach.ask_tenant("POST", "retention", body=body)
    reach.show(made, lambda: f"policy {made['id']}: {_lasting(made)}")


@retention.command("list")
@with_reach
def list_policies(reach: Reach) -> None:
    """List policies, with their last run and the number of removed events."""
    rows = reach.ask_tenant("GET", "retention")["policies"]
    columns = ("id", "query", "days", "floor", "reason", "set_at", "set_by", "run_at", "removed")
    reach.show_table(rows, columns)


@retention.command("show")
@click.argument("policy_id", metavar="ID", default="default")
@with_reach
def show_policy(reach: Reach, policy_id: str) -> None:
    """Show the policy ID."""
    policy = reach.ask_tenant("GET", "retention", policy_id)
    reach.show(policy, lambda: "\n".join(f"{name}: {value}" for name, value in policy.items()))


@retention.command("run")
@click.argument("policy_id", metavar="ID", required=False)
@click.option("--dry-run", is_flag=True, help="Report what would be removed, without removing it.")
@click.option(
    "--confirm", is_flag=True, help="Remove all that is due, also more than 5 % of the log."
)
@with_reach
def run_policies(reach: Reach, policy_id: str | None, dry_run: bool, confirm: bool) -> None:
    """Remove the events due under all policies, or under the policy ID."""
    body: Json = {"policy": policy_id, "dry_run": dry_run, "confirm": confirm}
    done = reach.ask_tenant("POST", "retention", "run", body=body)
    reach.show(done, lambda: _ran(done, dry_run))


@retention.command("delete")
@click.argument("policy_id", metavar="ID", default="default")
@click.option("--reason", help="Why; it is kept in the log.")
@_CONFIRM
@with_reach
def delete_policy(reach: Reach, policy_id: str, reason: str | None, confirm: bool) -> None:
    """End the policy ID; events it removed stay removed."""
    params = {"reason": reason, "confirm": "true" if confirm else None}
    reach.ask_tenant("DELETE", "retention", policy_id, params=params)
    reach.show({"deleted": policy_id}, lambda: f"policy {policy_id} deleted")


def _lasting(policy: Json) -> str:
    parts = []
    if policy["days"] is not None:
        parts.append(f"{policy['query']} is removed after {policy['days']} days")
    if policy["floor"] is not None:
        parts.append(f"no policy removes {policy['query']} before {policy['floor']} days")
    return "; ".join(parts)


def _ran(done: Json, dry_run: bool) -> str:
    verb = "to remove" if dry_run else "removed"
    lines = [f"events {verb}: {done['events']:,}"]
    for plan in done["policies"]:
        lines.append(f"  {plan['policy']}: {plan['events']:,}")
        lines += [
            f"    kept by the legal hold {each['hold']!r}: {each['events']:,}"
            for each in plan["blocked"]
        ]
        if plan["left"]:
            lines.append(f"    due and left for later runs (or --confirm): {plan['left']:,}")
    return "\n".join(lines)


COMMANDS = (retention,)
