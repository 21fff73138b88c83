"""The credential of a request, looked at again for as long as the request is open.

A body may take hours to come in and an answer hours to go out. What a credential was worth when
the request began does not say what it is worth then: it may have been revoked, its user shut out,
a grant or a scope taken away, a client or key set deleted, its time have come. So the code that
admits a request leaves here how to look again, and the server looks with each part of the body, and
before each part of an answer that goes out in parts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping
from typing import Any

import msgspec

from tallystick.errors import Unauthenticated
from tallystick.identity.access import Principal
from tallystick.identity.calling import note_caller
from tallystick.identity.records import Identity

ADMISSION = "tallystick.admission"
"""Name of a request's admission in its state; a request without one has shown no credential."""

_LOOK_AGAIN_S = 1.0
"""How long a look holds where no change is known: tokens expire, and others write identity."""


class Admission:
    """Whom a request was admitted as; looked at again by one caller at a time."""

    def __init__(self, identity: Identity, look: Callable[[], Principal]) -> None:
        """Look for the first time.

        Raises: whatever `look` raises when it admits nobody.
        """
        self._identity = identity
        self._look = look
        self.principal = self._seen()

    def is_stale(self) -> bool:
        """Tell whether it is time to look again; costs next to nothing."""
        return (
            self._generation != self._identity.generation
            or time.monotonic() - self._looked_s >= _LOOK_AGAIN_S
        )

    def look_again(self) -> None:
        """See that the credential still allows all it allowed; may read the store.

        Raises: Unauthenticated, or what else `look` raises.
        """
        if not _covers(self._seen(), self.principal):
            raise Unauthenticated(
                "the credential was changed while the request was open",
                hint="send the request again",
            )

    def _seen(self) -> Principal:
        # Noted before looking: a change made in between is looked at once more.
        self._generation = self._identity.generation
        self._looked_s = time.monotonic()
        principal = self._look()
        if self._identity.is_suspended(principal.tenant):
            raise Unauthenticated("the tenant is suspended")
        return principal


def admit(
    state: MutableMapping[str, Any], identity: Identity, look: Callable[[], Principal]
) -> Principal:
    """Return the principal that `look` finds, and let it be found again while the request is open.

    Raises: what `look` raises.
    """
    if ADMISSION in state:
        return look()
    admission = state[ADMISSION] = Admission(identity, look)
    note_caller(admission.principal)
    return admission.principal


def _covers(now: Principal, before: Principal) -> bool:
    same = msgspec.structs.replace(now, scopes=before.scopes, key=before.key)
    return same == before and now.scopes >= before.scopes
