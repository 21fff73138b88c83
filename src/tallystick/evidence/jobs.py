"""Bundles that a server makes on request, one after the other, in a thread of its own.

A job is named by its question: asking again, also after the server was killed, goes on with what is
there. Finished bundles stay in the data folder until they are deleted or give way to newer ones.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from tallystick.durable import create_folder
from tallystick.errors import NotFound, RateLimited, TallystickError
from tallystick.events.event import Draft, Json, Op, Resource
from tallystick.evidence.bundle import VERIFIERS, BundleWriter, WrittenBundle, verifier_digest
from tallystick.evidence.selection import Question
from tallystick.ledger.ledger import Ledger
from tallystick.log.keys import LogKey

KEPT = 16
"""Bundles kept for one tenant; the oldest finished one gives way."""

_log = structlog.get_logger(__name__)


class _Stopped(Exception):
    """The server is closing."""


class Job:
    """One bundle that is being made, or was; written to by the worker, read by anybody."""

    def __init__(self, id: str, question: Question, told: Json, file: Path) -> None:
        self.id = id
        self.tenant = question.tenant
        self.visible = question.visible
        self.told = told
        self.size = question.size
        self.file = file
        self.done = 0
        self.total: int | None = None
        self.written: WrittenBundle | None = None
        self.error: str | None = None

    def to_json(self) -> Json:
        """Return the state of the job."""
        written = self.written
        status = "failed" if self.error else "done" if written else "running"
        answer: Json = {
            "id": self.id,
            "status": status,
            "question": self.told,
            "size": self.size,
            "done": self.done,
            "total": self.total,
        }
        if self.error:
            answer["error"] = self.error
        if written:
            answer |= {
                "sha256": written.sha256,
                "entries": written.entries,
                "events": written.events,
                "begun_again": written.begun_again,
                "content": f"/v1/bundles/{self.id}/content",
            }
        return answer


class BundleJobs:
    """Makes bundles; `close` stops, and a later server goes on."""

    def __init__(self, ledger: Ledger, key: LogKey, folder: Path) -> None:
        self._ledger = ledger
        self._key = key
        self._folder = folder
        self._worker: ThreadPoolExecutor | None = None
        self._stopping = False
        # Guards what follows; jobs in the order they were asked for.
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}

    def start(self, question: Question, told: Json, actor: Resource | None) -> Job:
        """Begin a bundle, or return the job that makes or made the same one.

        Raises: Malformed; RateLimited while as many as are kept are under way.
        """
        origin = self._ledger.proofs.head(question.tenant).origin
        writer = BundleWriter(self._ledger.store, self._key.signer(origin), question, told)
        id = hashlib.sha256(repr((question, told)).encode()).hexdigest()[:32]
        with self._lock:
            job = self._jobs.get(id)
            if job is not None and job.error is None:
                return job
            self._make_room(question.tenant)
            create_folder(self._folder)
            job = Job(id, question, told, self._folder / f"{id}.zip")
            self._jobs[id] = job
            if self._worker is None:
                self._worker = ThreadPoolExecutor(1, thread_name_prefix="bundles")
            self._worker.submit(self._run, job, writer, actor)
        return job

    def get(self, tenant: str, id: str) -> Job:
        """Return a job of a tenant.

        Raises: NotFound.
        """
        job = self._jobs.get(id)
        if job is None or job.tenant != tenant:
            raise NotFound(f"no bundle {id!r}", hint="ask for it again with the same question")
        return job

    def delete(self, tenant: str, id: str) -> None:
        """Forget a finished job and its file.

        Raises: NotFound; RateLimited while it is being made.
        """
        job = self.get(tenant, id)
        if job.written is None and job.error is None:
            raise RateLimited("the bundle is still being made", retry_after_s=5)
        with self._lock:
            self._forget(job)

    def close(self) -> None:
        """Stop soon; spools stay for the next start."""
        self._stopping = True
        if self._worker is not None:
            self._worker.shutdown(wait=True, cancel_futures=True)

    def _make_room(self, tenant: str) -> None:
        own = [job for job in self._jobs.values() if job.tenant == tenant]
        if len(own) < KEPT:
            return
        finished = [job for job in own if job.written or job.error]
        if not finished:
            raise RateLimited(f"{KEPT} bundles are being made", retry_after_s=30)
        self._forget(finished[0])

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        job.file.unlink(missing_ok=True)
        shutil.rmtree(job.file.with_name(f"{job.file.name}.part"), ignore_errors=True)

    def _run(self, job: Job, writer: BundleWriter, actor: Resource | None) -> None:
        try:
            written = writer.write(job.file, progress=self._progress_of(job))
            self._record(job, written, actor)
            job.written = written
        except _Stopped:
            job.error = "the server stopped; ask again to go on"
        except TallystickError as error:
            job.error = error.message
        except OSError as error:
            job.error = f"the bundle cannot be written: {error.strerror}"
        except Exception:
            _log.exception("bundle_failed", bundle=job.id)
            job.error = "the bundle cannot be made; the server's log says why"

    def _progress_of(self, job: Job) -> Callable[[int, int], None]:
        def progress(done: int, total: int) -> None:
            job.done, job.total = done, total
            if self._stopping:
                raise _Stopped

        return progress

    def _record(self, job: Job, written: WrittenBundle, actor: Resource | None) -> None:
        """Enter into the log that evidence left, with which verifiers."""
        verifiers = {name: verifier_digest(name) for name in VERIFIERS}
        data = {
            "question": job.told,
            "size": written.size,
            "entries": written.entries,
            "events": written.events,
            "sha256": written.sha256,
            "verifiers": verifiers,
        }
        draft = Draft(kind="export.bundle", op=Op.SYSTEM, actor=actor, data=data)
        self._ledger.append(job.tenant, [draft])
