"""How long commits pause for followers that are far behind: a share of the time, not until a count.

More would slow a burst, whose writers wait, for the sake of reads that can say how far they are.
"""

from __future__ import annotations

FOLLOWERS_SHARE = 0.1
PAUSE_S_MAX = 0.010


def pause_s(took_s: float) -> float:
    """Return how long to pause after a commit that took so long."""
    return min(took_s * FOLLOWERS_SHARE, PAUSE_S_MAX)
