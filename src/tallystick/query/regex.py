"""Regular expressions as trees, and the automaton that matches them in linear time.

`regex_parser` reads them from a text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

LAST_CHARACTER = 0x10FFFF

Spans = tuple[tuple[int, int], ...]
"""Code points from first to last, ascending and apart."""


class Chars(NamedTuple):
    """One character out of some."""

    spans: Spans


class Sequel(NamedTuple):
    """Parts one after the other; none at all is the empty text."""

    parts: tuple[Node, ...]


class Choice(NamedTuple):
    """One of some parts."""

    parts: tuple[Node, ...]


class Repeat(NamedTuple):
    """A part `low` to `high` times; None has no upper end."""

    part: Node
    low: int
    high: int | None


Node: TypeAlias = Chars | Sequel | Choice | Repeat


def head_of(node: Node) -> str:
    """Return the text that all matches begin with."""
    match node:
        case Chars(((low, high),)) if low == high:
            return chr(low)
        case Sequel(parts):
            head = ""
            for part in parts:
                begin = head_of(part)
                head += begin
                if not isinstance(part, Chars) or not begin:
                    break
            return head
        case Repeat(part, low) if low > 0:
            return head_of(part)
    return ""


@lru_cache(maxsize=256)
def regex_test(node: Node) -> Callable[[str], bool]:
    """Return the function that tells whether a whole text matches.

    Cost: one step a character; a step looks at no more than `limits.REGEX_POSITIONS` positions.
    """
    return _Automaton(node).matches


class _Span(NamedTuple):
    """Of a part: whether it matches nothing, and which positions begin and end it, as bits."""

    empty: bool
    first: int
    last: int


class _Automaton:
    """Follows all readings of an expression at once, one bit for each position (Glushkov).

    Steps that were taken are remembered, up to a number; threads may share one, since what a step
    leads to never changes.
    """

    _REMEMBERED = 4_096

    def __init__(self, node: Node) -> None:
        self._spans: list[Spans] = []
        self._follow: list[int] = []
        whole = self._build(node)
        self._empty, self._first, self._last = whole
        self._readers: dict[str, int] = {}
        self._steps: dict[tuple[int, str], tuple[int, bool]] = {}

    def matches(self, text: str) -> bool:
        """Tell whether the whole of a text matches."""
        ready, done = self._first, self._empty
        for character in text:
            step = self._steps.get((ready, character))
            if step is None:
                step = self._step(ready, character)
            ready, done = step
            if not (ready or done):
                return False
        return done

    def _step(self, ready: int, character: str) -> tuple[int, bool]:
        active = ready & self._reading(character)
        after, rest = 0, active
        while rest:
            lowest = rest & -rest
            after |= self._follow[lowest.bit_length() - 1]
            rest ^= lowest
        if len(self._steps) >= self._REMEMBERED:
            self._steps.clear()
        step = self._steps[ready, character] = (after, bool(active & self._last))
        return step

    def _reading(self, character: str) -> int:
        """Return the positions that read a character."""
        found = self._readers.get(character)
        if found is None:
            code = ord(character)
            found = sum(
                1 << at
                for at, spans in enumerate(self._spans)
                if any(low <= code <= high for low, high in spans)
            )
            if len(self._readers) >= self._REMEMBERED:
                self._readers.clear()
            self._readers[character] = found
        return found

    def _build(self, node: Node) -> _Span:
        match node:
            case Chars(spans):
                bit = 1 << len(self._spans)
                self._spans.append(spans)
                self._follow.append(0)
                return _Span(False, bit, bit)
            case Sequel(parts):
                return self._joined([self._build(part) for part in parts])
            case Choice(parts):
                built = [self._build(part) for part in parts]
                first = last = 0
                for span in built:
                    first, last = first | span.first, last | span.last
                return _Span(any(span.empty for span in built), first, last)
            case Repeat(part, low, high):
                return self._repeated(part, low, high)
        raise AssertionError(f"not a node of an expression: {node!r}")

    def _repeated(self, part: Node, low: int, high: int | None) -> _Span:
        if high is not None:
            needed = [self._build(part) for _ in range(low)]
            spare = [self._build(part)._replace(empty=True) for _ in range(high - low)]
            return self._joined([*needed, *spare])
        copies = [self._build(part) for _ in range(max(low, 1))]
        self._link(copies[-1].last, copies[-1].first)
        if low == 0:
            copies[-1] = copies[-1]._replace(empty=True)
        return self._joined(copies)

    def _joined(self, spans: Sequence[_Span]) -> _Span:
        whole = _Span(True, 0, 0)
        for span in spans:
            self._link(whole.last, span.first)
            whole = _Span(
                whole.empty and span.empty,
                whole.first | (span.first if whole.empty else 0),
                span.last | (whole.last if span.empty else 0),
            )
        return whole

    def _link(self, last: int, first: int) -> None:
        while last:
            lowest = last & -last
            self._follow[lowest.bit_length() - 1] |= first
            last ^= lowest
