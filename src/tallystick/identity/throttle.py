"""How often secrets may be tried, by who tries and whose they are; bounded in memory.

Every attempt is counted before the work that it causes, and taken back if the secret was right: so
that a thousand attempts at once are a thousand, and one who logs in often is not one who guesses.

Three limits hold at once: for one subject (a login, a client) from one address, for one address,
and for one subject from anywhere. The last one stops guessing that is spread over many addresses,
but never the owner: an address from which the subject was right lately, or from which nobody was
wrong about it yet, is not bound by it. What a stranger costs an owner behind the same address ends
with the window.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tallystick.errors import RateLimited

WINDOW_S = 60.0
PER_PAIR = 10
PER_ADDRESS = 60
PER_SUBJECT = 100

_KEYS_MAX = 20_000
_KNOWN_S = 30 * 24 * 3600.0


class Attempt:
    """One attempt, failed until it is said to have succeeded."""

    succeeded = False


class Throttle:
    """Counts attempts at secrets; safe to share between threads."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        # Guards all that follows.
        self._lock = threading.Lock()
        self._pairs = _Window()
        self._addresses = _Window()
        self._subjects = _Window()
        # When a subject was right from an address; the latest last.
        self._known: OrderedDict[str, float] = OrderedDict()

    @contextmanager
    def attempt(self, subject: str, address: str) -> Iterator[Attempt]:
        """Count an attempt at `subject` from `address` while the block finds out if it is right.

        Raises: RateLimited, before the block, when there were too many.
        """
        pair = f"{address}\n{subject}"
        now_s = self._now_s()
        with self._lock:
            self._check(pair, subject, address, now_s)
            for window, key in self._counted(pair, subject, address):
                window.add(key, now_s)
        attempt = Attempt()
        try:
            yield attempt
        except RateLimited:
            # Nothing was tried: there was no room for it.
            self._take_back(pair, subject, address, now_s)
            raise
        finally:
            if attempt.succeeded:
                self._take_back(pair, subject, address, now_s)
                with self._lock:
                    self._remember(pair, now_s)

    def _take_back(self, pair: str, subject: str, address: str, now_s: float) -> None:
        with self._lock:
            for window, key in self._counted(pair, subject, address):
                window.take_back(key, now_s)

    def _counted(self, pair: str, subject: str, address: str) -> list[tuple[_Window, str]]:
        return [
            (self._pairs, pair),
            (self._addresses, address),
            (self._subjects, subject),
        ]

    def _check(self, pair: str, subject: str, address: str, now_s: float) -> None:
        waits = [
            self._pairs.wait_s(pair, PER_PAIR, now_s),
            self._addresses.wait_s(address, PER_ADDRESS, now_s),
        ]
        if self._pairs.count(pair, now_s) and not self._is_known(pair, now_s):
            waits.append(self._subjects.wait_s(subject, PER_SUBJECT, now_s))
        if max(waits) > 0:
            raise RateLimited("Too many failed attempts to log in", retry_after_s=max(waits))

    def _is_known(self, pair: str, now_s: float) -> bool:
        return now_s - self._known.get(pair, -_KNOWN_S) < _KNOWN_S

    def _remember(self, pair: str, now_s: float) -> None:
        self._known[pair] = now_s
        self._known.move_to_end(pair)
        if len(self._known) > _KEYS_MAX:
            self._known.popitem(last=False)


class _Window:
    """When something happened lately, by key; the key that was quiet longest is forgotten first."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, list[float]] = OrderedDict()

    def add(self, key: str, at_s: float) -> None:
        self._times[key] = [*self._recent(key, at_s), at_s]
        self._times.move_to_end(key)
        if len(self._times) > _KEYS_MAX:
            self._times.popitem(last=False)

    def take_back(self, key: str, at_s: float) -> None:
        times = self._times.get(key, [])
        if at_s in times:
            times.remove(at_s)

    def count(self, key: str, now_s: float) -> int:
        return len(self._recent(key, now_s))

    def wait_s(self, key: str, limit: int, now_s: float) -> float:
        recent = self._recent(key, now_s)
        if len(recent) < limit:
            return 0.0
        return max(WINDOW_S - (now_s - recent[-limit]), 1.0)

    def _recent(self, key: str, now_s: float) -> list[float]:
        return [at for at in self._times.get(key, ()) if now_s - at < WINDOW_S]
