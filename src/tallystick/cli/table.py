"""Tables on a terminal or in a pipe: a row is a line, and ids and times are never cut.

A terminal that is too narrow shortens other columns in the middle, then leaves columns out, from
the right. A pipe has no width: there everything is whole.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.cells import cell_len

_GAP = "  "
_SHORTEST = 8
"""Cells that a shortened column keeps: fewer tell nothing."""

_WHOLE = frozenset(("id", "index", "uuid", "hex", "log_id"))
_ALWAYS = frozenset(("id", "occurred_at"))


def lines(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], width: int | None
) -> tuple[list[str], list[str]]:
    """Return a table as lines, its head first, and the names of columns that found no room.

    `width` counts cells of a terminal, of which a wide character takes two; None is no bound.
    """
    table = {name: [name, *(_cell(row.get(name)) for row in rows)] for name in columns}
    widths = {name: max(map(cell_len, cells)) for name, cells in table.items()}
    if width is not None:
        _fit(widths, width)
    left_out = [name for name in columns if name not in widths]
    shown = [name for name in columns if name in widths]
    return [
        _GAP.join(_padded(table[name][n], widths[name]) for name in shown).rstrip()
        for n in range(len(rows) + 1)
    ], left_out


def _fit(widths: dict[str, int], width: int) -> None:
    """Narrow columns to a width, and take those away that find no room."""
    while True:
        surplus = sum(widths.values()) + len(_GAP) * (len(widths) - 1) - width
        elastic = [name for name in widths if not _is_whole(name) and widths[name] > _SHORTEST]
        if surplus <= sum(widths[name] - _SHORTEST for name in elastic):
            break
        last = _least(widths)
        if last is None:
            break
        del widths[last]
    while surplus > 0 and (elastic := [n for n in elastic if widths[n] > _SHORTEST]):
        # From the widest, cell by cell: what is short already stays readable.
        widths[max(elastic, key=widths.__getitem__)] -= 1
        surplus -= 1


def _least(widths: Mapping[str, int]) -> str | None:
    """Return the column to leave out next: the last one, then the first, then the time."""
    first, *others = widths
    if not others:
        return None
    for name in (*reversed(others), first):
        if name not in _ALWAYS:
            return name
    return others[0] if first == "id" else first


def _is_whole(name: str) -> bool:
    return name in _WHOLE or name.endswith("_at")


def _padded(text: str, width: int) -> str:
    text = shortened(text, width)
    return text + " " * (width - cell_len(text))


def shortened(text: str, width: int) -> str:
    """Return a text in at most so many cells, with an ellipsis in its middle if it is longer."""
    if cell_len(text) <= width:
        return text
    room = width - 1
    head, tail = _start_of(text, room - room // 2), _start_of(text[::-1], room // 2)[::-1]
    return f"{head}…{tail}"


def _start_of(text: str, cells: int) -> str:
    taken = 0
    for n, letter in enumerate(text):
        taken += cell_len(letter)
        if taken > cells:
            return text[:n]
    return text


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        name = value.get("name") or value.get("id")
        return _cell(name) if name is not None else _plain(msgspec.json.encode(value).decode())
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return _plain(str(value))


def _plain(text: str) -> str:
    """Return a text that no terminal acts on: without line ends, escapes and marks of direction."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if _is_shown(letter) else "�" for letter in text)


def _is_shown(letter: str) -> bool:
    # Joiners make one sign of several, as in emoji and in the scripts of India.
    return letter in "\u200c\u200d" or unicodedata.category(letter) not in (
        "Cc", "Cf", "Cs", "Zl", "Zp",
    )  # fmt: skip
