"""Numbers of terms on PostgreSQL: the hashes that lists use everywhere, as signed integers."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import msgspec

from tallystick.events.dialect_rules import Rules
from tallystick.index.document import ITEM
from tallystick.index.lists.term_hash import SIGHTED, TermHasher
from tallystick.query.expr import Scalar

_OFFSET = 1 << 63

_TERMS = ""
"""The name of the spelling of terms among the versions of the dialects' rules."""
_TERMS_VERSION = 2
"""How resources are spelt in terms; lists made with an older spelling are made again."""


class Numbering:
    """The numbers of one tenant's terms; safe to share between threads."""

    def __init__(self, key: bytes) -> None:
        self._hasher = TermHasher(key)
        self._lock = threading.Lock()

    def __call__(self, field: str, value: Scalar) -> int:
        """Return the number of a term."""
        with self._lock:
            return self._hasher(field, value) - _OFFSET


class Sight:
    """Who sees an entry, as bits: bit 0 for a sighting, bit 1 for an item, then the dialects."""

    def __init__(self, rules: Rules) -> None:
        names = [SIGHTED, ITEM, *sorted(rules)]
        # Few combinations are ever seen.
        self._together: dict[tuple[str, ...], int] = {}
        self._bits: Mapping[str, int] = {name: 1 << bit for bit, name in enumerate(names)}
        versions = {name: rule.version for name, rule in rules.items()}
        versions[_TERMS] = _TERMS_VERSION
        self.fingerprint = msgspec.json.encode(versions, order="sorted")
        """What the dialects show, by name and version."""
        self.listed = frozenset(
            f"{name}.{term}" for name, rule in rules.items() for term in rule.listed.names
        )
        """The derived fields that have terms."""
        self.targets = {
            f"{name}.{term}": ids_of
            for name, rule in rules.items()
            for term, ids_of in rule.listed.targets.items()
        }
        """Those of them that say what the target is, and how its ids are read from their values."""

    def of(self, names: tuple[str, ...], *, is_sighting: bool) -> int:
        """Return the bits of everybody who sees an entry."""
        bits = self._together.get(names)
        if bits is None:
            bits = self._together[names] = sum(self._bits[name] for name in names)
        return bits | 1 if is_sighting else bits

    def bit(self, name: Scalar) -> int:
        """Return the bit of one name; 0 for a name that nobody has."""
        return self._bits.get(name, 0) if isinstance(name, str) else 0

    def supersedes(self, fingerprint: bytes) -> bool:
        """Tell whether these rules are newer than those that some lists were made with.

        Rules that know less, or an older version of something, are those of an older program: it
        must not undo what a newer one has made.
        """
        others = msgspec.json.decode(fingerprint, type=dict[str, int])
        mine = msgspec.json.decode(self.fingerprint, type=dict[str, int])
        return mine != others and all(mine.get(name, 0) >= n for name, n in others.items())
