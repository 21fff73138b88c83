"""Sessions of which no token is valid any more: their records are deleted, as the log tells."""

from __future__ import annotations

from tallystick.identity import acts
from tallystick.identity.acts import Act
from tallystick.identity.records import Identity, Session
from tallystick.identity.sessions import SPENT_MS
from tallystick.ledger.ledger import Ledger
from tallystick.log.views import events_of

_KIND = "session"
_ROWS = 256


def delete_spent(ledger: Ledger, identity: Identity, now_ms: int) -> int:
    """Delete the records of spent sessions and return how many those were.

    Raises: StoreBusy, LogDamaged and what else keeps a log from being written.
    Cost: reads all sessions; for those of earlier programs, the entries of op `system` too.
    """
    latest_ms = now_ms - SPENT_MS
    deleted = 0
    for tenant in {session.tenant for session in identity.list_of_all(Session)}:
        sessions = identity.list(Session, tenant)
        used = _recorded_ms(ledger, tenant) if any(not s.used_ms for s in sessions) else {}
        for session in sessions:
            # Where nothing tells when it was used, it stays.
            used_ms = session.used_ms or used.get(session.id, now_ms)
            if used_ms < latest_ms:
                _delete(ledger, session)
                deleted += 1
    return deleted


def _delete(ledger: Ledger, session: Session) -> None:
    def decide(known: Session | None) -> Act | None:
        return acts.delete(known) if known == session else None

    ledger.changes.carry_out(Session, session.tenant, session.id, decide)


def _recorded_ms(ledger: Ledger, tenant: str) -> dict[str, int]:
    """Return when the last act on each session was recorded."""
    head = ledger.store.log_head(tenant)
    found: dict[str, int] = {}
    if head is None:
        return found
    indexes = ledger.store.system_indexes(tenant, 0, head.size)
    for at in range(0, len(indexes), _ROWS):
        rows = ledger.store.rows_at(tenant, indexes[at : at + _ROWS])
        for event in events_of(tenant, (row for _, row in sorted(rows.items()))):
            if event.target is not None and event.target.type == _KIND:
                found[event.target.id] = event.recorded_ms
    return found
