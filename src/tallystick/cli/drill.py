"""`drill`: tampers with copies of a data folder and says what notices it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

import click

from tallystick.cli.maintenance import DAMAGED, check_folder
from tallystick.cli.output import progress_bar
from tallystick.cli.sample_events import sample_drafts
from tallystick.cli.target import Reach, with_reach
from tallystick.client.client import Json
from tallystick.client.remembered_heads import PinnedHeads
from tallystick.data_folder import KEY_FILE
from tallystick.errors import SettingsError
from tallystick.events.event import Draft
from tallystick.http.native.append import prepare_events
from tallystick.identity import acts
from tallystick.log.keys import read_log_key
from tallystick.maintenance.drill import (
    Caught,
    NamedCheck,
    compare_heads,
    copy_untouched,
    event_indexes,
    run_drill,
)
from tallystick.maintenance.tampering import DrillFolder
from tallystick.node.node import Node, open_node
from tallystick.query.expr import Everything
from tallystick.query.question import Find
from tallystick.settings import Settings

_OTHER: Final = "drill"
_BLOB: Final = b"a file that was uploaded for the drill"
_PAGE: Final = 1000


@click.command()
@with_reach
def drill(reach: Reach) -> None:
    """Tamper with copies of a data folder in 14 ways and show what notices each, and how soon.

    The folder itself is only read, and may belong to a running server. Copies, with the signing
    key, are made in a folder for temporary files (TMPDIR), readable by you only, and removed. Each
    of them gets a few events of its own to be tampered with. Exits with 3 unless all are caught.
    """
    if reach.settings().database is not None:
        raise SettingsError(
            "a drill is of a data folder", hint="tallystick copy takes a database into one"
        )
    with tempfile.TemporaryDirectory(prefix="tallystick-drill-") as folder:
        results = _drill(reach, Path(folder))
    caught = sum(1 for each in results if each.caught_by is not None)
    told: Json = {
        "caught": caught,
        "acts": len(results),
        "results": [each._asdict() for each in results],
    }
    reach.show(told, lambda: _report(results, caught))
    if caught < len(results):
        raise SystemExit(DAMAGED)


def _drill(reach: Reach, scratch: Path) -> list[Caught]:
    settings = Settings()
    folder = scratch / "prepared"
    copy_untouched(reach.folder, folder)
    made = _prepared(folder, settings)
    heads = PinnedHeads(scratch / "heads")
    with contextlib.closing(open_node(made.folder, settings, followers=False)) as node:
        compare_heads(node.store, _tenants(node), node.key, heads)
    checks = [
        NamedCheck("a server's start", lambda path: _start(path, settings)),
        NamedCheck("fsck", lambda path: check_folder(path, None, _in_silence).difference),
        NamedCheck("lists against log", lambda path: _compare_lists(path, settings)),
        NamedCheck("a remembered head", lambda path: _compare_heads(path, heads)),
    ]
    with progress_bar(reach, "tampering", "acts") as progress:
        return list(run_drill(made, checks, scratch, progress=progress))


def _prepared(folder: Path, settings: Settings) -> DrillFolder:
    """Add what the acts need to a copy, and keep an older copy of it."""
    with contextlib.closing(open_node(folder, settings, followers=False)) as node:
        # A tenant of the drill's own has no holds and takes what is erased.
        other = _new_tenant(node)
        tenant = _busiest(node, other)
        first = _append(node, other, 3)
        _append(node, tenant, 6)
        upload = node.blobs.content.begin(other)
        upload.write(_BLOB)
        node.blobs.keep(
            upload, other, node.ledger.administer,
            mime_type="text/plain", now_ms=node.clock.now_ms(), dialect="native",
        )  # fmt: skip
    older = folder.with_name("prepared-older")
    copy_untouched(folder, older)
    with contextlib.closing(open_node(folder, settings, followers=False)) as node:
        node.ledger.erase(other, [first], subject="the drill")
        _append(node, tenant, 6)
        node.ledger.count(tenant, Everything(), Everything())
        middle = _middle(node, tenant)
    return DrillFolder(
        folder, older, tenant, other, middle, first,
        lambda path, count: _extend(path, tenant, count, settings),
    )  # fmt: skip


def _busiest(node: Node, otherwise: str) -> str:
    """Return the tenant with the longest log that still goes on, without those of a drill."""
    ended = {tenant.continues for tenant in node.identity.tenants()}
    heads = [head for head in node.store.log_heads() if head.tenant not in (*ended, otherwise)]
    longest = max(heads, key=lambda head: head.size, default=None)
    return _new_tenant(node) if longest is None else longest.tenant


def _middle(node: Node, tenant: str) -> int:
    """Return an event in the middle of a log that is followed by another one, both whole."""
    found = sorted(event_indexes(node.store, tenant))
    wanted = found[len(found) // 3 :][:_PAGE] + found[-6:]
    rows = node.store.rows_at(tenant, sorted(set(wanted)))
    whole = {index for index, row in rows.items() if row.sections[3] is not None}
    pairs = sorted(index for index in whole if index + 1 in whole)
    return pairs[len(pairs) // 2]


def _append(node: Node, tenant: str, count: int) -> int:
    """Append sample events; return the index of the first."""
    items = prepare_events(sample_drafts(count, node.clock.now_ms()))
    accepted = node.ledger.append_each(tenant, items, atomic=True)
    first = accepted[0]
    assert not isinstance(first, Exception), "sample events are in order"
    return first.index


def _extend(folder: Path, tenant: str, count: int, settings: Settings) -> None:
    with contextlib.closing(open_node(folder, settings, followers=False)) as node:
        node.ledger.append(
            tenant, [Draft(kind="drill.forked", data={"n": n}) for n in range(count)]
        )


def _new_tenant(node: Node) -> str:
    known = {tenant.id for tenant in node.identity.tenants()}
    tenant = next(name for n in count(1) if (name := f"{_OTHER}-{n}") not in known)
    _, act = acts.create_tenant(
        tenant, server_name=node.settings.server_name, now_ms=node.clock.now_ms()
    )
    node.ledger.administer(tenant, act)
    return tenant


def _tenants(node: Node) -> list[str]:
    return [head.tenant for head in node.store.log_heads()]


# The checks


def _in_silence(done: int, total: int) -> None:
    """Say nothing of how far a check is: the drill tells which act it is at."""


def _start(folder: Path, settings: Settings) -> str | None:
    with contextlib.closing(open_node(folder, settings, followers=False)) as node:
        return next(iter(node.problems), None)


def _compare_lists(folder: Path, settings: Settings) -> str | None:
    with contextlib.closing(open_node(folder, settings, followers=False)) as node:
        for tenant in _tenants(node):
            listed, logged = set(_listed(node, tenant)), event_indexes(node.store, tenant)
            if hidden := logged - listed:
                return f"tenant {tenant!r}: event {min(hidden)} is in the log and in no list"
            if strange := listed - logged:
                return f"tenant {tenant!r}: event {min(strange)} is listed and not in the log"
    return None


def _listed(node: Node, tenant: str) -> Iterator[int]:
    question = Find(limit=_PAGE)
    while True:
        found = node.ledger.find_rows(tenant, question, Everything())
        yield from (hit.index for hit in found.hits)
        if len(found.hits) < _PAGE:
            return
        question = Find(limit=_PAGE, after=found.hits[-1].position)


def _compare_heads(folder: Path, heads: PinnedHeads) -> str | None:
    key = read_log_key(folder / KEY_FILE)
    with contextlib.closing(open_node(folder, Settings(), followers=False)) as node:
        compare_heads(node.store, _tenants(node), key, heads)
    return None


def _report(results: list[Caught], caught: int) -> str:
    lines = []
    for each in results:
        lines.append(f"{each.act}, with {each.means}")
        if each.caught_by is None:
            lines.append("  NOT CAUGHT")
        else:
            lines.append(f"  caught by {each.caught_by} after {each.after_s:.2f} s")
            lines.append(f"  {each.found}")
    return "\n".join([*lines, f"caught: {caught} of {len(results)}"])


COMMANDS = (drill,)
