"""Pages of resources: each is found by a key, none is scanned past in vain."""

from __future__ import annotations

from psycopg import sql
from psycopg.rows import TupleRow

from tallystick.index.postgres.conditions import SqlCondition, every
from tallystick.index.postgres.resources import parent_number
from tallystick.index.postgres.sql import fetch_composed
from tallystick.index.postgres.terms import Numbering
from tallystick.query.question import ResourceQuery
from tallystick.store.postgres.connection import Connection
from tallystick.store.postgres.rows import to_bytes

_RESOURCES = sql.SQL("resources AS r")
# The children lead, in their order: OFFSET keeps the planner from reading resources the other way.
_CHILDREN = sql.SQL(
    "children AS c CROSS JOIN LATERAL (SELECT * FROM resources AS r WHERE r.tenant = c.tenant"
    " AND r.type = c.type AND r.id = c.id OFFSET 0) AS r"
)


def resource_page(
    connection: Connection, tenant: bytes, number_of: Numbering, question: ResourceQuery
) -> list[TupleRow]:
    """Return id, name, document and parents of a page of resources, by id."""
    statement = resource_statement(tenant, number_of, question)
    return fetch_composed(connection, *statement)


def resource_statement(
    tenant: bytes, number_of: Numbering, question: ResourceQuery
) -> SqlCondition:
    """Return the statement that finds a page of resources."""
    type = number_of("type", question.type)
    if question.parent is None:
        source, id = _RESOURCES, sql.SQL("r.id")
        found = [SqlCondition(sql.SQL("r.tenant = %b AND r.type = %b"), (tenant, type))]
    else:
        source, id = _CHILDREN, sql.SQL("c.id")
        where = sql.SQL("c.tenant = %b AND c.parent = %b AND c.type = %b AND c.live")
        parent = parent_number(number_of, question.parent)
        found = [SqlCondition(where, (tenant, parent, type))]
    if question.name is not None:
        name = (number_of("name", question.name), to_bytes(question.name))
        found.append(SqlCondition(sql.SQL("r.named = %b AND r.name = %b"), name))
    if question.low is not None:
        least = sql.SQL("{} >= %b" if question.low_inclusive else "{} > %b").format(id)
        found.append(SqlCondition(least, (to_bytes(question.low),)))
    if question.high is not None:
        most = sql.SQL("{} <= %b" if question.high_inclusive else "{} < %b").format(id)
        found.append(SqlCondition(most, (to_bytes(question.high),)))
    if question.live:
        found.append(SqlCondition(sql.SQL("r.document IS NOT NULL")))
    where_all = every(*found)
    text = sql.SQL(
        "SELECT r.id, r.name, r.document, r.parents FROM {} WHERE {} ORDER BY {} LIMIT %b"
    ).format(source, where_all.text, id)
    return SqlCondition(text, (*where_all.values, question.limit))
