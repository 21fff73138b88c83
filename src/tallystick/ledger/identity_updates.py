"""Changes of identity records: each is made to the record as it is stored at that moment.

What is to be written is worked out from the stored document and is stored only if that is still
there; if another server was faster, it is worked out again. Threads of this process that change the
same record take turns, so that only other processes can be faster.
"""

from __future__ import annotations

from collections.abc import Callable

from tallystick.errors import Conflict, PreconditionFailed
from tallystick.identity import records
from tallystick.identity.acts import Act
from tallystick.identity.records import Record
from tallystick.ledger.striped_locks import Turns
from tallystick.store.base import IdentityRow, Store


class Changes:
    """Carries out acts on records that exist; safe to share between threads."""

    def __init__(self, store: Store, administer: Callable[[str, Act], object]) -> None:
        self._store = store
        self._administer = administer
        self._turns = Turns()

    def carry_out(
        self,
        record: type[Record],
        tenant: str,
        id: str,
        decide: Callable[[Record | None], Act | None],
    ) -> Record | None:
        """Carry out the act that `decide` returns, and return the record as it is then.

        `decide` is given the record as it is stored, None if there is none, and returns None to
        leave it so; it is asked again whenever somebody else was faster.
        Raises: what `decide` raises; Conflict when an id, login or key is taken; StoreBusy when
        others keep writing to the same record.
        """
        with self._turns.taken([(record, tenant, id)]) as patience:
            row = records.stored(self._store, record, tenant, id)
            while True:
                known = None if row is None else records.decode(row.doc, record)
                act = decide(known)
                if act is None:
                    return known
                act = _onto(act, row)
                try:
                    self._administer(tenant, act)
                except Conflict as conflict:
                    before, row = row, records.stored(self._store, record, tenant, id)
                    if row == before and not isinstance(conflict, PreconditionFailed):
                        raise
                else:
                    doc = act.writes[0].doc
                    return None if doc is None else records.decode(doc, record)
                patience.pause()


def _onto(act: Act, row: IdentityRow | None) -> Act:
    """Return an act that is carried out only while the record that it changes is this one."""
    replaces = None if row is None else row.doc
    return act._replace(writes=tuple(w._replace(replaces=replaces) for w in act.writes))
