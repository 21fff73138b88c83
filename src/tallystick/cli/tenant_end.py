"""The end of a tenant: suspended, taken out as a bundle, deleted."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from tallystick.cli.evidence import write_bundle
from tallystick.cli.target import Reach, with_reach
from tallystick.client.client import Json
from tallystick.durable import create_file
from tallystick.errors import SettingsError

_TENANT = click.argument("tenant_id", metavar="TENANT", required=False)
_REASON = click.option("--reason", required=True, help="Reason; recorded in the log.")


@click.command("suspend")
@_TENANT
@_REASON
@with_reach
def suspend_tenant(reach: Reach, tenant_id: str | None, reason: str) -> None:
    """Take no credential of TENANT any more, also of requests that are open.

    The owner of the data folder still reaches it; `tenants resume` ends it.
    """
    told = reach.at_tenant(tenant_id).ask_tenant("POST", "suspend", body={"reason": reason})
    reach.show(told, lambda: f"tenant {told['id']} suspended")


@click.command("resume")
@_TENANT
@_REASON
@with_reach
def resume_tenant(reach: Reach, tenant_id: str | None, reason: str) -> None:
    """Take the credentials of TENANT again."""
    told = reach.at_tenant(tenant_id).ask_tenant("POST", "resume", body={"reason": reason})
    reach.show(told, lambda: f"tenant {told['id']} resumed")


@click.command("export")
@click.argument("bundle", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("tenant_id", metavar="TENANT", required=False)
@with_reach
def export_tenant(reach: Reach, bundle: Path, tenant_id: str | None) -> None:
    """Write every entry of TENANT to the evidence bundle BUNDLE, with proofs and verifiers."""
    if bundle.exists():
        raise SettingsError(f"{bundle} exists already", hint="choose another name")
    write_bundle(reach.at_tenant(tenant_id), bundle, {})


@click.command("delete")
@_TENANT
@_REASON
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A new file for the proof of the deletion.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_reach
def delete_tenant(
    reach: Reach, tenant_id: str | None, reason: str, certificate: Path | None, yes: bool
) -> None:
    """Destroy all content, keys, accounts and blobs of TENANT, which is suspended.

    Its log stays, without content, so that proofs given out before still hold. A legal hold or
    compliance in force keeps the tenant.
    """
    there = reach.at_tenant(tenant_id)
    if certificate is not None and certificate.exists():
        raise SettingsError(f"{certificate} exists already", hint="choose another name")
    if not yes:
        tenant = there.ask_tenant("GET")
        click.confirm(
            f"Destroy everything of {tenant['id']}? This cannot be undone.", abort=True, err=True
        )
    done: Json = there.ask_tenant("POST", "delete", body={"reason": reason})
    if certificate is not None:
        create_file(certificate, msgspec.json.format(msgspec.json.encode(done)), mode=0o644)
    reach.show(
        done,
        lambda: (
            f"tenant {done['tenant']} deleted: {done['entries']:,} entries emptied, "
            f"{done['blobs']:,} blobs and {sum(done['records'].values()):,} records destroyed"
        ),
    )


COMMANDS = (suspend_tenant, resume_tenant, export_tenant, delete_tenant)
