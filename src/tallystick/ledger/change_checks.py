"""What a revision or a retraction must find: an event of its dialect, at the revision expected."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.errors import Conflict, PreconditionFailed, TallystickError
from tallystick.events.event import Draft, Expectation, HeadSlot, Op, Resource, View
from tallystick.log.sequencer import Accepted, Outcome


def check_dialect(view: View, dialect: str) -> None:
    """Check that an event was written through a dialect.

    Raises: Conflict.
    """
    if view.first.dialect != dialect:
        raise Conflict(
            f"the event was written through {view.first.dialect} and is changed only there"
        )


def check_event(view: View) -> None:
    """Check that an entry is an event.

    Raises: Conflict.
    """
    if view.first.op is not Op.RECORD:
        raise Conflict(
            "the entry is not an event",
            hint="an item is purged through Orchestrate; other entries stay",
        )


def check_revision(view: View, expected: frozenset[int] | None) -> None:
    """Check that an event is at one of the revisions expected, if any are.

    Raises: PreconditionFailed.
    """
    if expected is not None and view.revision not in expected:
        named = ", ".join(map(str, sorted(expected)))
        raise PreconditionFailed(f"the event is at revision {view.revision}, not {named}")


def retraction(view: View, dialect: str, actor: Resource | None) -> Draft:
    """Return what stops an event from being shown, if nobody changes it before."""
    return Draft(
        kind=view.first.kind,
        op=Op.RETRACT,
        subject=view.first.id,
        actor=actor,
        original={"revision": view.revision},
        dialect=dialect,
        expects=(revision_expected(view),),
    )


def revision_expected(view: View) -> Expectation:
    """Return the condition that an event is still at the revision that `view` shows."""
    index = None if view.revision == view.index else view.revision
    return Expectation(HeadSlot.REVISION, "event", view.first.id, index)


def all_accepted(outcomes: Sequence[Outcome]) -> list[Accepted]:
    """Return where all of some items were stored.

    Raises: the error of the first that was not.
    """
    accepted: list[Accepted] = []
    for outcome in outcomes:
        if isinstance(outcome, TallystickError):
            raise outcome
        accepted.append(outcome)
    return accepted
