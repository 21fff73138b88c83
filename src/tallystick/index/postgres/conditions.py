"""A compiled question as conditions on rows: SQL with places for values, and the values.

The planner compiles questions into nodes over numbers of terms, for every store. Here the numbers
remember which field they are of, and so where they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString, NamedTuple

from psycopg import sql

from tallystick.index.lists.block_query import (
    AllOf,
    AnyOf,
    BlockNode,
    Every,
    HappenedWithin,
    HasTerm,
    IndexWithin,
    NoneOf,
    Nowhere,
)
from tallystick.index.lists.term_hash import SEEN
from tallystick.index.postgres.terms import Numbering, Sight
from tallystick.query.expr import Scalar

_COLUMNS = {"kind": "kind", "actor.id": "actor_id", "target.id": "target_id"}
_ROLES = ("actor", "target")


class SqlCondition(NamedTuple):
    """Part of a statement."""

    text: sql.Composable
    values: tuple[object, ...] = ()


TRUE = SqlCondition(sql.SQL("true"))
FALSE = SqlCondition(sql.SQL("false"))


class Terms:
    """Numbers terms for one question and remembers what they are of."""

    def __init__(self, number_of: Numbering, sight: Sight) -> None:
        self._number_of = number_of
        self._sight = sight
        self._fields: dict[int, str] = {}
        self._texts: dict[int, str] = {}

    def __call__(self, field: str, value: Scalar) -> int:
        """Return the number of a term; that of who sees an entry is a bit."""
        number = self._sight.bit(value) if field == SEEN else self._number_of(field, value)
        self._fields[number] = field
        if isinstance(value, str):
            self._texts[number] = value
        return number

    def field(self, part: HasTerm) -> str:
        """Return the field that the terms of a node are of."""
        return self._fields[part.numbers[0]]

    def column(self, part: HasTerm) -> str | None:
        """Return the column by whose ids the terms of a node are listed, if they are."""
        field = self.field(part)
        if field in self._sight.targets:
            return "target_id"
        return f"{field}_id" if field in _ROLES else None

    def ids(self, part: HasTerm) -> list[int]:
        """Return the numbers of the ids that actors or targets with the terms of a node may have.

        Their lists go by id; in "type:id" a type may have colons of its own, hence several.
        """
        field = self.field(part)
        ids_of = self._sight.targets.get(field, _ids_of_resource)
        ids = dict.fromkeys(id for n in part.numbers for id in ids_of(self._texts.get(n, "")))
        role = field if field in _ROLES else "target"
        return [self._number_of(f"{role}.id", id) for id in ids]


class Conditions:
    """Says what holds of the rows of a table, by the name that it has in the statement."""

    def __init__(self, terms: Terms, table: str) -> None:
        self._terms = terms
        self._table = table

    def of(self, node: BlockNode) -> SqlCondition:
        """Return what holds of the rows that a node matches; it may be null where it does not."""
        match node:
            case Every():
                return TRUE
            case Nowhere():
                return FALSE
            case HasTerm():
                return self._has_term(node)
            case HappenedWithin(low, high):
                return SqlCondition(self._on("{}.ms BETWEEN %b AND %b"), (low, high))
            case IndexWithin(low, high):
                return SqlCondition(self._on("{}.idx BETWEEN %b AND %b"), (low, high))
            case AnyOf(parts):
                return joined(" OR ", [self.of(part) for part in parts], FALSE)
            case AllOf(parts, but):
                return every(*(self.of(part) for part in parts), *map(self._none, but))
            case NoneOf(part):
                return self._none(part)
        raise AssertionError(f"there is no condition for {type(node).__name__}")

    def _none(self, part: BlockNode) -> SqlCondition:
        inner = self.of(part)
        # Where a row has no actor, no comparison with one is true, and none is false either.
        return SqlCondition(sql.SQL("({}) IS NOT TRUE").format(inner.text), inner.values)

    def _has_term(self, part: HasTerm) -> SqlCondition:
        field = self._terms.field(part)
        if field == SEEN:
            return SqlCondition(self._on("{}.seen & %b <> 0"), (union(part.numbers),))
        if field in _COLUMNS:
            return self.equals(_COLUMNS[field], part.numbers)
        found = SqlCondition(self._on("{}.terms && %b::bigint[]"), (list(part.numbers),))
        column = self._terms.column(part)
        if column is not None:
            return every(self.equals(column, self._terms.ids(part)), found)
        return found

    def equals(self, column: str, numbers: Sequence[int]) -> SqlCondition:
        """Return what holds of rows with one of some numbers in a column."""
        name = sql.Identifier(self._table, column)
        if len(numbers) == 1:
            return SqlCondition(sql.SQL("{} = %b").format(name), (numbers[0],))
        return SqlCondition(sql.SQL("{} = ANY(%b::bigint[])").format(name), (list(numbers),))

    def _on(self, text: LiteralString) -> sql.Composable:
        return sql.SQL(text).format(sql.Identifier(self._table))


def _ids_of_resource(text: str) -> list[str]:
    return [text[at + 1 :] for at, char in enumerate(text) if char == ":"]


def every(*parts: SqlCondition) -> SqlCondition:
    """Return what holds where all of the parts do."""
    return joined(" AND ", [part for part in parts if part != TRUE], TRUE)


def joined(word: LiteralString, parts: Sequence[SqlCondition], empty: SqlCondition) -> SqlCondition:
    """Return conditions joined by AND or OR."""
    if not parts:
        return empty
    text = sql.SQL(word).join(sql.SQL("({})").format(part.text) for part in parts)
    return SqlCondition(text, tuple(value for part in parts for value in part.values))


def union(bits: Sequence[int]) -> int:
    """Return all of some bits together."""
    mask = 0
    for bit in bits:
        mask |= bit
    return mask
