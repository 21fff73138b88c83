"""Writing to a store inside a transaction that the test holds open itself."""

from __future__ import annotations

from tallystick.clock import ManualClock
from tallystick.events.entry import prepare
from tallystick.events.event import Draft
from tallystick.log.commit_plan import Item, Planner, Work
from tallystick.log.keys import LogKey
from tallystick.store.base import Erasure, IdentityWrite, Store, TenantCommit, Writer
from tests.support.recording import draft, origin_of

KEY = LogKey.generate()


class Interrupted(Exception):
    """Something of the caller's own that ends a transaction."""


def extend(
    writer: Writer,
    tenant: str,
    *drafts: Draft,
    identity: tuple[IdentityWrite, ...] = (),
    erasures: tuple[Erasure, ...] = (),
    tiles: bool = True,
) -> TenantCommit:
    """Append drafts (one, if none is given) to a tenant's log and return what was written."""
    head = writer.head(tenant)
    planner = Planner(writer, tenant, head, ManualClock().now_ms())
    items = [Item(prepare(each)) for each in drafts or (draft(),)]
    items[0] = items[0]._replace(identity=identity, erasures=erasures)
    planner.add([Work(tenant, items, lambda _: None)])
    if not tiles:
        planner._tiles = lambda leaves: []  # type: ignore[method-assign]
    commit = planner.finish(KEY.signer(origin_of(tenant)))
    writer.append(commit)
    return commit


def extend_and_fail(
    store: Store, *tenants: str, drafts: tuple[Draft, ...] = (), erasures: tuple[Erasure, ...] = ()
) -> None:
    """Append to tenants' logs in one transaction that then fails, having seen its own writes.

    Raises: Interrupted, always.
    """
    with store.transaction() as writer:
        for tenant in tenants:
            commit = extend(writer, tenant, *drafts, erasures=erasures)
            assert len(writer.leaves(tenant, commit.old_size, commit.head.size)) > 0
        raise Interrupted
