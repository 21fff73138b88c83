"""`erase`: destroys what the log holds of a person."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import msgspec

from tallystick.cli.output import progress_bar
from tallystick.cli.target import TENANTS, Reach, with_reach
from tallystick.client.client import Json
from tallystick.durable import create_file
from tallystick.errors import SettingsError
from tallystick.events.entry import SECTIONS

_POLL_S = 0.5


@click.command()
@click.option("--subject", required=True, metavar="TYPE:ID", help="The person, such as user:481.")
@click.option("--reason", help="Why: a request, a law, a letter. Not needed with --dry-run.")
@click.option(
    "--path",
    "paths",
    multiple=True,
    metavar="PATH[=VALUE]",
    help="A path of data that holds the person's id, or VALUE. May be repeated.",
)
@click.option(
    "--section",
    "sections",
    multiple=True,
    type=click.Choice(SECTIONS),
    help="A section to destroy; without any, those that name the person. May be repeated.",
)
@click.option("--from", "start", help="Only events that occurred at or after this RFC 3339 time.")
@click.option("--to", "end", help="Only events that occurred before this RFC 3339 time.")
@click.option("--dry-run", is_flag=True, help="Report what would be erased, without erasing it.")
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A new file for the proof that everything was erased.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_reach
def erase(
    reach: Reach,
    subject: str,
    reason: str | None,
    paths: tuple[str, ...],
    sections: tuple[str, ...],
    start: str | None,
    end: str | None,
    dry_run: bool,
    certificate: Path | None,
    yes: bool,
) -> None:
    """Destroy a person's data in the log, whichever API wrote it.

    Events are selected by actor, target, scopes and the named paths; whole sections of them are
    destroyed, and their proofs stay valid. What a legal hold covers waits until it is lifted. What
    the public log of DataTrails gave away before cannot be taken back: its leaves have no salt, so
    a value that was written through that API can still be guessed there.
    """
    body: Json = {
        "subject": subject, "paths": paths, "sections": sections, "from": start, "to": end,
    }  # fmt: skip
    if certificate is not None and certificate.exists():
        raise SettingsError(f"{certificate} already exists", hint="choose another name")
    if not dry_run and not (reason or "").strip():
        raise click.UsageError("give a --reason; it is kept with the erasure")
    if dry_run or not yes:
        planned = reach.ask_tenant("POST", "erasures", body={**body, "dry_run": True})
        if dry_run:
            reach.show(planned, lambda: _planned(planned))
            return
        click.echo(_planned(planned), err=True)
        click.confirm("Erase? This cannot be undone.", abort=True, err=True)
    done = _wait(reach, reach.ask_tenant("POST", "erasures", body={**body, "reason": reason}))
    reach.show(done, lambda: _done(done))
    if certificate is not None:
        if done["state"] != "done":
            raise SettingsError(
                "the erasure waits for legal holds, so nothing is certified yet",
                hint=f"later: GET {TENANTS}/.../erasures/{done['id']}/certificate",
            )
        proof = reach.ask_tenant("GET", "erasures", done["id"], "certificate")
        create_file(certificate, msgspec.json.format(msgspec.json.encode(proof)), mode=0o644)


def _wait(reach: Reach, erasure: Json) -> Any:
    if erasure["state"] != "running":
        return erasure
    with progress_bar(reach, "erasing", "entries") as progress:
        while erasure["state"] == "running":
            progress(erasure["erased"], erasure["events"])
            time.sleep(_POLL_S)
            erasure = reach.ask_tenant("GET", "erasures", erasure["id"])
    return erasure


def _planned(planned: Json) -> str:
    lines = [f"entries to erase: {planned['events']:,}"]
    lines += [f"  {kind}: {count:,}" for kind, count in planned["kinds"].items()]
    lines += [_held(each) for each in planned["blocked"]]
    return "\n".join(lines)


def _done(erasure: Json) -> str:
    lines = [f"erasure {erasure['id']}: {erasure['erased']:,} entries erased"]
    lines += [_held(each) for each in erasure["blocked"]]
    if erasure["state"] != "done":
        lines.append("the rest is erased as soon as the holds are lifted")
    return "\n".join(lines)


def _held(blocked: Json) -> str:
    return f"  kept by the legal hold {blocked['hold']!r}: {blocked['events']:,}"


COMMANDS = (erase,)
