"""Evidence bundles as files of export jobs: what a job's question means for a bundle."""

from __future__ import annotations

from pathlib import Path

from tallystick.events.event import Json
from tallystick.evidence.bundle import VERIFIERS, BundleWriter, verifier_digest
from tallystick.evidence.selection import Question
from tallystick.exports.jobs.files import FileKind, FileOrder, Progress, Words, WrittenFile
from tallystick.log.keys import LogKey
from tallystick.query.expr import Everything, Expr
from tallystick.query.native_filter import from_words
from tallystick.store.base import Store

BUNDLED = "export.bundle"
"""Kind of the entry that tells what evidence left, with which verifiers."""


def bundle_file(store: Store, key: LogKey) -> FileKind:
    """Return the kind of file that is an evidence bundle of a store's log."""

    def write(order: FileOrder, target: Path, progress: Progress) -> WrittenFile:
        job = order.job
        head = store.log_head(job.tenant)
        assert head is not None, "an order has a log"
        question = question_of(job.tenant, order.words, job.size, order.visible)
        writer = BundleWriter(store, key.signer(head.origin), question, told_by(order.words))
        written = writer.write(target, progress=progress)
        return WrittenFile(
            sha256=written.sha256,
            bytes=target.stat().st_size,
            events=written.events,
            entries=written.entries,
        )

    return FileKind(write, _entry)


def question_of(tenant: str, words: Words, size: int, visible: Expr) -> Question:
    """Return what a bundle answers; `first` and `stop` bound the entries it accounts for."""
    where = from_words(words).where()
    start, stop = (int(words[name][-1]) if name in words else None for name in ("first", "stop"))
    has_range = start is not None or stop is not None
    return Question(
        tenant=tenant,
        size=size,
        start=start or 0,
        stop=size if stop is None else stop,
        where=where,
        visible=visible,
        is_complete=has_range or isinstance(where, Everything),
    )


def told_by(words: Words) -> Json:
    """Return a question as a bundle states it: parameters with several values as lists."""
    return {
        name: list(values) if len(values) > 1 else values[0]
        for name, values in sorted(words.items())
    }


def _entry(order: FileOrder, written: WrittenFile) -> tuple[str, Json]:
    told: Json = {
        "question": told_by(order.words),
        "size": order.job.size,
        "entries": written.entries,
        "events": written.events,
        "sha256": written.sha256,
        "verifiers": {name: verifier_digest(name) for name in VERIFIERS},
    }
    return BUNDLED, told
