"""`check_log`: what every test that writes ends in."""

from __future__ import annotations

from tallystick.log.keys import LogKey
from tallystick.maintenance import fsck
from tallystick.store.base import Store


def check_log(store: Store, key: LogKey) -> fsck.Report:
    """Recompute everything of every log in `store` and fail at the first difference."""
    report = fsck.check(store, lambda origin: key.signer(origin).verifier)
    assert report.difference is None, report.difference
    return report
