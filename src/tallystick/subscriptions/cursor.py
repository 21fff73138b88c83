"""The text that a reader of a log goes on from: opaque, of any age, good on every server.

It names a log and a position in it, and the leaf before that position, so that it is refused with
another log and with one that was set back and went on differently. It is not secret and not
signed: it lets its holder read nothing that a filter and the holder's rights do not let pass.
"""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import sha256

from tallystick.errors import Conflict, Malformed
from tallystick.events.entry import recorded_ms_of
from tallystick.store.base import LogHead, Store
from tallystick.subscriptions.changes import LogPosition

# Version, log, index, part, leaf.
_FORM = struct.Struct(">B8sQI8s")
_VERSION = 1
_CHARS = (_FORM.size * 8 + 5) // 6
_INDEX_MAX = 2**53


def encode(origin: str, position: LogPosition) -> str:
    """Return the cursor of a position in the log with this origin.

    Shape: 39 characters of the URL-safe base64 alphabet.
    """
    index, part, leaf = position
    body = _FORM.pack(_VERSION, _log_mark(origin), index, part, leaf[:8])
    return urlsafe_b64encode(body).rstrip(b"=").decode()


def resume(store: Store, head: LogHead, text: str) -> LogPosition:
    """Return the position that a cursor names in a log, with its whole leaf hash.

    Raises: Malformed when it is no cursor of ours, or one of another log; Conflict when the log
    does not reach that far, or is another one up to there.
    Cost: one point read.
    """
    log, index, part, leaf = _decode(text)
    if log != _log_mark(head.origin):
        raise Malformed(
            "the cursor belongs to another log",
            path="cursor",
            hint="start again without a cursor",
        )
    if index > head.size or (index == head.size and part):
        raise Conflict(
            f"the cursor is at entry {index}, and the log has {head.size}",
            hint="the log was restored to an older state; start again without a cursor",
        )
    position = at(store, head.tenant, index)._replace(part=part)
    if position.leaf[:8].ljust(8, b"\0") != leaf:
        raise Conflict(
            f"the log contradicts the cursor before entry {index}",
            hint="the log was restored to an older state; start again without a cursor",
        )
    return position


def at(store: Store, tenant: str, index: int) -> LogPosition:
    """Return the position before an entry of a log.

    Cost: one point read.
    """
    leaves = store.leaves(tenant, index - 1, index) if index else []
    return LogPosition(index, 0, leaves[0] if leaves else b"")


def since(store: Store, head: LogHead, recorded_ms: int) -> LogPosition:
    """Return the position before the first entry that was recorded at a time or later.

    Cost: a point read for each time that the log can be halved.
    """
    low, high = 0, head.size
    while low < high:
        middle = (low + high) // 2
        (known,) = store.entries(head.tenant, middle, middle + 1)
        if recorded_ms_of(known) < recorded_ms:
            low = middle + 1
        else:
            high = middle
    return at(store, head.tenant, low)


def _decode(text: str) -> tuple[bytes, int, int, bytes]:
    try:
        body = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        version, log, index, part, leaf = _FORM.unpack(body)
    except (Base64Error, ValueError, struct.error):
        raise _not_a_cursor() from None
    if len(text) != _CHARS or version != _VERSION or index > _INDEX_MAX:
        raise _not_a_cursor()
    return log, index, part, leaf


def _not_a_cursor() -> Malformed:
    return Malformed(
        "not a cursor of a live tail or a following page",
        path="cursor",
        hint="send back the last id or next that was received, or start again without a cursor",
    )


def _log_mark(origin: str) -> bytes:
    return sha256(origin.encode("utf-8", "surrogatepass")).digest()[:8]
