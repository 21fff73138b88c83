"""What an answer tells of who looked, where a tenant wants that written down."""

from __future__ import annotations

from urllib.parse import unquote_plus

from starlette.types import Scope

from tallystick.dialects.services import Services
from tallystick.events.event import Resource
from tallystick.http.auth import CONTROL
from tallystick.identity.actors import OPERATOR, actor_of
from tallystick.identity.admission import ADMISSION, Admission
from tallystick.identity.records import Tenant
from tallystick.ledger.entries_read import EntriesRead
from tallystick.ledger.reads import LogRead, ReadLog

_METHODS = frozenset({"GET", "HEAD"})
_VIEWER = Resource("token", "viewer")
_LEFT_OUT = frozenset(
    {
        # Pages of one question are one read.
        "cursor", "offset", "page", "page_token", "limit", "page_size", "results-per-page",
        # Secrets that clients put into addresses are nobody's to read.
        "access_token", "token", "key", "api_key", "password", "client_secret",
    }
)  # fmt: skip
_QUERY_CHARS = 2_000


class ReadRecorder:
    """Records reads of tenants that want it; costs a look at the tenant's record for others."""

    def __init__(self, services: Services, reads: ReadLog) -> None:
        self._services = services
        self._identity = services.identity
        self._reads = reads

    async def record(self, scope: Scope, shown: EntriesRead, status: int) -> None:
        """Record what a request read, before anything of the answer leaves.

        Raises: what keeps the entry of a `strict` tenant from being written.
        """
        tenant = shown.asked
        if tenant is None or scope["method"] not in _METHODS or not 200 <= status < 300:
            return
        record = self._identity.get(Tenant, tenant, tenant)
        if record is None or record.access_log not in ("all", "strict"):
            return
        is_strict = record.access_log == "strict"
        query = _query(scope, is_single=len(shown.ids) == 1 and not is_strict)
        read = LogRead(tenant, self._actor(scope), query, tuple(shown.ids))
        if is_strict:
            await self._services.door().run(self._reads.require, read)
        else:
            self._reads.note(read)

    def _actor(self, scope: Scope) -> Resource:
        state = scope["state"]
        admission: Admission | None = state.get(ADMISSION)
        if admission is None:
            return OPERATOR if state.get(CONTROL) else _VIEWER
        return actor_of(self._identity, admission.principal) or OPERATOR


def _query(scope: Scope, *, is_single: bool) -> str:
    """Return what was asked, as one text for all that ask the same."""
    path: str = scope["path"]
    if is_single:
        # Reads of single events are one line a minute, which names the entries.
        for name, value in scope.get("path_params", {}).items():
            path = path.replace(str(value), f"{{{name}}}", 1)
    text = scope["query_string"].decode("latin-1")
    kept = [part for part in text.split("&") if part and part.partition("=")[0] not in _LEFT_OUT]
    asked = f"{path}?{unquote_plus('&'.join(kept))}" if kept else path
    return asked[:_QUERY_CHARS]
