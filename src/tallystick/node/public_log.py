"""Making a public log again that was made of another history than the log has now.

What was published was signed and cannot be taken back, so this is done by hand only: after a
restore of a backup that lacks what was published, with no newer copy left. The files are kept
elsewhere, the log records that they were replaced, and the next server publishes from the first
entry on. The leaves of entries that both histories have are the same as before.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec

from tallystick import durable
from tallystick.dialects.datatrails.publiclog.follower import KEY_PURPOSE
from tallystick.dialects.datatrails.publiclog.fsck import check_public_log
from tallystick.errors import Conflict, Malformed, NotFound
from tallystick.events.event import Draft, Json, Op, Resource
from tallystick.identity.tenants import only_tenant
from tallystick.log.views import LogReader
from tallystick.node.node import Node, open_node
from tallystick.settings import Settings
from tallystick.store.public_files import PublicationCursor, PublicFiles

REASON_CHARS = 1_000
ENTRY_KIND = "publiclog.remade"


class Replaced(NamedTuple):
    """A public log that is made again: what it was, and what was wrong with it."""

    tenant: str
    leaves: int
    sealed: int
    difference: str
    kept: list[str]


def remake(
    folder: Path, settings: Settings, tenant: str | None, *, keep: Path, reason: str
) -> Replaced:
    """Take a public log away that contradicts its log, keeping its files in a new folder.

    No tenant stands for the sole one.
    Raises: StoreLocked while a server runs; NotFound without a public log; Conflict for one that
    agrees with its log, or where `keep` exists; Malformed.
    """
    if not 0 < len(reason.strip()) <= REASON_CHARS:
        raise Malformed(f"a reason has 1 to {REASON_CHARS} characters", path="reason")
    with contextlib.closing(open_node(folder, settings, followers=False)) as node:
        files = node.public_files
        if tenant is None:
            tenant = only_tenant([known.id for known in node.identity.tenants()])
        cursor = files.cursor(tenant)
        if cursor is None:
            raise NotFound(f"tenant {tenant!r} has no public log")
        difference = _difference(node, tenant)
        if difference is None:
            raise Conflict(f"the public log of {tenant!r} agrees with its log: nothing is done")
        kept = list(_keep(files, tenant, keep))
        told: Json = {
            "leaves": cursor.leaves,
            "sealed": cursor.sealed,
            "difference": difference,
            "files": {name: digest for name, digest in kept},
            "reason": reason.strip(),
        }
        _record(node, tenant, told)
        # Last: whatever interrupts this leaves a public log that is refused, and can be replaced.
        files.remove(tenant, cursor)
        return _replaced(tenant, cursor, difference, [name for name, _ in kept])


def _replaced(tenant: str, cursor: PublicationCursor, difference: str, kept: list[str]) -> Replaced:
    return Replaced(tenant, cursor.leaves, cursor.sealed, difference, kept)


def _difference(node: Node, tenant: str) -> str | None:
    """Return the first place where a public log is not what its log gives."""
    checked = check_public_log(
        LogReader(node.store),
        node.public_files,
        tenant,
        log_id=UUID(node.identity.tenant(tenant).uuid),
        key=node.key.derive_ec_key(ec.SECP384R1(), KEY_PURPOSE).public_key(),
    )
    return next((one.difference for one in checked if one.difference is not None), None)


def _keep(files: PublicFiles, tenant: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Write all files of a public log into a new folder; yield their names and SHA-256."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise Conflict(f"{folder} exists already", hint="choose another name") from None
    for number in count():
        content, seal = files.read(tenant, number), files.seal(tenant, number)
        if content is None:
            return
        written = [(f"{number:016}.log", content)]
        written += [] if seal is None else [(f"{number:016}.sth", seal.data)]
        for name, data in written:
            durable.create_file(folder / name, data)
            yield name, hashlib.sha256(data).hexdigest()


def _record(node: Node, tenant: str, told: Json) -> None:
    head = node.store.log_head(tenant)
    assert head is not None, "a tenant has a log"
    target = Resource("log", head.origin)
    node.ledger.append(
        tenant, [Draft(kind=ENTRY_KIND, op=Op.SYSTEM, target=target, data=told, dialect="native")]
    )
