"""A follower that goes through each log a step at a time, as its loop drives it.

Rounds come at intervals, so that under load one step is for many entries. A tenant whose step
failed is left alone for a while, so that it holds up no other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

import structlog

from tallystick.errors import Pushback, TallystickError, for_operator
from tallystick.followers.messages import FollowerOrder, FollowerReport

GATHER_S = 0.02
INTERVAL_S = 0.05
"""Time between two rounds: entries gather in it."""

RETRY_S = 5.0
"""Time until a tenant is tried again whose step failed."""

_IDLE_S = 60.0

_log = structlog.get_logger("tallystick.followers")


class Steps(Protocol):
    """What is done with each log; its cursors are kept with what it does."""

    def follows(self, tenant: str) -> bool:
        """Tell whether a tenant's log is followed; one that was followed once stays so."""

    def step(self, tenant: str) -> bool:
        """Take one step; tell whether there is more to do. Checks its cursor by the cursor law."""

    def position(self, tenant: str) -> int:
        """Return up to where a log is followed."""

    def close(self) -> None:
        """Release what it holds; idempotent."""


class StepWork:
    """Takes steps for the tenants whose logs have grown, in turn; used by one thread."""

    gather_s = GATHER_S

    def __init__(self, name: str, steps: Steps) -> None:
        self._name = name
        self._steps = steps
        self._heads: dict[str, int] = {}
        self._cursors: dict[str, int] = {}
        self._behind: set[str] = set()
        self._followed: set[str] = set()
        # When the latest step of a tenant failed.
        self._failed: dict[str, float] = {}
        self._next_round_s = 0.0

    def cursors(self) -> Mapping[str, int]:
        """Return for each tenant up to where its log is followed; to its head where it is not."""
        return self._cursors

    def hear(self, order: FollowerOrder) -> None:
        """Note which logs have grown; in doubt, look at every one: a step checks its cursor."""
        self._heads |= order.heads
        self._behind |= self._heads.keys() if order.check else order.heads.keys()

    def patience_s(self) -> float:
        """Return how long to wait for an order."""
        if self._behind - self._failed.keys():
            return max(0.0, self._next_round_s - time.monotonic())
        return RETRY_S if self._failed else _IDLE_S

    def turn(self) -> FollowerReport | None:
        """Take a step for each tenant that is behind; return how far they are."""
        now_s = time.monotonic()
        if now_s < self._next_round_s:
            return None
        for tenant in [t for t, since_s in self._failed.items() if now_s - since_s >= RETRY_S]:
            del self._failed[tenant]
        moved: dict[str, int] = {}
        # One step each: no tenant waits for another one's backlog.
        for tenant in sorted(self._behind - self._failed.keys()):
            if not self._goes_on(tenant):
                self._behind.discard(tenant)
            at = self._position(tenant)
            if at is not None and self._cursors.get(tenant) != at:
                moved[tenant] = self._cursors[tenant] = at
        if not self._behind - self._failed.keys():
            self._next_round_s = time.monotonic() + INTERVAL_S
        return FollowerReport(cursors=moved) if moved else None

    def tidy(self) -> None:
        """Do nothing: a step leaves nothing behind."""

    def close(self) -> None:
        """Release what the steps hold; idempotent."""
        self._steps.close()

    def _goes_on(self, tenant: str) -> bool:
        """Take one step for a tenant; tell whether it needs another one, now or later."""
        try:
            return self._follows(tenant) and self._steps.step(tenant)
        except Pushback:
            return True
        except TallystickError as error:
            _log.error(
                "follower_stands_still",
                follower=self._name,
                tenant=tenant,
                reason=for_operator(error),
            )
        except Exception:
            _log.exception("follower_stands_still", follower=self._name, tenant=tenant)
        self._failed[tenant] = time.monotonic()
        return True

    def _position(self, tenant: str) -> int | None:
        """Return how far a tenant's log is followed; None while the store does not say."""
        try:
            if tenant not in self._followed:
                return self._heads[tenant]
            return min(self._steps.position(tenant), self._heads[tenant])
        except TallystickError:
            return None

    def _follows(self, tenant: str) -> bool:
        if tenant not in self._followed and self._steps.follows(tenant):
            self._followed.add(tenant)
        return tenant in self._followed
