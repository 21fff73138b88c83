"""Walks over whole tables of the SQLite store, in slices: what fsck and copying read by."""

from __future__ import annotations

import json

import apsw

from tallystick.store.base import Claim, IdentityWrite, ResourceHead


def heads(
    connection: apsw.Connection, log: int, after: bytes, limit: int
) -> list[tuple[bytes, ResourceHead]]:
    """Return the next heads of a log by key."""
    rows = connection.execute(
        "SELECT key, idx, live FROM heads WHERE number = ? AND key > ? ORDER BY key LIMIT ?",
        (log, after, limit),
    )
    return [(key, ResourceHead(index, bool(live))) for key, index, live in rows]


def claims(connection: apsw.Connection, log: int, after: bytes, limit: int) -> list[Claim]:
    """Return the next claims of a log."""
    rows = connection.execute(
        "SELECT claim, digest, idx FROM claims WHERE number = ? AND claim > ?"
        " ORDER BY claim LIMIT ?",
        (log, after, limit),
    )
    return [Claim(*row) for row in rows]


def identity(
    connection: apsw.Connection, after: tuple[str, str, str] | None, limit: int
) -> list[IdentityWrite]:
    """Return the next identity records, with their lookups."""
    rows = connection.execute(
        "SELECT tenant, kind, id, doc, (SELECT json_group_array(json_array(namespace, text))"
        " FROM lookups AS l WHERE (l.tenant, l.kind, l.id) = (i.tenant, i.kind, i.id))"
        " FROM identity AS i WHERE ?1 IS NULL OR (tenant, kind, id) > (?1, ?2, ?3)"
        " ORDER BY tenant, kind, id LIMIT ?4",
        (*(after or (None, None, None)), limit),
    )
    return [
        IdentityWrite(tenant, kind, id, doc, _lookups(lookups))
        for tenant, kind, id, doc, lookups in rows
    ]


def _lookups(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((namespace, value) for namespace, value in json.loads(text)))
