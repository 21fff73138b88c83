"""Sessions of users: how refresh tokens are exchanged, and when nothing is left of a session.

A session is recorded once its refresh token is used. Its turn counts the exchanges: the token of
that turn is the only one that is good, apart from the one before it for a few seconds.
"""

from __future__ import annotations

from tallystick.identity import acts
from tallystick.identity.acts import Act
from tallystick.identity.records import Session
from tallystick.identity.tokens import REFRESH_TOKEN_S, Refresh

GRACE_MS = 10_000
"""How long a refresh token that was used is still exchanged for the successor that it has: two
commands of one program, started together, send the same token."""

_MARGIN_MS = 24 * 3_600_000
"""Clocks of two servers differ by less."""

SPENT_MS = REFRESH_TOKEN_S * 1000 + _MARGIN_MS
"""How long after its last use a session is recorded: then no token of it is valid any more."""


def exchanged(shown: Refresh, known: Session | None, now_ms: int) -> Act | None:
    """Return what a refresh token that is shown does to its session; None if nothing.

    It continues the session when its turn has come. One that was used moments ago changes nothing,
    and its successor is that of the first use. Any other ends the session: somebody has a copy.
    """
    user, turn = shown.user, shown.turn
    known = known or Session(id=turn.session, tenant=user.tenant, user=user.id, turn=0)
    if known.ended:
        return None
    if turn.number == known.turn:
        following = Session(
            id=turn.session,
            tenant=user.tenant,
            user=user.id,
            turn=turn.number + 1,
            used_ms=now_ms,
        )
        return acts.continue_session(following)
    # Two servers' clocks may differ, so the use may seem to lie ahead.
    if turn.number + 1 == known.turn and abs(now_ms - known.used_ms) <= GRACE_MS:
        return None
    return acts.end_session(known, now_ms)
