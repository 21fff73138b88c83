"""What may come next in the search bar: names of fields, then values that occur."""

from __future__ import annotations

import re
from typing import NamedTuple

from tallystick.console.questions import Questions, clause
from tallystick.errors import RequestError
from tallystick.identity.access import Principal, visible
from tallystick.ledger.ledger import Ledger
from tallystick.query.aggregate import TopValues, TopValuesResult
from tallystick.query.expr import Everything, Expr, Prefix, Scalar
from tallystick.query.native_fields import FIELDS
from tallystick.query.question import Find

SUGGESTIONS = 12
_TEXT_CHARS_MAX = 8 * 1024
_SAMPLE = 200

# The word before the caret: a field and the beginning of a value, or the beginning of a field.
_VALUE = re.compile(r"(?P<field>[\w.-]+):(?P<mark>[\"`]?)(?P<value>[^\"`\s()]*)\Z")
_FIELD = re.compile(r"(?:\A|[\s(!+-])(?P<field>[\w.-]*)\Z")
_EXACT = ("kind", "class", "op", "dialect", "actor", "target", "scope", "trail")


class Suggestion(NamedTuple):
    """A text that takes the place of the one from `start` to the caret."""

    text: str
    start: int
    note: str


class Completion:
    """Suggests what a search may go on with, from what the person may see."""

    def __init__(self, ledger: Ledger, questions: Questions) -> None:
        self._ledger = ledger
        self._questions = questions

    def of(self, principal: Principal, q: str, at: str) -> list[Suggestion]:
        """Return suggestions for a search with the caret at a position."""
        caret = int(at) if at.isascii() and at.isdigit() and len(at) < 6 else len(q)
        before = q[:caret][-_TEXT_CHARS_MAX:]
        offset = len(q[:caret]) - len(before)
        value = _VALUE.search(before)
        if value is not None:
            return self._values(principal, value, offset)
        field = _FIELD.search(before)
        if field is None:
            return []
        return self._fields(principal, field["field"], offset + field.start("field"))

    def _fields(self, principal: Principal, typed: str, start: int) -> list[Suggestion]:
        names = [name for name in FIELDS if name.startswith(typed)]
        if isinstance(visible(principal), Everything):
            paths = self._paths(principal.tenant)
            names += [path for path in paths if path.startswith(typed) and path not in names]
        return [Suggestion(f"{name}:", start, "field") for name in names[:SUGGESTIONS]]

    def _paths(self, tenant: str) -> list[str]:
        """Return payload paths of the latest events."""
        page = self._ledger.find(tenant, Find(limit=_SAMPLE), Everything())
        found: dict[str, None] = {}
        for view in page.views:
            for name, value in view.event.data.items():
                if "." not in name and name.isprintable():
                    found[f"data.{name}"] = None
                    if isinstance(value, dict):
                        found.update({f"data.{name}.{inner}": None for inner in value})
        return sorted(found)

    def _values(self, principal: Principal, typed: re.Match[str], offset: int) -> list[Suggestion]:
        field, beginning = typed["field"], typed["value"]
        try:
            name = self._questions.fields(principal).named(field)
        except RequestError:
            return []
        where: Expr = Everything()
        if beginning and field in _EXACT:
            where = Prefix(name, beginning)
        question = Find(where=where, limit=0)
        (result,) = self._ledger.aggregate(
            principal.tenant, question, [TopValues(name, limit=_SAMPLE)], visible(principal)
        )
        assert isinstance(result, TopValuesResult)
        found = [
            Suggestion(clause(field, value), offset + typed.start("field"), f"{count:,}")
            for value, count in result.entries
            if _begins(value, beginning)
        ]
        return found[:SUGGESTIONS]


def _begins(value: Scalar, typed: str) -> bool:
    text = "null" if value is None else str(value)
    return text.casefold().startswith(typed.casefold())
