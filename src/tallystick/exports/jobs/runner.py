"""Writing the files of exports: one run of a job, until its file is whole and may be shown."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import structlog

from tallystick.errors import StoreBusy, StoreCorrupt, TallystickError, for_operator
from tallystick.exports.jobs.erasures import ErasureWatch
from tallystick.exports.jobs.files import FileFolder, FileKind, FileOrder, FileState, WrittenFile
from tallystick.identity import export_acts, makers
from tallystick.identity.exports import ExportJob, claim_of
from tallystick.identity.records import Identity
from tallystick.ledger.ledger import Ledger
from tallystick.log.views import event_of
from tallystick.store.export_states import ExportStates

_NOTED_S = 1.0
_LOOKED_S = 0.25
_QUIET_S = 1.0
"""How long a file waits that is begun again: an erasure comes in many commits."""

_log = structlog.get_logger("tallystick.exports")


class ExportOver(Exception):
    """An export has no file any more, and never will; its text says why."""


class _Ended(Exception):
    """The server closes, the export was deleted, or another server took it over."""


class _Stale(Exception):
    """What was written so far may not be shown any more."""


class Desk(NamedTuple):
    """What runs need, whatever the job."""

    ledger: Ledger
    identity: Identity
    files: FileFolder
    states: ExportStates
    watch: ErasureWatch
    kinds: Mapping[str, FileKind]
    server: str
    stopping: threading.Event

    def order(self, job: ExportJob) -> FileOrder:
        """Return what is to stand in a file now.

        Raises: ExportOver.
        """
        store, tenant = self.ledger.store, job.tenant
        head = store.log_head(tenant)
        if head is None or head.size < job.size:
            raise ExportOver("the log was restored to an older state")
        try:
            visible = makers.visible_to(self.identity, tenant, job.maker)
        except makers.MakerGone as gone:
            raise ExportOver(str(gone)) from None
        claim = claim_of(job.id)
        found = store.claims(tenant, [claim]).get(claim)
        if found is None:
            raise ExportOver("the log does not tell what was asked for")
        event = event_of(tenant, store.rows_at(tenant, [found.index])[found.index])
        if "query" not in event.data:
            raise ExportOver("what was asked for was erased")
        return FileOrder(job, event.data["query"], visible)

    def state(self, job: ExportJob) -> FileState:
        """Return how far the file of a job is."""
        doc = self.states.load(job.tenant, job.id)
        if doc is None:
            return FileState(tenant=job.tenant, id=job.id, size=job.size)
        return msgspec.json.decode(doc, type=FileState)

    def is_stale(self, state: FileState, rights: str) -> bool:
        """Tell whether a file may not be shown any more: of erasures, or as its maker sees less.

        Cost: reads what others committed meanwhile.
        """
        self.watch.advance(state.tenant, state.checked)
        concerned = self.watch.concerns(state.tenant, state.checked, state.size)
        return concerned or state.rights != rights


class Run:
    """One run of a job; `is_copy` when another server has the file, and this one wants it too."""

    def __init__(self, desk: Desk, job: ExportJob, *, is_copy: bool) -> None:
        self._desk = desk
        self._job = job
        self._is_copy = is_copy
        # Belongs to the thread of the run.
        self._state = FileState(tenant=job.tenant, id=job.id, size=job.size)
        self._noted_s = 0.0
        self._looked_s = 0.0

    def run(self) -> None:
        """Write the file, or leave it to a later run."""
        job = self._job
        try:
            self._write_until_current()
        except (_Ended, ExportOver):
            return
        except StoreBusy as error:
            _log.warning("export_waits", export=job.id, reason=for_operator(error))
        except TallystickError as error:
            self._fail(error.message)
        except OSError as error:
            self._fail(f"the file cannot be written: {error.strerror}")
        except Exception:
            _log.exception("export_failed", export=job.id, tenant=job.tenant)
            self._fail("the file cannot be made; the server's log says why")

    def _write_until_current(self) -> None:
        while True:
            order = self._desk.order(self._job)
            self._begin(order)
            try:
                kind = self._desk.kinds[self._job.what]
                written = kind.write(order, self._desk.files.path(self._job.id), self._progress)
                self._look()
            except (_Stale, FileNotFoundError) as reason:
                if isinstance(reason, FileNotFoundError):
                    self._look_at_rights()
                    if not self._was_dropped():
                        raise
                self._give_up_parts()
                self._desk.stopping.wait(_QUIET_S)
                continue
            self._finish(order, kind, written)
            return

    def _begin(self, order: FileOrder) -> None:
        """Keep the parts of an earlier run if they may be gone on with, and say where this begins.

        The state comes first: what is erased from then on is noticed.
        """
        desk, job = self._desk, self._job
        rights = makers.rights_digest(job.id, order.visible)
        earlier = desk.files.state(job.tenant, job.id)
        shared = desk.state(job)
        goes_on = (
            earlier is not None
            and earlier.phase == "running"
            and not desk.is_stale(earlier, rights)
        )
        head = desk.ledger.store.log_head(job.tenant)
        assert head is not None, "an order has a log"
        if not goes_on:
            desk.files.drop(job.id)
        self._state = msgspec.structs.replace(
            shared,
            phase="running",
            done=0,
            total=job.size,
            problem=None,
            rights=rights,
            checked=earlier.checked if goes_on and earlier is not None else head.size,
            begun_again=shared.begun_again or (earlier is not None and not goes_on),
            server=desk.server,
        )
        desk.watch.advance(job.tenant, self._state.checked)
        self._keep()

    def _progress(self, done: int, total: int) -> None:
        """Go on, unless there is a reason not to."""
        desk, now_s = self._desk, time.monotonic()
        if desk.stopping.is_set():
            raise _Ended
        if desk.watch.concerns(self._job.tenant, self._state.checked, self._job.size):
            raise _Stale
        if now_s - self._looked_s > _LOOKED_S:
            self._looked_s = now_s
            self._look_at_rights()
        self._state = msgspec.structs.replace(self._state, done=done, total=total)
        if now_s - self._noted_s > _NOTED_S:
            self._keep()

    def _look(self) -> None:
        self._look_at_rights()
        if self._desk.is_stale(self._state, self._state.rights):
            raise _Stale

    def _look_at_rights(self) -> None:
        desk, job = self._desk, self._job
        known = desk.identity.get(ExportJob, job.tenant, job.id)
        if known is None or known.ended is not None:
            raise _Ended
        try:
            visible = makers.visible_to(desk.identity, job.tenant, job.maker)
        except makers.MakerGone:
            raise _Ended from None
        if makers.rights_digest(job.id, visible) != self._state.rights:
            raise _Stale

    def _finish(self, order: FileOrder, kind: FileKind, written: WrittenFile) -> None:
        told = self._state.written
        if self._is_copy:
            if told is None or told.sha256 != written.sha256:
                self._desk.files.drop(self._job.id)
                raise StoreCorrupt(
                    f"the export {self._job.id!r} has other bytes here than on the server that "
                    "made it",
                    hint="see that all servers run the same version",
                )
        elif told is None or told.sha256 != written.sha256:
            name, data = kind.entry(order, written)
            entry = export_acts.created(name, self._job, data)
            self._desk.ledger.append(self._job.tenant, [entry])
        self._state = msgspec.structs.replace(
            self._state, phase="done", done=self._state.total, written=written
        )
        self._keep()

    def _keep(self) -> None:
        """Write the state, here and for other servers.

        Raises: _Ended when another server has taken over.
        """
        self._noted_s = time.monotonic()
        desk, job = self._desk, self._job
        desk.files.keep(self._state)
        if not self._is_copy and desk.states is not desk.files:
            doc = msgspec.json.encode(self._state)
            if not desk.states.save(job.tenant, job.id, doc):
                raise _Ended

    def _was_dropped(self) -> bool:
        state = self._desk.files.state(self._job.tenant, self._job.id)
        return state is not None and self._desk.watch.concerns(
            state.tenant, state.checked, state.size
        )

    def _give_up_parts(self) -> None:
        self._desk.files.drop(self._job.id)
        self._state = msgspec.structs.replace(self._state, phase="queued", begun_again=True)
        self._keep()

    def _fail(self, problem: str) -> None:
        _log.warning("export_failed", export=self._job.id, reason=problem)
        if self._is_copy:
            return
        self._state = msgspec.structs.replace(self._state, phase="failed", problem=problem)
        try:
            self._desk.files.drop(self._job.id)
            self._keep()
        except (_Ended, OSError, TallystickError):
            # The next run finds the same problem.
            _log.warning("export_state_not_kept", export=self._job.id)
