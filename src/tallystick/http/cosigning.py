"""Requests that wait until witnesses have cosigned what they stored: `Prefer: wait=5`.

What was stored is stored; waiting only tells how many cosignatures cover it by then.
Source: RFC 7240 section 4.3.
"""

from __future__ import annotations

import asyncio
import re

from tallystick.witness.submit import Submitter

_WAIT_S_MAX = 30
_WAIT = re.compile(rb'(?:^|,)[ \t]*wait[ \t]*=[ \t]*"?([0-9]{1,6})"?[ \t]*(?:;|,|$)', re.IGNORECASE)


def wanted_wait_s(prefer: bytes) -> int | None:
    """Return how many seconds a request would wait, by its header `Prefer`; None for none."""
    match = _WAIT.search(prefer)
    return None if match is None else min(int(match[1]), _WAIT_S_MAX)


async def count_cosigned(witnesses: Submitter | None, tenant: str, size: int, wait_s: float) -> int:
    """Return how many keys of witnesses have cosigned a log at `size`, after `wait_s` at most."""
    if witnesses is None:
        return 0
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[int] = loop.create_future()

    def answer(count: int) -> None:
        # The request may have given up, or be gone.
        if not answered.done():
            answered.set_result(count)

    def done(count: int) -> None:
        loop.call_soon_threadsafe(answer, count)

    witnesses.when_cosigned(tenant, size, done)
    try:
        return await asyncio.wait_for(answered, wait_s)
    except TimeoutError:
        return witnesses.count_at(tenant, size)
