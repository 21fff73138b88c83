"""Sets of strings made of intervals, so that a lambda's whole body can be looked up at once.

A set is a list of cuts in the order of code points: membership flips at each of them. Complement,
union and intersection stay as small as their parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tallystick.dialects.datatrails.odata import Operator
from tallystick.query.expr import Eq, Exists, Expr, Range


class Cut(NamedTuple):
    """A place between strings: just before `text`, or just behind it."""

    text: str
    behind: bool


class StringSpan(NamedTuple):
    """All strings between two cuts; None is an open end."""

    low: Cut | None
    high: Cut | None

    @property
    def is_point(self) -> bool:
        """Whether the span holds one string only."""
        low, high = self.low, self.high
        return low is not None and high is not None and low.text == high.text

    @property
    def point(self) -> str:
        """The string of a point."""
        assert self.low is not None
        return self.low.text

    def to_expr(self, field: str) -> Expr:
        """Return the condition that some value of `field` lies in the span."""
        low, high = self.low, self.high
        if self.is_point:
            return Eq(field, self.point)
        if low is None and high is None:
            return Exists(field)
        return Range(
            field,
            low=None if low is None else low.text,
            high=None if high is None else high.text,
            low_inclusive=low is None or not low.behind,
            high_inclusive=high is None or high.behind,
        )


class TextSet(NamedTuple):
    """A set of strings: whether the lowest belong to it, and where that flips."""

    from_start: bool
    cuts: tuple[Cut, ...]

    @classmethod
    def of(cls, operator: Operator, text: str) -> TextSet:
        """Return the strings that stand in `operator`'s relation to `text`."""
        before, behind = Cut(text, False), Cut(text, True)
        match operator:
            case "eq":
                return cls(False, (before, behind))
            case "ne":
                return cls(True, (before, behind))
            case "lt":
                return cls(True, (before,))
            case "le":
                return cls(True, (behind,))
            case "gt":
                return cls(False, (behind,))
            case "ge":
                return cls(False, (before,))

    def contains(self, text: str) -> bool:
        """Tell whether `text` belongs to the set."""
        flips = sum(cut < Cut(text, True) for cut in self.cuts)
        return self.from_start ^ bool(flips & 1)

    def complement(self) -> TextSet:
        """Return all other strings."""
        return TextSet(not self.from_start, self.cuts)

    def union(self, other: TextSet) -> TextSet:
        """Return the strings of either set."""
        return self._merged(other, lambda mine, theirs: mine or theirs)

    def intersection(self, other: TextSet) -> TextSet:
        """Return the strings of both sets."""
        return self._merged(other, lambda mine, theirs: mine and theirs)

    def spans(self) -> list[StringSpan]:
        """Return the intervals of the set, lowest first."""
        ends: list[Cut | None] = [None] if self.from_start else []
        ends.extend(self.cuts)
        if len(ends) % 2:
            ends.append(None)
        return [StringSpan(low, high) for low, high in zip(ends[::2], ends[1::2], strict=True)]

    def _merged(self, other: TextSet, keep: Callable[[bool, bool], bool]) -> TextSet:
        mine, theirs = self.from_start, other.from_start
        inside = from_start = keep(mine, theirs)
        cuts: list[Cut] = []
        own, foreign = set(self.cuts), set(other.cuts)
        for cut in sorted(own | foreign):
            mine ^= cut in own
            theirs ^= cut in foreign
            if keep(mine, theirs) != inside:
                inside = not inside
                cuts.append(cut)
        return TextSet(from_start, tuple(cuts))
