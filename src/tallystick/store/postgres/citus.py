"""What a database is to be if its engine is Citus: every table sharded by tenant, on every node.

A schema of which only a part is sharded would serve from the coordinator without a word: it is
refused by name. Settings of a session do not reach the nodes, those of a transaction and of the
role do: what frees a tenant from a stuck process has to hold there too.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Final

import structlog
from psycopg import sql

from tallystick.errors import SchemaMismatch
from tallystick.store.postgres.connection import Connection

_SCRIPT: Final = resources.files(__package__).joinpath("citus.sql").read_text("utf-8")
TABLES: Final = tuple(re.findall(r"create_distributed_table\('(\w+)', 'tenant'", _SCRIPT))
"""Tables that are sharded by tenant, those first that others are to stand beside."""

_DISTRIBUTED = """
SELECT relname::text, distribution_column, colocation_id
FROM citus_tables JOIN pg_class ON pg_class.oid = table_name::regclass
WHERE citus_table_type = 'distributed' AND relnamespace = current_schema()::regnamespace
"""
_TWICE_PARTITIONED = """
SELECT part.relname::text FROM pg_class AS part
WHERE relkind = 'p' AND relispartition AND relnamespace = current_schema()::regnamespace
ORDER BY 1
"""
_NODE_SETTINGS = "SELECT nodename, nodeport, success, result FROM run_command_on_workers(%s)"
_NEEDED = {
    "synchronous_commit": ("off",),
    "idle_in_transaction_session_timeout": ("0",),
    "lock_timeout": ("0",),
}
"""Settings that every node must have for our role, and the values that they must not have."""
_HINT = "run citus.sql of the package (tallystick/store/postgres) as the server's own role"

_log = structlog.get_logger(__name__)


def require_whole(connection: Connection) -> None:
    """Check that a schema on Citus is sharded as a whole, or not at all; others pass.

    Raises: SchemaMismatch, which names the tables or the node.
    """
    if not connection.sharded:
        return
    found = {name: rest for name, *rest in connection.execute(_DISTRIBUTED).fetchall()}
    if not found.keys() & set(TABLES):
        _log.warning("citus_not_used", meaning="no table is distributed; see citus.sql")
        return
    missing = [name for name in TABLES if name not in found]
    if missing:
        raise SchemaMismatch(
            f"the schema is half distributed: {', '.join(missing)} not by tenant", hint=_HINT
        )
    strange = [name for name in TABLES if found[name] != ["tenant", found[TABLES[0]][1]]]
    if strange:
        raise SchemaMismatch(
            f"distributed by another column or apart from the others: {', '.join(strange)}",
            hint="distribute every table by tenant, colocated with logs, in an empty database",
        )
    _require_settings(connection)


def distribute(connection: Connection) -> None:
    """Distribute tables that a migration made, where the others are distributed already.

    Raises: SchemaMismatch for what cannot be distributed.
    """
    if not connection.sharded:
        return
    found = {name for name, *_ in connection.execute(_DISTRIBUTED).fetchall()}
    if "logs" not in found:
        return
    twice = [name for (name,) in connection.execute(_TWICE_PARTITIONED).fetchall()]
    if twice:
        raise SchemaMismatch(
            f"partitioned on two levels: {', '.join(twice)}",
            hint="copy the log into an empty database: tallystick copy",
        )
    for name in TABLES:
        if name not in found:
            connection.execute(
                sql.SQL(
                    "SELECT create_distributed_table({}, 'tenant', colocate_with => 'logs')"
                ).format(sql.Literal(name)),
                prepare=False,
            )


def nodes_away(connection: Connection) -> list[str]:
    """Return the nodes that do not answer, as host and port; none where there is no Citus."""
    if not connection.sharded:
        return []
    rows = connection.execute(_NODE_SETTINGS, ("SELECT 1",)).fetchall()
    return [f"{name}:{port}" for name, port, success, _ in rows if not success]


def _require_settings(connection: Connection) -> None:
    for setting, wrong in _NEEDED.items():
        rows = connection.execute(_NODE_SETTINGS, (f"SHOW {setting}",)).fetchall()
        # A node that is away is told elsewhere, and is asked again at the next start.
        for name, port, success, value in rows:
            if success and value in wrong:
                raise SchemaMismatch(
                    f"{setting} is {value} for this role on {name}:{port}", hint=_HINT
                )
