"""What a revision or a retraction must find: an event of its dialect, at the revision expected."""

from __future__ import annotations

from tallystick.errors import (
    Conflict,
    PreconditionFailed,
)
from tallystick.events.event import View


def check_dialect(view: View, dialect: str) -> None:
    """Check that an event was written through a dialect.

    Raises: Conflict.
    """
    if view.first.dialect != dialect:
        raise Conflict(
            f"the event was written through {view.first.dialect} and is changed only there"
        )


def check_revision(view: View, expected: frozenset[int] | None) -> None:
    """Check that an event is at one of the revisions expected, if any are.

    Raises: PreconditionFailed.
    """
    if expected is not None and view.revision not in expected:
        named = ", ".join(map(str, sorted(expected)))
        raise PreconditionFailed(f"the event is at revision {view.revision}, not {named}")
