"""What a dialect shows, and the terms it must be able to filter by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tallystick.events.event import View

Derive = Callable[[View, str], Mapping[str, str | int]]


class SomeTerms(NamedTuple):
    """Some of the terms of a dialect; `derive` may return more than `names`.

    A name in `targets` is of terms that say what the target is, with a function that returns the
    ids it may have: lists of targets find such terms, so that they need none of their own.
    """

    names: frozenset[str]
    derive: Derive
    targets: Mapping[str, Callable[[str], Sequence[str]]] = MappingProxyType({})


_NO_TERMS = SomeTerms(frozenset(), lambda view, tenant_uuid: {})


class DialectRules(NamedTuple):
    """What a dialect shows and must be able to filter by; all functions are pure.

    `derived` is given the view and the UUID of its tenant, which never changes; its terms are found
    under the fields `<dialect>.<term>`. `listed` are those of them by which lists go on every
    store: one that writes lists with the batch lists these only, and leaves the others to the
    search, so they are cheap. `searched` are more terms, which nobody lists: what costs a hash.
    A changed `version` (or set of dialects) makes the indexes rebuild themselves.
    """

    shows: Callable[[View], bool]
    derived: Derive
    version: int = 1
    listed: SomeTerms = _NO_TERMS
    searched: SomeTerms = _NO_TERMS


Rules = Mapping[str, DialectRules]
