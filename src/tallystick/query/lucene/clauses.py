"""How the clauses of a list combine; `parser` says what that means."""

from __future__ import annotations

from typing import NamedTuple

from tallystick.query.expr import Everything, Expr, Not, Or, all_of, any_of


class Clause(NamedTuple):
    """One of several clauses: what joins it to the one before, what is asked of it, what it is."""

    conjunction: str
    modifier: str
    expr: Expr


def by_precedence(clauses: list[Clause]) -> Expr:
    """Combine clauses where those side by side mean AND."""
    sequence: list[list[list[Expr]]] = []
    for conjunction, modifier, expr in clauses:
        part = Not(expr) if modifier == "-" else expr
        if conjunction == "and" and sequence:
            sequence[-1][-1].append(part)
        elif conjunction == "or" and sequence:
            sequence[-1].append([part])
        else:
            sequence.append([[part]])
    return all_of(any_of(all_of(parts) for parts in choices) for choices in sequence)


def by_occurrence(clauses: list[Clause]) -> Expr:
    """Combine clauses where those side by side mean OR, as Lucene does."""
    occurrences: list[str] = []
    for clause in clauses:
        if clause.conjunction == "and" and occurrences[-1:] == [""]:
            occurrences[-1] = "+"
        joined = clause.conjunction == "and" and clause.modifier == ""
        occurrences.append("+" if joined else clause.modifier)
    parts: dict[str, list[Expr]] = {"+": [], "": [], "-": []}
    for occurrence, clause in zip(occurrences, clauses, strict=True):
        parts[occurrence].append(clause.expr)
    required, optional = parts["+"], parts[""]
    if optional and required:
        required.append(Or((Everything(), *optional)))
    elif optional:
        required.append(any_of(optional))
    return all_of([*required, *(Not(expr) for expr in parts["-"])])
