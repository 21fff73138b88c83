"""Reviews: which stretches of a log somebody looked through, and which nobody did."""

from __future__ import annotations

import click

from tallystick.cli.target import Reach, with_reach
from tallystick.client.client import Json


@click.group()
def reviews() -> None:
    """Record reviews of ranges of the log, and report ranges without a review."""


@reviews.command("add")
@click.option("--from", "start", type=int, default=0, show_default=True, help="The first entry.")
@click.option("--to", "stop", type=int, help="One past the last entry; default: the log's end.")
@click.option("--remark", required=True, help="Findings of the review.")
@with_reach
def add_review(reach: Reach, start: int, stop: int | None, remark: str) -> None:
    """Record a review of the entries from --from up to --to."""
    body: Json = {"from": start, "to": stop, "remark": remark}
    made = reach.ask_tenant("POST", "reviews", body=body)
    reach.show(made, lambda: f"entries {made['from']} to {made['to'] - 1} reviewed")


@reviews.command("list")
@with_reach
def list_reviews(reach: Reach) -> None:
    """List reviews, oldest first."""
    rows = reach.ask_tenant("GET", "reviews")["reviews"]
    reach.show_table(rows, ("index", "from", "to", "reviewer", "recorded_at", "remark"))


@reviews.command("report")
@with_reach
def report(reach: Reach) -> None:
    """Report the ranges of the log without a review."""
    told = reach.ask_tenant("GET", "reviews")
    reach.show({"size": told["size"], "unreviewed": told["unreviewed"]}, lambda: _report(told))


def _report(told: Json) -> str:
    if not told["unreviewed"]:
        return f"all {told['size']:,} entries are reviewed"
    count = sum(stop - start for start, stop in told["unreviewed"])
    lines = [f"{count:,} of {told['size']:,} entries are reviewed by nobody:"]
    lines += [f"  {start:,} to {stop - 1:,}" for start, stop in told["unreviewed"]]
    return "\n".join(lines)


COMMANDS = (reviews,)
