"""Timestamps: what an authority says about when a log had which checkpoint."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick import times
from tallystick.cli.output import Output
from tallystick.cli.target import Reach, tenant_path, with_reach
from tallystick.durable import replace_file
from tallystick.errors import SettingsError
from tallystick.witness.trusted_time import verify_token

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group()
def timestamps() -> None:
    """Fetch and verify the timestamps of a log (RFC 3161)."""


@timestamps.command("fetch")
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@with_reach
def fetch(reach: Reach, target: Path) -> None:
    """Write the stamped checkpoints of a tenant's log, and their tokens, into DIR."""
    with reach.client() as client:
        key: str = client.request("GET", tenant_path(reach.tenant(client), "log-key"))[
            "verifier_key"
        ]
        prefix = f"/log/{key.partition('+')[0].rpartition('/')[2]}/timestamps"
        names: list[str] = client.request("GET", prefix)["files"]
        try:
            target.mkdir(parents=True, exist_ok=True)
            for name in names:
                data = client.fetch(f"{prefix}/{name}")
                replace_file(target / Path(name).name, data, mode=0o644)
        except OSError as error:
            raise SettingsError(f"{target} cannot be written: {error.strerror}") from error
    reach.show({"files": names}, lambda: f"{len(names) // 2} timestamps in {target}")


@timestamps.command("verify")
@click.argument("data", type=_FILE)
@click.argument("token", type=_FILE)
@click.option(
    "--ca", required=True, type=_FILE, help="Certificates that you trust, in PEM, the root too."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(data: Path, token: Path, ca: Path, as_json: bool) -> None:
    """Verify offline that DATA existed when the authority made TOKEN.

    `openssl ts -verify -data DATA -in TOKEN -CAfile FILE` says the same. Exits with 3 when it does
    not hold.
    """
    at = times.to_rfc3339(verify_token(data.read_bytes(), token.read_bytes(), ca.read_bytes()))
    Output(as_json).show({"time": at}, lambda: f"verified: {data} existed at {at}")


COMMANDS = (timestamps,)
