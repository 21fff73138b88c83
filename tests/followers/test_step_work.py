"""A follower that goes through logs in steps: in turn, and past the logs that fail."""

from __future__ import annotations

import pytest

from tallystick.errors import StoreBusy, StoreCorrupt, StoreFailed
from tallystick.followers import step_work
from tallystick.followers.messages import FollowerOrder
from tallystick.followers.step_work import StepWork


class CountedSteps:
    """Counts steps by tenant and fails as it is told."""

    def __init__(self, **backlog: int) -> None:
        self.taken: list[str] = []
        self.failing: dict[str, list[Exception]] = {}
        self.backlog = backlog
        self.done: dict[str, int] = {}

    def follows(self, tenant: str) -> bool:
        """Follow all tenants but one."""
        return tenant != "stranger"

    def step(self, tenant: str) -> bool:
        """Take one of the steps that are left."""
        self.taken.append(tenant)
        if self.failing.get(tenant):
            raise self.failing[tenant].pop(0)
        self.done[tenant] = self.done.get(tenant, 0) + 1
        return self.done[tenant] < self.backlog[tenant]

    def position(self, tenant: str) -> int:
        """Return how many steps were taken."""
        return self.done.get(tenant, 0)

    def close(self) -> None:
        """Release nothing."""


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_work, "INTERVAL_S", 0.0)
    monkeypatch.setattr(step_work, "RETRY_S", 0.0)


def cursors_after(work: StepWork, turns: int) -> dict[str, int]:
    """Return what was reported in some turns."""
    reported: dict[str, int] = {}
    for _ in range(turns):
        report = work.turn()
        reported |= {} if report is None else report.cursors
    assert reported.items() <= work.cursors().items()
    return reported


def test_steps_are_taken_in_turn_until_nothing_is_left() -> None:
    steps = CountedSteps(a=3, b=3)
    work = StepWork("steps", steps)
    work.hear(FollowerOrder(heads={"a": 3, "b": 3, "stranger": 7}))
    assert cursors_after(work, 1) == {"a": 1, "b": 1, "stranger": 7}
    assert work.patience_s() == 0.0
    cursors_after(work, 4)
    assert steps.taken == ["a", "b"] * 3
    assert dict(work.cursors()) == {"a": 3, "b": 3, "stranger": 7}
    assert work.patience_s() > 0.0


@pytest.mark.parametrize("error", [StoreBusy(), StoreFailed(), StoreCorrupt(), ValueError("x")])
def test_failure_of_one_log_holds_up_no_other(error: Exception) -> None:
    steps = CountedSteps(a=1, b=1)
    steps.failing = {"a": [error, error]}
    work = StepWork("steps", steps)
    work.hear(FollowerOrder(heads={"a": 1, "b": 1}))
    assert cursors_after(work, 1)["b"] == 1
    cursors_after(work, 3)
    assert steps.taken == ["a", "b", "a", "a"]
    assert dict(work.cursors()) == {"a": 1, "b": 1}


def test_failed_log_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_work, "RETRY_S", 60.0)
    steps = CountedSteps(a=1)
    steps.failing = {"a": [StoreFailed()]}
    work = StepWork("steps", steps)
    work.hear(FollowerOrder(heads={"a": 1}))
    cursors_after(work, 3)
    assert steps.taken == ["a"]
    assert work.patience_s() == 60.0


def test_doubt_has_every_log_looked_at() -> None:
    steps = CountedSteps(a=1, b=1)
    work = StepWork("steps", steps)
    work.hear(FollowerOrder(heads={"a": 1, "b": 1}))
    cursors_after(work, 2)
    work.hear(FollowerOrder(check=1))
    work.turn()
    assert steps.taken == ["a", "b", "a", "b"]
