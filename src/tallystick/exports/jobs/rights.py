"""Who may see an export: its maker, as long as both see the same, and administrators."""

from __future__ import annotations

from tallystick.identity import access, makers
from tallystick.identity.access import Principal, Scope
from tallystick.identity.exports import ExportJob
from tallystick.identity.records import Identity
from tallystick.query.expr import Everything


def may_see(identity: Identity, job: ExportJob, principal: Principal) -> bool:
    """Tell whether somebody may see all that a job shows."""
    if Scope.ADMIN in principal.scopes:
        return True
    made = (job.maker.key, job.maker.user, job.maker.client)
    if made != (principal.key, principal.user, principal.client):
        return False
    try:
        shown = makers.visible_to(identity, job.tenant, job.maker)
    except makers.MakerGone:
        return False
    seen = access.visible(principal)
    return isinstance(seen, Everything) or seen == shown
