"""The witnesses of a log as people see them: who they are, and what each cosigned last."""

from __future__ import annotations

from tallystick import times
from tallystick.events.event import Json
from tallystick.identity.records import ConfiguredWitness, Identity
from tallystick.witness.cosigned_folder import CosignedFolder
from tallystick.witness.submit import Submitter


def witness_status(
    identity: Identity, cosigned: CosignedFolder, submitter: Submitter | None, tenant: str
) -> list[Json]:
    """Return the witnesses of a tenant's log; `failure` stands where the last attempt failed."""
    latest = cosigned.latest(tenant)
    found: list[Json] = []
    for witness in identity.list(ConfiguredWitness, tenant):
        status: Json = {
            "name": witness.id,
            "key": witness.key,
            "url": witness.url,
            "line": f"witness {witness.id} {witness.key} {witness.url}",
            "added_at": times.to_rfc3339(witness.created_ms),
        }
        last = latest.get(witness.key)
        if last is not None:
            at = times.to_rfc3339(last.time_s * 1000)
            status |= {"size": last.size, "cosigned_at": at}
        failure = None if submitter is None else submitter.failure(tenant, witness.url)
        if failure is not None:
            status["failure"] = failure
        found.append(status)
    return found
