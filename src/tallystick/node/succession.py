"""Going on after a log cannot be: a new log with a new origin, which says what it continues.

A log that lost entries cannot be extended without contradicting what others hold of it, and one
whose key is lost cannot be extended at all. Its entries stay, readable and never written to again;
entry 0 of the new log holds its last signed head and the reason.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

from tallystick.errors import Conflict, Malformed, NotFound
from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.acts import Continued
from tallystick.log.head_proof import is_being_copied
from tallystick.node.node import Node, open_node
from tallystick.settings import Settings
from tallystick.store.base import LogHead
from tallystick.tlog.encoding import to_base64

REASON_CHARS = 1_000


class Successor(NamedTuple):
    """The tenant that continues another one: its log, and the secret of its first admin key."""

    tenant: str
    origin: str
    continued: Continued
    secret: str


def succeed(
    folder: Path, settings: Settings, old: str, new: str, *, reason: str, lost_key: bool = False
) -> Successor:
    """Begin the log of the tenant `new`, which continues that of `old`, and end that one.

    With `lost_key` a new signing key is made where the folder has none.
    Raises: StoreLocked while a server runs; NotFound; Conflict when `old` was continued already,
    or `new` exists; Malformed.
    """
    if not 0 < len(reason.strip()) <= REASON_CHARS:
        raise Malformed(f"a reason has 1 to {REASON_CHARS} characters", path="reason")
    node = open_node(folder, settings, followers=False, lost_key=lost_key)
    with contextlib.closing(node):
        continued = _continued(node, old, reason)
        tenant, act = acts.create_tenant(
            new,
            server_name=settings.server_name,
            now_ms=node.clock.now_ms(),
            continues=continued,
        )
        _, secret, key_act = acts.create_key(
            new, (Scope.ADMIN,), now_ms=node.clock.now_ms(), label="first key"
        )
        # The log begins with the head that it continues; its key is the next entry.
        node.ledger.administer(new, act)
        node.ledger.administer(new, key_act)
        return Successor(tenant.id, str(act.origin), continued, secret)


def _continued(node: Node, old: str, reason: str) -> Continued:
    for tenant in node.identity.tenants():
        if tenant.continues == old:
            raise Conflict(f"the log of {tenant.id!r} continues that of {old!r} already")
    head: LogHead | None = node.store.log_head(old)
    if head is None or is_being_copied(head):
        raise NotFound(f"no log of a tenant {old!r}")
    root = to_base64(head.root)
    return Continued(old, head.origin, head.size, root, head.checkpoint, reason.strip())
