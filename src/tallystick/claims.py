"""Claims: what makes a retry safe. A tenant's log has at most one entry for each.

A draft comes with the digest of the request beside each claim: where the claim is taken, the same
digest is answered with the entry that has it, another one is refused. Dialects whose ids are
claims of their own make those themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from tallystick import entry, limits
from tallystick.errors import Malformed


def claim_of_id(event_id: str) -> bytes:
    """Return the claim that makes a client-chosen event id unique."""
    return b"i" + bytes.fromhex(event_id.replace("-", ""))


def claims_of_key(
    idempotency_key: str | None, body: object, line: int = 1
) -> tuple[tuple[bytes, bytes], ...]:
    """Return the claim of an Idempotency-Key over what came with it; none without a key.

    Each line of a stream has a claim of its own. What comes alone is a first line, so that the same
    key in another form is noticed.
    Raises: Malformed when the key is empty or too long.
    """
    if idempotency_key is None:
        return ()
    return ((_claim_of_key(check_key(idempotency_key), line), entry.digest_of(body)),)


def claims_of_list(
    idempotency_key: str | None, events: Sequence[object]
) -> list[tuple[tuple[bytes, bytes], ...]]:
    """Return the claims of each event of a list: one of its own, over the whole list.

    Raises: Malformed when the key is empty or too long.
    """
    if idempotency_key is None:
        return [()] * len(events)
    text, digest = check_key(idempotency_key), entry.digest_of(events)
    return [((_claim_of_key(text, line), digest),) for line in range(1, len(events) + 1)]


def check_key(idempotency_key: str) -> bytes:
    """Let an Idempotency-Key pass that is neither empty nor too long; return its bytes.

    Raises: Malformed.
    """
    text = idempotency_key.encode("utf-8", "surrogatepass")
    if not 0 < len(text) <= limits.NAME_BYTES:
        raise Malformed(
            f"an Idempotency-Key has 1 to {limits.NAME_BYTES} bytes", path="Idempotency-Key"
        )
    return text


def _claim_of_key(text: bytes, line: int) -> bytes:
    suffix = b"" if line == 1 else b"\n%d" % line
    return b"k" + sha256(text + suffix).digest()
