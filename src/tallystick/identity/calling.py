"""Who calls: noted where a request is admitted, for the entries that its acts leave.

A request belongs to one task and the worker threads that it waits for, which share its context.
"""

from __future__ import annotations

from contextvars import ContextVar

from tallystick.events.event import Resource
from tallystick.identity.access import Principal
from tallystick.identity.actors import OPERATOR, actor_of
from tallystick.identity.records import Identity

_caller: ContextVar[Principal | None] = ContextVar("caller", default=None)


def note_caller(principal: Principal) -> None:
    """Note whom the running request was admitted as."""
    _caller.set(principal)


def acting(identity: Identity) -> Resource | None:
    """Return who acts, as the log names them; None where nobody was admitted."""
    principal = _caller.get()
    return None if principal is None else actor_of(identity, principal) or OPERATOR
