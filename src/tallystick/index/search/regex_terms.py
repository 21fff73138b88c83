"""Regular expressions of queries, in the regular expressions of the index.

The library matches whole terms and takes neither an empty class nor an empty alternative, so parts
that match nothing a term can hold are left out here. A blank or a control character of a value is
two characters of its term (`terms.escaped`); no word has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tallystick.index.search import terms
from tallystick.query.regex import LAST_CHARACTER, Chars, Choice, Node, Repeat, Sequel, Spans

_LAST_ESCAPED = 0x20
_ESCAPE = 0x21

Spelling = Callable[[Spans], str | None]
"""Returns the expression for a class; None if it is empty."""


def value_pattern(node: Node) -> str | None:
    """Return an expression for spelt out values; None if none can match."""
    return _pattern(node, _value_class)


def word_pattern(tenant: str, node: Node, places: Iterable[str]) -> str | None:
    """Return an expression for words in one of some places, as `terms.word_pattern` does."""
    body = _pattern(node, _word_class)
    return None if body is None else terms.in_places(tenant, terms.WORD_CLASSES, body, places)


def _pattern(node: Node, spelling: Spelling) -> str | None:
    match node:
        case Chars(spans):
            return spelling(spans)
        case Sequel(parts):
            return _joined([_pattern(part, spelling) for part in parts])
        case Choice(parts):
            return _either([_pattern(part, spelling) for part in parts])
        case Repeat(part, low, high):
            return _repeated(_pattern(part, spelling), low, high)
    raise AssertionError(f"not a node of an expression: {node!r}")


def _joined(parts: Sequence[str | None]) -> str | None:
    spelt = [part for part in parts if part is not None]
    return "".join(spelt) if len(spelt) == len(parts) else None


def _either(parts: Iterable[str | None]) -> str | None:
    spelt = [part for part in parts if part is not None]
    if not spelt:
        return None
    kept = [part for part in spelt if part]
    if not kept:
        return ""
    return f"({'|'.join(kept)})" + ("?" if len(kept) < len(spelt) else "")


def _repeated(part: str | None, low: int, high: int | None) -> str | None:
    if not part or high == 0:
        return "" if part == "" or low == 0 else None
    if high is None:
        return f"({part})" + {0: "*", 1: "+"}.get(low, f"{{{low},}}")
    return f"({part}){{{low},{high}}}"


def _value_class(spans: Spans) -> str | None:
    plain = _class(_within(spans, _LAST_ESCAPED + 1, LAST_CHARACTER))
    escaped = _class(
        tuple((low + _ESCAPE, high + _ESCAPE) for low, high in _within(spans, 0, _LAST_ESCAPED))
    )
    return _either([plain, None if escaped is None else r"\x{1}" + escaped])


def _word_class(spans: Spans) -> str | None:
    return _class(_within(spans, _LAST_ESCAPED + 1, LAST_CHARACTER))


def _within(spans: Spans, lowest: int, highest: int) -> Spans:
    cut = ((max(low, lowest), min(high, highest)) for low, high in spans)
    return tuple((low, high) for low, high in cut if low <= high)


def _class(spans: Spans) -> str | None:
    found = ""
    for low, high in spans:
        # Terms are Unicode without surrogates, and classes may not end at one.
        low = 0xE000 if 0xD800 <= low <= 0xDFFF else low
        high = 0xD7FF if 0xD800 <= high <= 0xDFFF else high
        if low <= high:
            found += f"\\x{{{low:x}}}-\\x{{{high:x}}}"
    return f"[{found}]" if found else None
