"""Checkpoints go to the witnesses of their logs, beside the commits and never in their way.

A thread decides which witness of which log is due, a few more speak with them. A witness is only
ever sent the newest checkpoint, with the proof that it continues the one it cosigned last: however
long it was away, one request catches up. Servers that share a store submit each for itself, which
a witness takes as repeats.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, NamedTuple

import structlog

from tallystick.errors import TallystickError, VerificationError, for_operator
from tallystick.identity.records import ConfiguredWitness, Identity
from tallystick.store.base import LogHead
from tallystick.tlog.cosignature import CosignatureVerifier
from tallystick.witness.cosigned_folder import CosignedFolder, LastCosignature
from tallystick.witness.witness_client import WitnessClient, WitnessConflict, WitnessFailed

INTERVAL_S: Final = 10.0
"""How long a witness is left alone after it cosigned, unless a request waits for it."""

_RELOAD_S: Final = 5.0
_REFRESH_S: Final = 3600.0
_BACKOFF_S_MAX: Final = 60.0
_THREADS: Final = 8

_log = structlog.get_logger("tallystick.witness")

Key = tuple[str, str]
"""A log, by its tenant, and the URL of a witness."""

ConflictListener = Callable[[str, WitnessConflict], None]
"""Is told that a witness of a tenant's log knows another history."""


class _Pair:
    """One witness of one log. Everything here is guarded by the submitter's condition."""

    def __init__(self, keys: tuple[CosignatureVerifier, ...]) -> None:
        self.keys = keys
        self.size = 0
        self.root = b""
        self.cosigned_s: float | None = None
        self.due_s = 0.0
        self.failures = 0
        self.failure: str | None = None
        self.in_flight = False

    def is_due(self, head: LogHead, now_s: float, *, wanted: bool) -> bool:
        if self.in_flight:
            return False
        is_new = (self.size, self.root) != (head.size, head.root)
        if wanted and is_new and not self.failures:
            return True
        age_s = None if self.cosigned_s is None else now_s - self.cosigned_s
        return now_s >= self.due_s and (is_new or age_s is None or age_s > _REFRESH_S)


class _Waiting(NamedTuple):
    size: int
    done: Callable[[int], None]


class Submitter:
    """Has the checkpoints of a server's logs cosigned; safe to share between threads."""

    def __init__(
        self,
        client: WitnessClient,
        identity: Identity,
        folder: CosignedFolder,
        conflict: ConflictListener,
        *,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._client = client
        self._identity = identity
        self._folder = folder
        self._conflict = conflict
        self._interval_s = interval_s
        # Guarded by `_condition`: all that follows.
        self._condition = threading.Condition()
        self._heads: dict[str, LogHead] = {}
        self._pairs: dict[Key, _Pair] = {}
        self._names: dict[Key, tuple[str, ...]] = {}
        self._waiting: dict[str, list[_Waiting]] = {}
        self._reloaded_s = float("-inf")
        self._stopping = False
        self.conflicts = 0
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="witness")
        self._thread = threading.Thread(target=self._run, name="witnesses", daemon=True)

    def start(self, heads: Iterable[LogHead], *, deadline_s: float) -> None:
        """Show the heads of logs to their witnesses and wait for what they say; then go on.

        A witness that does not answer in time is asked again later.
        """
        self._reload()
        with self._condition:
            self._heads = {head.tenant: head for head in heads}
            jobs = self._begin_due(time.monotonic())
        wait(jobs, timeout=deadline_s)
        self._thread.start()

    def committed(self, heads: Iterable[LogHead]) -> None:
        """Take in heads that were just committed; never waits for anybody."""
        with self._condition:
            self._heads.update((head.tenant, head) for head in heads)

    def changed(self) -> None:
        """Look soon which witnesses are configured."""
        with self._condition:
            self._reloaded_s = float("-inf")
            self._condition.notify()

    def when_cosigned(self, tenant: str, size: int, done: Callable[[int], None]) -> None:
        """Have a log cosigned now; call `done` once all its witnesses answered, with their number.

        It is called from another thread, with the number of keys that cosigned `size` or more.
        """
        with self._condition:
            self._waiting.setdefault(tenant, []).append(_Waiting(size, done))
            self._condition.notify()

    def count_at(self, tenant: str, size: int) -> int:
        """Return how many keys have cosigned a log at `size` or more."""
        with self._condition:
            return self._count_at(tenant, size)

    def _count_at(self, tenant: str, size: int) -> int:
        pairs = (pair for key, pair in self._pairs.items() if key[0] == tenant)
        return sum(len(pair.keys) for pair in pairs if pair.size >= size)

    def failure(self, tenant: str, url: str) -> str | None:
        """Return what went wrong since a witness of a log cosigned last; None when nothing did."""
        with self._condition:
            pair = self._pairs.get((tenant, url))
            return None if pair is None else pair.failure

    def lag(self) -> dict[str, int]:
        """Return by how many entries each witness is behind, at worst over the logs."""
        behind: dict[str, int] = {}
        with self._condition:
            for key, pair in self._pairs.items():
                head = self._heads.get(key[0])
                entries = 0 if head is None else max(head.size - pair.size, 0)
                for name in self._names[key]:
                    behind[name] = max(behind.get(name, 0), entries)
        return behind

    def close(self) -> None:
        """Stop; what is under way is finished. Idempotent."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread.ident is not None:
            self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def _run(self) -> None:
        while True:
            try:
                if time.monotonic() - self._reloaded_s > _RELOAD_S:
                    self._reload()
            except TallystickError as error:
                _log.warning("witnesses_not_read", reason=for_operator(error))
            with self._condition:
                if self._stopping:
                    self._answer_waiting(everybody=True)
                    return
                self._begin_due(time.monotonic())
                self._answer_waiting()
                self._condition.wait(min(1.0, self._interval_s))

    def _reload(self) -> None:
        """Read which witnesses are configured. A witness with several keys is one pair."""
        configured: dict[Key, list[ConfiguredWitness]] = {}
        for witness in self._identity.list_of_all(ConfiguredWitness):
            configured.setdefault((witness.tenant, witness.url), []).append(witness)
        with self._condition:
            self._reloaded_s = time.monotonic()
            pairs: dict[Key, _Pair] = {}
            for key, witnesses in configured.items():
                keys = _keys(witnesses)
                known = self._pairs.get(key)
                if known is None or known.keys != keys:
                    known = self._remembered(key[0], keys)
                pairs[key] = known
            self._pairs = pairs
            self._names = {key: tuple(w.id for w in found) for key, found in configured.items()}

    def _remembered(self, tenant: str, keys: tuple[CosignatureVerifier, ...]) -> _Pair:
        """Return a pair that goes on where the last process stopped."""
        pair = _Pair(keys)
        latest = self._folder.latest(tenant)
        known = [latest[str(key)] for key in keys if str(key) in latest]
        if len(known) == len(keys) and known:
            oldest = min(known, key=lambda each: each.size)
            pair.size, pair.root = oldest.size, oldest.root
        return pair

    def _begin_due(self, now_s: float) -> list[Future[None]]:
        """Begin what is due; the condition is held."""
        jobs = []
        for key, pair in self._pairs.items():
            head = self._heads.get(key[0])
            if head is None or not pair.is_due(head, now_s, wanted=key[0] in self._waiting):
                continue
            pair.in_flight = True
            jobs.append(self._pool.submit(self._submit, key, pair, head))
        return jobs

    def _submit(self, key: Key, pair: _Pair, head: LogHead) -> None:
        """Speak with one witness, and keep what it answers."""
        conflict: WitnessConflict | None = None
        failure: str | None = None
        try:
            cosigned = self._client.cosign(head, key[1], pair.keys, pair.size)
            last = {
                str(each.verifier): LastCosignature(head.size, head.root, each.time_s, each.line)
                for each in cosigned
            }
            self._folder.add(head.tenant, head.checkpoint, last)
        except WitnessConflict as error:
            conflict, failure = error, error.message
        except TallystickError as error:
            failure = error.message if isinstance(error, WitnessFailed) else for_operator(error)
        except OSError as error:
            failure = f"the cosignature cannot be kept: {error.strerror}"
        except Exception as error:  # a thread of the pool would keep it to itself
            _log.exception("witness_failed", tenant=key[0], url=key[1])
            failure = type(error).__name__
        self._settle(key, pair, head, failure)
        if conflict is not None:
            self._report(key, conflict)

    def _settle(self, key: Key, pair: _Pair, head: LogHead, failure: str | None) -> None:
        now_s = time.monotonic()
        with self._condition:
            pair.in_flight = False
            if failure is None:
                pair.size, pair.root, pair.cosigned_s = head.size, head.root, now_s
                if pair.failures:
                    _log.info("witness_is_back", tenant=key[0], url=key[1])
                pair.failures, pair.failure = 0, None
                pair.due_s = now_s + self._interval_s
            else:
                if failure != pair.failure:
                    _log.warning("witness_failed", tenant=key[0], url=key[1], reason=failure)
                pair.failures, pair.failure = pair.failures + 1, failure
                delay_s = min(self._interval_s * 2 ** min(pair.failures, 10), _BACKOFF_S_MAX)
                pair.due_s = now_s + delay_s
            self._answer_waiting()
            self._condition.notify()

    def _report(self, key: Key, conflict: WitnessConflict) -> None:
        with self._condition:
            self.conflicts += 1
        _log.critical(
            "witness_conflict",
            tenant=key[0],
            url=key[1],
            reason=conflict.message,
            is_proven=conflict.is_proven,
        )
        self._conflict(key[0], conflict)

    def _answer_waiting(self, *, everybody: bool = False) -> None:
        """Answer those whose witnesses all cosigned or failed; the condition is held."""
        for tenant, waiting in list(self._waiting.items()):
            pairs = [pair for key, pair in self._pairs.items() if key[0] == tenant]
            left = []
            for each in waiting:
                if not everybody and any(p.size < each.size and not p.failures for p in pairs):
                    left.append(each)
                    continue
                each.done(self._count_at(tenant, each.size))
            if left:
                self._waiting[tenant] = left
            else:
                del self._waiting[tenant]


def _keys(witnesses: Sequence[ConfiguredWitness]) -> tuple[CosignatureVerifier, ...]:
    keys = []
    for witness in witnesses:
        try:
            keys.append(CosignatureVerifier.parse(witness.key))
        except VerificationError as error:
            _log.error("witness_key_damaged", witness=witness.id, reason=error.message)
    return tuple(keys)
