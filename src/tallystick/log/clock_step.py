"""How far ahead the clock of a server may be of the one where its logs are kept.

`recorded_at` never goes back along a log. A server whose clock is a day ahead for a second would
give a day of other servers' events one and the same time: it is refused to write, and told so.
"""

from __future__ import annotations

from tallystick import limits
from tallystick.errors import StoreFailed


def require_in_step(ours_ms: int, theirs_ms: int | None) -> None:
    """Check that our clock is not ahead of the store's, where that has one of its own.

    Raises: StoreFailed.
    """
    if theirs_ms is None or ours_ms - theirs_ms <= limits.CLOCK_AHEAD_MS:
        return
    ahead_s = (ours_ms - theirs_ms) / 1000
    raise StoreFailed(
        f"the clock of this server is {ahead_s:,.0f} s ahead of the database's",
        hint="nothing is written until the clocks agree: let NTP set them on both machines",
    )
