"""Checking that a log only grew since it was last looked at.

The checkpoint must be signed by the pinned key, and a consistency proof must lead from the
remembered head to it. The proof is made here, from the log's hash tiles, or taken from the server:
either way it is verified here and needs no trust. Source: RFC 6962 section 2.1.2; C2SP tlog-tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from tallystick.client.remembered_heads import PinnedHeads
from tallystick.errors import (
    BadConsistencyProof,
    BadSignature,
    Malformed,
    MalformedNote,
    NotFound,
    SettingsError,
    StoreCorrupt,
    VerificationError,
)
from tallystick.tlog import tile
from tallystick.tlog.checkpoint import Checkpoint, open_checkpoint
from tallystick.tlog.note import Verifier
from tallystick.tlog.proof import consistency_proof, verify_consistency
from tallystick.tlog.rotation import follow_rotations

Fetch = Callable[[str], bytes | None]
"""Returns the bytes at a path below a log's prefix, None where nothing is."""


class ShownLog(Protocol):
    """A log as somebody shows it."""

    note: str
    """Its newest checkpoint."""
    needs_credential: bool
    """Whether a credential decides which log is shown."""

    def key(self) -> str | None:
        """Return the verifier key that it names as its own."""

    def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """Return the proof that it only grew between two sizes, unverified."""

    def rotations(self) -> list[str]:
        """Return the statements of its key's rotations, oldest first, unverified."""


class CheckedLog(NamedTuple):
    """A log that only grew, as far as one can see."""

    key: Verifier
    note: str
    old: Checkpoint | None
    """The head that was remembered, None on the first contact."""
    new: Checkpoint
    pinned_now: bool
    """Whether the key was taken from the log itself, because none was pinned."""


def check_log(
    log: ShownLog, heads: PinnedHeads, place: str, url: str, pin: Verifier | None = None
) -> CheckedLog:
    """Compare a log with what is remembered of it; remember its key, but not yet its head.

    Raises: BadConsistencyProof for a log that was rewound or forked; BadSignature for another log
    or key than the pinned one; other VerificationErrors when what is shown does not hold;
    SettingsError.
    """
    known = heads.key_at(place)
    key = _followed(log, heads, pin or known or _offered(log, heads))
    new = _opened(log.note, key)
    old = heads.head(key)
    if known != key:
        heads.pin(place, url, key)
    if old is not None:
        _require_growth(log, heads, key, old, new)
    return CheckedLog(key, log.note, old, new, pin is None and old is None)


def origin_of(note: str) -> str:
    """Return the name that a checkpoint gives its log, unverified."""
    return note.partition("\n")[0]


def _offered(log: ShownLog, heads: PinnedHeads) -> Verifier:
    """Return the key that an unknown log names; a known log keeps the one that it had."""
    text = log.key()
    if text is None:
        raise SettingsError(
            "the log does not say which key verifies it", hint="pass the key with --pin"
        )
    key = Verifier.parse(text.strip())
    known = heads.keys_of(origin_of(log.note))
    if known and key not in known:
        # Not taken from there: statements by both keys may lead from the pinned one to it.
        return known[0]
    return key


def _followed(log: ShownLog, heads: PinnedHeads, key: Verifier) -> Verifier:
    """Return the key that signs the log now, if statements by both keys lead there from `key`."""
    if origin_of(log.note) != key.name or _is_signed(log.note, key):
        return key
    new = follow_rotations(log.rotations(), key)
    if new != key:
        heads.carry_over(key, new)
    return new


def _is_signed(note: str, key: Verifier) -> bool:
    try:
        open_checkpoint(note, [key], key.name)
    except BadSignature:
        return False
    return True


def _opened(note: str, key: Verifier) -> Checkpoint:
    origin = origin_of(note)
    if origin != key.name:
        raise BadSignature(
            f"another log: {origin!r} is shown where {key.name!r} is pinned",
            hint="if that is right, give the key of the new log with --pin",
        )
    try:
        return open_checkpoint(note, [key], key.name)
    except BadSignature as error:
        raise BadSignature(
            f"another key: the checkpoint of {origin!r} is not signed by the pinned key {key}",
            hint="if the key was changed openly, its operator says so by another way",
        ) from error


def _require_growth(
    log: ShownLog, heads: PinnedHeads, key: Verifier, old: Checkpoint, new: Checkpoint
) -> None:
    """Raise BadConsistencyProof unless `new` continues `old`, having kept both."""
    if new.size < old.size:
        kept = heads.keep_conflict(key, log.note)
        raise BadConsistencyProof(
            f"rewound: the log {key.name!r} showed {old.size:,} entries before and shows "
            f"{new.size:,} now",
            hint=_evidence(heads, key, kept),
        )
    try:
        proof = log.consistency(old.size, new.size) if old.root != new.root else []
        verify_consistency(old.size, old.root, new.size, new.root, proof)
    except BadConsistencyProof as error:
        kept = heads.keep_conflict(key, log.note)
        raise BadConsistencyProof(
            f"forked: the log {key.name!r} of {new.size:,} entries does not continue the "
            f"{old.size:,} entries that it showed before ({error.message})",
            hint=_evidence(heads, key, kept),
        ) from error


def _evidence(heads: PinnedHeads, key: Verifier, kept: object) -> str:
    return f"{heads.path_of(key)} and {kept} are both signed by the log and prove it: keep them"


class _Rotations(msgspec.Struct):
    rotations: list[str]


def parse_rotations(data: bytes) -> list[str]:
    """Return the statements that a log shows. Raises: MalformedNote."""
    try:
        return msgspec.json.decode(data, type=_Rotations).rotations
    except msgspec.DecodeError as error:
        raise MalformedNote("the log shows no list of rotations") from error


class TiledLog:
    """A log in the form of C2SP tiles, below a prefix that `fetch` knows."""

    needs_credential = False

    def __init__(self, fetch: Fetch, note: str) -> None:
        self._fetch = fetch
        self.note = note

    def key(self) -> str | None:
        """Return the verifier key beside the checkpoint, which not every log has there."""
        data = self._fetch("/log.vkey")
        return None if data is None else data.decode("utf-8", "replace")

    def rotations(self) -> list[str]:
        """Return the statements beside the checkpoint, none where there are none."""
        data = self._fetch("/rotations")
        return [] if data is None else parse_rotations(data)

    def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """Return the proof that tiles give. Raises: VerificationError where tiles are missing."""
        try:
            return consistency_proof(old_size, new_size, self)
        except (NotFound, StoreCorrupt) as error:
            raise VerificationError(
                f"the log does not serve the tiles that its checkpoint covers: {error.message}"
            ) from error

    def hashes(self, level: int, start: int, count: int) -> list[bytes]:
        """Return `count` hashes of a level from `start` on. Raises: NotFound."""
        number = start // tile.TILE_WIDTH
        path = tile.path(level, number, count)
        data = self._fetch(f"/tile/{path}")
        if data is None and count < tile.TILE_WIDTH:
            # A partial tile may go once the complete one is there.
            data = self._fetch(f"/tile/{tile.path(level, number)}")
        if data is None:
            raise NotFound(f"tile {path}")
        try:
            return tile.split_hashes(data)[:count]
        except Malformed as error:
            raise StoreCorrupt(f"tile {path}: {error.message}") from error
