"""The headers by which every answer that shows events says how to prove them.

`Tally-Checkpoint` is the log's own signed note in base64; it covers every entry that the answer
depends on, because it is looked up after the page was read. `Link` leads to the receipt of the
event, or to the receipts of the page. Bodies are the same with and without.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from starlette.types import Scope

from tallystick.dialects.services import Door, Services
from tallystick.errors import NotFound
from tallystick.http.auth import CONTROL
from tallystick.identity import access
from tallystick.identity.admission import ADMISSION, Admission
from tallystick.ledger.entries_read import EntriesRead
from tallystick.log.proofs import SignedHead
from tallystick.query.expr import Everything

CHECKPOINT = "Tally-Checkpoint"
_NOTE_BYTES_MAX = 768  # 1 KiB in base64
_INDEXES_CHARS_MAX = 1_500
_Headers = list[tuple[bytes, bytes]]


class ProofHeaders:
    """Makes the headers for the entries that a request read."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._proofs = services.ledger.proofs

    async def of(self, scope: Scope, shown: EntriesRead, status: int) -> _Headers:
        """Return the headers of an answer; none for errors and for answers without events.

        Cost: a few microseconds while the head of the log is known, one read if not.
        """
        if shown.tenant is None or not 200 <= status < 300:
            return []
        head = self._proofs.known_head(shown.tenant, shown.top)
        if head is None:
            head = await self._read(shown.tenant)
        if head is None or head.size <= shown.top or len(head.checkpoint) > _NOTE_BYTES_MAX:
            return []
        headers = [(b"tally-checkpoint", head.base64)]
        link = _link(scope, shown)
        if link is not None:
            headers.append((b"link", link.encode("ascii")))
        return headers

    async def _read(self, tenant: str) -> SignedHead | None:
        door: Door = self._services.door()
        try:
            return await door.run(self._proofs.read_head, tenant)
        except NotFound:
            return None


def _link(scope: Scope, shown: EntriesRead) -> str | None:
    indexes = shown.ids.keys() if _sees_all(scope) else shown.ids.keys() & shown.bound
    if not indexes:
        return None
    if len(indexes) == 1:
        (index,) = indexes
        event_id = shown.ids[index]
        if event_id is not None:
            return f'</v1/events/{event_id}/receipt>; rel="receipt"'
    return f'</v1/receipts?indexes={_spelled(indexes)}>; rel="receipt"'


def _sees_all(scope: Scope) -> bool:
    state = scope["state"]
    admission: Admission | None = state.get(ADMISSION)
    if admission is None:
        return bool(state.get(CONTROL))
    return isinstance(access.visible(admission.principal), Everything)


def _spelled(indexes: Collection[int]) -> str:
    """Return indexes as runs, `3-9,12`; as one run over all of them where that is far shorter."""
    if len(indexes) == 1:
        return str(*indexes)
    ordered = sorted(indexes)
    text = ",".join(_run(*run) for run in runs(ordered))
    return text if len(text) <= _INDEXES_CHARS_MAX else _run(ordered[0], ordered[-1])


def runs(ordered: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last of each run of neighbours; `ordered` rises and is not empty."""
    first = ordered[0]
    for before, after in pairwise(ordered):
        if after != before + 1:
            yield first, before
            first = after
    yield first, ordered[-1]


def _run(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
