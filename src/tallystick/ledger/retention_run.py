"""Carrying retention out: runs in bounded commits, and the entry that each run leaves."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tallystick.errors import NotFound, PreconditionFailed, StoreBusy, TallystickError, UnderHold
from tallystick.events import entry, erased_sections
from tallystick.events.entry import SECTIONS
from tallystick.events.event import Draft, Expectation, HeadSlot, Json, Op, Resource
from tallystick.identity import policy_acts, records
from tallystick.identity.policies import RetentionPolicy
from tallystick.ledger.blob_erasure import erase_unnamed
from tallystick.ledger.blobs import Blobs
from tallystick.ledger.erasure import ForgottenClaims, present_sections, with_revisions
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.retention import (
    KIND,
    DueEvents,
    DueSelection,
    PolicyPlan,
    RetentionPlan,
    fingerprint,
)
from tallystick.log.commit_plan import Item
from tallystick.store.base import (
    Erasure,
    IdentityWrite,
    LogHead,
    ResourceHead,
    Store,
    head_key,
)
from tallystick.tlog.encoding import to_base64

BY_ITSELF = Resource("operator", "retention")
"""Who removes what is due when nobody asked for it."""

RANGES_MAX = 5_000
"""Ranges that one entry of a run names; a run that removes more of them leaves several entries."""

_CLAIMS_AHEAD = 16_384
_TRIES = 5
_PAUSE_S_MAX = 0.5
_blob_name = re.compile(rb"blobs/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})").findall


class _Run(NamedTuple):
    """What entries of one run have in common."""

    id: str
    head: LogHead
    by: Resource

    def told(self, policy: str) -> Json:
        """Return what each entry of the run tells: which policy, and the log before the run."""
        root = to_base64(self.head.root)
        return {"policy": policy, "run": self.id, "size": self.head.size, "root": root}


class Retention:
    """Keeps and carries out the policies of all tenants; safe to share between threads."""

    def __init__(self, ledger: Ledger, blobs: Blobs) -> None:
        self._ledger = ledger
        self._store = ledger.store
        self._blobs = blobs
        # One run at a time: each commit of one is followed by a pause for those who write.
        self._turn = threading.Lock()
        # By tenant, of runs by themselves: up to where nothing is left to look for, under what.
        self._settled: dict[str, tuple[tuple[object, ...], int]] = {}
        self._stopping = threading.Event()

    def policies(self, tenant: str | None) -> list[RetentionPolicy]:
        """Return the policies of a tenant, or (None) of all, by id."""
        rows = self._store.identities(tenant, KIND)
        return [records.decode(row.doc, RetentionPolicy) for row in rows]

    def policy(self, tenant: str, id: str) -> RetentionPolicy:
        """Return a policy.

        Raises: NotFound.
        """
        row = records.stored(self._store, RetentionPolicy, tenant, id)
        if row is None:
            raise NotFound(f"no such retention policy {id!r}")
        return records.decode(row.doc, RetentionPolicy)

    def set_policy(self, policy: RetentionPolicy, *, confirm: bool) -> RetentionPolicy:
        """Make or replace a policy.

        Raises: Malformed, InvalidQuery; Conflict when it keeps less and is not confirmed.
        """
        changed = self._ledger.changes.carry_out(
            RetentionPolicy,
            policy.tenant,
            policy.id,
            lambda known: policy_acts.set_policy(known, policy, confirm=confirm),
        )
        assert changed is not None, "it was just set"
        return changed

    def delete_policy(
        self, tenant: str, id: str, *, by: Resource, reason: str | None, confirm: bool
    ) -> None:
        """End a policy; what it removed stays removed.

        Raises: NotFound; Conflict when its floor is to be given up and that is not confirmed.
        """
        self._ledger.changes.carry_out(
            RetentionPolicy,
            tenant,
            id,
            lambda known: policy_acts.delete_policy(
                known, id, by=by, reason=reason, confirm=confirm
            ),
        )

    def plan(
        self, tenant: str, *, policy: str | None = None, confirm: bool = False
    ) -> RetentionPlan:
        """Return what a run would remove now.

        Raises: NotFound for an unknown policy; InvalidQuery.
        Cost: one read of the log up to the youngest event that is old enough.
        """
        selection = self._selection(tenant, policy, confirm=confirm)
        for _ in selection:
            pass
        return selection.plan

    def run(
        self,
        tenant: str,
        *,
        by: Resource,
        policy: str | None = None,
        confirm: bool = False,
    ) -> tuple[str, RetentionPlan]:
        """Remove what is due, and return the id of the run and what it removed.

        Raises: NotFound for an unknown policy; InvalidQuery; StoreBusy, SequencerFull when it is to
        be tried again: what was removed until then stays removed.
        """
        with self._turn:
            selection = self._selection(tenant, policy, confirm=confirm)
            run = _Run(secrets.token_hex(8), selection.plan.head, by)
            self._carry_out(selection, run)
            return run.id, selection.plan

    def run_due(self, now_ms: int, interval_ms: int) -> list[tuple[str, TallystickError]]:
        """Run every policy whose last run is an interval ago; return what failed, and why."""
        failed: list[tuple[str, TallystickError]] = []
        waiting: set[str] = set()
        for policy in self.policies(None):
            # A clock that was ahead at the last run must not keep the next one away.
            if not 0 <= now_ms - (policy.run_ms or 0) < interval_ms:
                waiting.add(policy.tenant)
        for tenant in sorted(waiting):
            if self._stopping.is_set():
                break
            try:
                self._run_by_itself(tenant)
            except TallystickError as error:
                failed.append((tenant, error))
        return failed

    def stop(self) -> None:
        """Let a long run end after the commit under way; the next one goes on."""
        self._stopping.set()

    def _run_by_itself(self, tenant: str) -> None:
        with self._turn:
            rules = fingerprint(self._store, tenant, self.policies(tenant))
            known, start = self._settled.get(tenant, (None, 0))
            selection = self._selection(tenant, None, start=start if known == rules else 0)
            self._carry_out(selection, _Run(secrets.token_hex(8), selection.plan.head, BY_ITSELF))
            if not self._stopping.is_set():
                self._settled[tenant] = (rules, selection.settled)

    def _selection(
        self, tenant: str, policy: str | None, *, confirm: bool = False, start: int = 0
    ) -> DueSelection:
        if policy is not None:
            self.policy(tenant, policy)
        head = self._store.log_head(tenant)
        if head is None:
            raise NotFound(f"no such tenant: {tenant!r}")
        return DueSelection(
            self._store,
            self._ledger.holds,
            self.policies(tenant),
            head,
            system_ms=self._ledger.clock.now_ms(),
            only=policy,
            confirm=confirm,
            start=start,
        )

    def _carry_out(self, selection: DueSelection, run: _Run) -> None:
        """Remove what a selection yields, in commits with pauses between them."""
        blobs: set[str] = set()
        claims = _ClaimsAhead(self._store, run.head.tenant)
        noted = {name: 0 for name in selection.plan.policies}
        started_s = time.monotonic()
        for number, due in enumerate(selection):
            if number and self._stopping.wait(min(time.monotonic() - started_s, _PAUSE_S_MAX)):
                break
            started_s = time.monotonic()
            blobs |= self._remove(run, due, claims)
            plan = selection.plan.policies[due.policy.id]
            if len(plan.ranges) - noted[due.policy.id] >= RANGES_MAX:
                self._note(run, plan, noted[due.policy.id], is_last=False)
                noted[due.policy.id] = len(plan.ranges)
        if blobs:
            erase_unnamed(self._ledger, self._blobs, run.head.tenant, blobs, actor=run.by)
        self._ledger.settle()
        for name, plan in selection.plan.policies.items():
            self._note(run, plan, noted[name], is_last=True)

    def _remove(self, run: _Run, due: DueEvents, claims: _ClaimsAhead) -> set[str]:
        """Remove some events in one commit; return the blobs that their content named."""
        tenant, store = run.head.tenant, self._store
        indexes = [view.index for view in due.views]
        ids = [view.first.id for view in due.views]
        for _ in range(_TRIES):
            # Heads before content: a revision that comes in between makes the commit fail.
            heads = store.resource_heads(tenant, list(map(_revision_key, ids)))
            rows = store.rows_at(tenant, with_revisions(store, tenant, indexes))
            told = erased_sections.encode_rows((index, SECTIONS) for index in sorted(rows))
            erasures = tuple(
                Erasure(row.index, present)
                for row in sorted(rows.values())
                if (present := present_sections(row))
            )
            draft = Draft(
                kind="erase",
                op=Op.ERASE,
                actor=run.by,
                target=Resource(KIND, due.policy.id),
                data={**run.told(due.policy.id), **told},
                expects=tuple(_expected(id, heads.get(_revision_key(id))) for id in ids),
            )
            item = Item(
                entry.prepare(draft),
                erasures=erasures,
                forgotten=claims.of(erasures),
                touched=lambda: indexes,
                removed=tuple(ids),
            )
            try:
                self._ledger.append_all(tenant, [item], settle=False)
            except PreconditionFailed:
                continue
            except UnderHold as error:
                raise StoreBusy("a legal hold was placed meanwhile", hint="run again") from error
            return {name.decode() for row in rows.values() for name in _names_in(row.sections)}
        raise StoreBusy("events that are due are being changed", hint="run again")

    def _note(self, run: _Run, plan: PolicyPlan, start: int, *, is_last: bool) -> None:
        """Record what a run removed by one policy, from its range `start` on."""
        tenant = run.head.tenant
        ranges = plan.ranges[start:]
        count = sum(stop - first for first, stop in ranges)
        row = records.stored(self._store, RetentionPolicy, tenant, plan.policy)
        writes: tuple[IdentityWrite, ...] = ()
        if row is not None:
            known = records.decode(row.doc, RetentionPolicy)
            after = msgspec.structs.replace(
                known,
                runs=known.runs + int(is_last),
                run_ms=self._ledger.clock.now_ms(),
                removed=known.removed + count,
            )
            writes = (records.to_write(after)._replace(replaces=row.doc),)
        told: Json = {**run.told(plan.policy), "count": count, "ranges": ranges}
        if is_last:
            told |= {"blocked": plan.blocked, "left": plan.left}
        draft = Draft(
            kind="retention.run",
            op=Op.SYSTEM,
            actor=run.by,
            target=Resource(KIND, plan.policy),
            data=told,
        )
        self._ledger.append_all(tenant, [Item(entry.prepare(draft), writes)])


class _ClaimsAhead:
    """The claims of what is removed, looked up a long stretch of the log at a time."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._stop = 0
        self._claims = ForgottenClaims(store, tenant, ())

    def of(self, erasures: Sequence[Erasure]) -> tuple[bytes, ...]:
        """Return the claims that go with the content of entries, asked for in their order."""
        beyond = [each.index for each in erasures if each.index >= self._stop]
        if not beyond:
            return self._claims.of(erasures)
        # Revisions stand far behind their events, and are looked up by themselves.
        near = self._stop = beyond[0] + _CLAIMS_AHEAD
        far = [index for index in beyond if index >= near]
        self._claims = ForgottenClaims(
            self._store, self._tenant, [*range(erasures[0].index, near), *far]
        )
        return self._claims.of(erasures)


def _expected(id: str, head: ResourceHead | None) -> Expectation:
    return Expectation(HeadSlot.REVISION, "event", id, None if head is None else head.index)


def _revision_key(id: str) -> bytes:
    return head_key(HeadSlot.REVISION, "event", id)


def _names_in(sections: entry.Sections) -> list[bytes]:
    return [name for each in sections[3:] if each is not None for name in _blob_name(each.lower())]
