"""Acts on exports: each is an entry of op `system` together with the record that it changes."""

from __future__ import annotations

import msgspec

from tallystick.events.event import Draft, Json, Op, Resource
from tallystick.identity.acts import Act
from tallystick.identity.exports import FACTS, KIND, ExportJob, claim_of, named
from tallystick.store.base import IdentityWrite

REQUESTED = "export.requested"
CREATED = "export.created"
"""Kind of the entry that tells what left: format, query, range, count and digest."""


def requested(job: ExportJob, query: Json, actor: Resource) -> Act:
    """Return the act that asks for a file."""
    told = {name: msgspec.to_builtins(getattr(job, name)) for name in FACTS}
    draft = _draft(REQUESTED, job, actor, told | {"query": query})
    draft.claims = ((claim_of(job.id), b""),)
    write = IdentityWrite(job.tenant, KIND, job.id, msgspec.json.encode(job))
    return Act(draft, (write,))


def ended(job: ExportJob, reason: str) -> Act:
    """Return the act after which an export has no file, and never will."""
    changed = msgspec.structs.replace(job, ended=reason)
    write = IdentityWrite(job.tenant, KIND, job.id, msgspec.json.encode(changed))
    return Act(_draft("export.ended", job, None, {"ended": reason}), (write,))


def deleted(job: ExportJob, reason: str, actor: Resource | None) -> Act:
    """Return the act that removes an export and its file."""
    write = IdentityWrite(job.tenant, KIND, job.id, None)
    return Act(_draft("export.deleted", job, actor, {"reason": reason}), (write,))


def created(kind: str, job: ExportJob, told: Json) -> Draft:
    """Return the draft that tells of a file that was written."""
    return _draft(kind, job, named(job.maker), told)


def _draft(kind: str, job: ExportJob, actor: Resource | None, told: Json) -> Draft:
    target = Resource(KIND, job.id)
    return Draft(kind=kind, op=Op.SYSTEM, actor=actor, target=target, data=told, dialect="native")
