"""Export jobs as the rest of the server sees them: asked for, looked at, fetched, deleted.

One thread looks at all jobs now and then, and whenever a commit may concern one: it begins what is
to be written, ends what has lost its maker, and removes what has expired. Two others write.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from tallystick import limits
from tallystick.errors import (
    Conflict,
    NotFound,
    RateLimited,
    StoreBusy,
    TallystickError,
    for_operator,
)
from tallystick.events.event import Resource
from tallystick.exports.jobs.erasures import ErasureWatch
from tallystick.exports.jobs.files import FileFolder, FileKind, FileState, Words, WrittenFile
from tallystick.exports.jobs.runner import Desk, ExportOver, Run
from tallystick.identity import export_acts, makers
from tallystick.identity.acts import Act
from tallystick.identity.exports import KIND, ExportJob, What
from tallystick.identity.records import Identity
from tallystick.identity.streams import Maker
from tallystick.ledger.ledger import Ledger
from tallystick.log.sequencer import CommitStats
from tallystick.store.base import LogHead
from tallystick.store.export_states import ExportStates

_LOOK_S = 2.0
_DAY_MS = 86_400_000
_CHECKED_ENTRIES = 50_000

_log = structlog.get_logger("tallystick.exports")


class ExportRequest(NamedTuple):
    """What somebody asks for: a file of a format, as of a size of the log."""

    tenant: str
    what: What
    format: str
    words: Words
    size: int
    maker: Maker
    actor: Resource


class ExportView(NamedTuple):
    """A job, its question (None once that was erased), and how far it is."""

    job: ExportJob
    words: Words | None
    state: FileState

    @property
    def phase(self) -> str:
        """How far it is, in a word."""
        return self.state.phase if self.job.ended is None else "ended"


class ReadyFile(NamedTuple):
    """A file that may be sent, as long as `is_current` says so."""

    path: Path
    written: WrittenFile
    is_current: Callable[[], bool]


class ExportJobs:
    """All jobs of a server; safe to share between threads."""

    def __init__(
        self,
        ledger: Ledger,
        identity: Identity,
        folder: Path,
        kinds: Mapping[str, FileKind],
        *,
        states: ExportStates | None,
        server: str,
        days: float,
    ) -> None:
        """Prepare the jobs; without `states` no other server shares the store."""
        files = FileFolder(folder)
        self._ledger = ledger
        self._identity = identity
        self._files = files
        self._states: ExportStates = files if states is None else states
        self._days = days
        self._stopping = threading.Event()
        watch = ErasureWatch(ledger.store, is_told=states is None)
        self._desk = Desk(
            ledger, identity, files, self._states, watch, kinds, server, self._stopping
        )
        self._wake = threading.Event()
        # Guards what follows, and keeps two requests for the same from becoming two jobs.
        self._lock = threading.Lock()
        self._running: set[tuple[str, str]] = set()
        self._wanted: set[tuple[str, str]] = set()
        self._looker: threading.Thread | None = None
        self._writers: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Go on with what is to be written; idempotent."""
        with self._lock:
            if self._looker is None and not self._stopping.is_set():
                self._writers = ThreadPoolExecutor(
                    limits.EXPORTS_AT_ONCE, thread_name_prefix="exports"
                )
                self._looker = threading.Thread(target=self._watch, name="exports", daemon=True)
                self._looker.start()

    def close(self) -> None:
        """Stop soon; what is not whole goes on at the next start. Idempotent."""
        self._stopping.set()
        self._wake.set()
        with self._lock:
            looker, writers = self._looker, self._writers
        if looker is not None:
            looker.join()
        if writers is not None:
            writers.shutdown(wait=True, cancel_futures=True)
        self._states.close()

    def committed(self, heads: Sequence[LogHead], stats: CommitStats) -> None:
        """Remove files that hold what was erased, before the eraser is told that it is."""
        for head in heads:
            erased = [each.index for each in stats.erased.get(head.tenant, ())]
            self._desk.watch.committed(head.tenant, head.size, erased)
            if erased:
                self._drop_concerned(head, min(erased))
        if stats.identity_changed or stats.erased:
            self._wake.set()

    def _drop_concerned(self, head: LogHead, lowest: int) -> None:
        for state in self._files.states(head.tenant):
            if lowest < state.size and state.checked < head.size:
                self._files.drop(state.id)

    # What others ask

    def create(self, request: ExportRequest) -> ExportView:
        """Begin an export, or return the one that answers the same question already.

        Raises: RateLimited when the tenant has as many as are kept.
        """
        self.start()
        with self._lock:
            views = self.all(request.tenant)
            for view in views:
                if self._answers(view, request):
                    return view
            self._make_room(request, views)
            now_ms = self._ledger.clock.now_ms()
            job = ExportJob(
                id=secrets.token_hex(16),
                tenant=request.tenant,
                created_ms=now_ms,
                expires_ms=now_ms + int(self._days * _DAY_MS),
                what=request.what,
                format=request.format,
                size=request.size,
                maker=request.maker,
            )
            query = {name: list(values) for name, values in request.words.items()}
            self._ledger.administer(
                request.tenant, export_acts.requested(job, query, request.actor)
            )
        self._wake.set()
        return self._view(job)

    def all(self, tenant: str) -> list[ExportView]:
        """Return the exports of a tenant, oldest first."""
        jobs = self._identity.list(ExportJob, tenant)
        return [self._view(job) for job in sorted(jobs, key=lambda job: (job.created_ms, job.id))]

    def get(self, tenant: str, id: str) -> ExportView:
        """Return an export.

        Raises: NotFound.
        """
        self.start()
        job = self._identity.get(ExportJob, tenant, id)
        if job is None:
            raise _missing(id)
        return self._view(job)

    def delete(self, tenant: str, id: str, actor: Resource) -> None:
        """End an export and remove its file.

        Raises: NotFound.
        """
        self._delete(tenant, id, "deleted", actor)

    def file(self, tenant: str, id: str) -> ReadyFile:
        """Return the file of an export.

        Raises: NotFound for one that has ended; Conflict when there is no file yet; StoreBusy
        while another server has it, and this one makes its own.
        """
        view = self.get(tenant, id)
        state, written = view.state, view.state.written
        if view.job.ended is not None:
            raise NotFound(f"the export {id!r} has ended: {view.job.ended}")
        if view.phase == "failed":
            raise Conflict(f"the export {id!r} has failed: {state.problem}")
        if view.phase != "done" or written is None:
            raise Conflict(
                f"the export {id!r} is {view.phase}", hint="its state says how far it is"
            )
        if not self._has_copy(state):
            with self._lock:
                self._wanted.add((tenant, id))
            self._wake.set()
            raise StoreBusy(
                f"the file is on {state.server}; this server is making its own",
                retry_after_s=2.0,
                hint="try again",
            )
        return ReadyFile(self._files.path(id), written, lambda: self._is_current(view.job, state))

    def counts(self) -> dict[str, int]:
        """Return how many exports of this server are in each phase."""
        counts = {"queued": 0, "running": 0, "done": 0, "failed": 0}
        for key in self._files.known():
            state = self._files.state(*key)
            if state is not None:
                counts[state.phase] += 1
        return counts

    def _view(self, job: ExportJob) -> ExportView:
        state = self._desk.state(job)
        try:
            order = self._desk.order(job)
        except ExportOver as over:
            # The looker is about to say so in the log.
            return ExportView(
                msgspec.structs.replace(job, ended=job.ended or str(over)), None, state
            )
        rights = makers.rights_digest(job.id, order.visible)
        if state.phase == "done" and self._desk.is_stale(state, rights):
            state = msgspec.structs.replace(state, phase="queued", done=0, begun_again=True)
        return ExportView(job, order.words, state)

    def _is_current(self, job: ExportJob, state: FileState) -> bool:
        known = self._identity.get(ExportJob, job.tenant, job.id)
        if known is None or known.ended is not None:
            return False
        now = self._view(known).state
        return now.phase == "done" and now.written == state.written

    def _has_copy(self, state: FileState) -> bool:
        copy = self._files.state(state.tenant, state.id)
        if copy is None or copy.phase != "done" or copy.written != state.written:
            return False
        return self._files.path(state.id).exists()

    def _answers(self, view: ExportView, request: ExportRequest) -> bool:
        job = view.job
        return (
            job.what == request.what
            and job.format == request.format
            and job.maker == request.maker
            and view.phase in ("queued", "running", "done")
            and view.words is not None
            and {name: list(values) for name, values in request.words.items()} == view.words
            and (job.size == request.size or self._adds_no_event(job, request.size))
        )

    def _adds_no_event(self, job: ExportJob, size: int) -> bool:
        """Tell whether the log grew only by acts since an export of events was asked for."""
        between = size - job.size
        if job.what != "events" or not 0 < between <= limits.LIST_LIMIT_MAX:
            return False
        acts = self._ledger.store.system_indexes(job.tenant, job.size, size)
        return len(acts) == between

    def _make_room(self, request: ExportRequest, views: Sequence[ExportView]) -> None:
        if len(views) < limits.EXPORTS:
            return
        for view in views:
            is_over = view.phase in ("done", "failed", "ended")
            if view.job.maker == request.maker and is_over:
                self._delete(request.tenant, view.job.id, "gave way to another", None)
                return
        raise RateLimited(
            f"the tenant has {limits.EXPORTS} exports", retry_after_s=30, hint="delete one"
        )

    def _delete(self, tenant: str, id: str, reason: str, actor: Resource | None) -> None:
        def delete(job: ExportJob | None) -> Act:
            if job is None:
                raise _missing(id)
            return export_acts.deleted(job, reason, actor)

        self._ledger.changes.carry_out(ExportJob, tenant, id, delete)
        self._forget(tenant, id)

    def _forget(self, tenant: str, id: str) -> None:
        """Remove a file; one that is being written goes when its run has noticed."""
        if (tenant, id) not in self._running:
            self._files.forget(tenant, id)
            if self._states is not self._files:
                self._states.forget(tenant, id)

    # The thread that looks

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except TallystickError as error:
                _log.warning("exports_wait", reason=for_operator(error))
            except Exception:
                _log.exception("exports_not_looked_at")
            self._wake.wait(_LOOK_S)
            self._wake.clear()

    def _look(self) -> None:
        rows = self._ledger.store.identities(None, KIND)
        there = {(row.tenant, row.id) for row in rows}
        for tenant, id in there:
            job = self._identity.get(ExportJob, tenant, id)
            # One whose record contradicts the log is not written for anybody.
            if job is not None and not self._stopping.is_set():
                self._look_at(job)
        for key in {*self._files.known(), *self._states.known()} - there:
            self._forget(*key)

    def _look_at(self, job: ExportJob) -> None:
        key = (job.tenant, job.id)
        if key in self._running:
            return
        if self._ledger.clock.now_ms() >= job.expires_ms:
            with contextlib.suppress(NotFound):
                self._delete(*key, "expired", None)
            return
        if job.ended is not None:
            self._forget(*key)
            return
        try:
            order = self._desk.order(job)
        except ExportOver as over:
            self._end(job, str(over))
            return
        rights = makers.rights_digest(job.id, order.visible)
        self._drop_stale_copy(job, rights)
        state = self._desk.state(job)
        if state.phase == "failed":
            return
        if state.phase != "done" or self._desk.is_stale(state, rights):
            self._begin(job, is_copy=False)
        elif key in self._wanted and not self._has_copy(state):
            self._begin(job, is_copy=True)

    def _drop_stale_copy(self, job: ExportJob, rights: str) -> None:
        copy = self._files.state(job.tenant, job.id)
        if copy is None or copy.phase != "done":
            return
        if self._desk.is_stale(copy, rights):
            self._files.drop(job.id)
            return
        size = self._desk.watch.advance(job.tenant, copy.checked)
        if size - copy.checked > _CHECKED_ENTRIES:
            # The next start need not look there again.
            self._files.keep(msgspec.structs.replace(copy, checked=size))

    def _end(self, job: ExportJob, reason: str) -> None:
        def end(known: ExportJob | None) -> Act | None:
            return None if known is None or known.ended else export_acts.ended(known, reason)

        self._files.drop(job.id)
        self._ledger.changes.carry_out(ExportJob, job.tenant, job.id, end)
        self._forget(job.tenant, job.id)
        _log.info("export_ended", export=job.id, tenant=job.tenant, reason=reason)

    def _begin(self, job: ExportJob, *, is_copy: bool) -> None:
        key = (job.tenant, job.id)
        with self._lock:
            is_full = len(self._running) >= limits.EXPORTS_AT_ONCE
            if is_full or any(tenant == job.tenant for tenant, _ in self._running):
                return
            if not is_copy and not self._states.acquire(*key):
                return
            self._running.add(key)
            self._wanted.discard(key)
            assert self._writers is not None, "the looker runs beside them"
            self._writers.submit(self._run, job, is_copy)

    def _run(self, job: ExportJob, is_copy: bool) -> None:
        key = (job.tenant, job.id)
        try:
            Run(self._desk, job, is_copy=is_copy).run()
        finally:
            with self._lock:
                self._running.discard(key)
            if not is_copy:
                with contextlib.suppress(TallystickError):
                    self._states.release(*key)
            self._wake.set()


def _missing(id: str) -> NotFound:
    return NotFound(f"no such export {id!r}")
