"""Letting logs go on that were set back on purpose, after a restore."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tallystick.data_folder import KEY_FILE, held
from tallystick.events.event import Draft, Json, Op, Resource
from tallystick.ledger.restored import erase_again
from tallystick.log.erasure_list import read_lines
from tallystick.log.keys import read_log_key
from tallystick.log.remembered_heads import RememberedHeads
from tallystick.node.node import open_node, remembered_in
from tallystick.settings import Settings
from tallystick.store.truth import open_truth


def note_restored(
    folder: Path, settings: Settings, told: Json, erasures: Path | None = None
) -> int:
    """Let logs that were set back on purpose go on, and record in each what `told` says of it.

    What was erased since, as the list of erasures tells and the one in a file given, is erased
    again; returns how many entries that were.
    Raises: Conflict when a hold of the restored state covers some of that.
    Raises: StoreLocked when another process has the folder, SettingsError, StoreError.
    """
    with held(folder):
        key = read_log_key(folder / KEY_FILE)
        with contextlib.closing(open_truth(folder, settings.database, read_only=True)) as truth:
            heads = truth.store.log_heads()
        remembered = RememberedHeads(remembered_in(folder, settings), key.verifiers)
        sizes = {head.tenant: remembered.latest_size(head) for head in heads}
        remembered.reset(heads)
        remembered.close()
    with contextlib.closing(open_node(folder, settings, followers=False)) as node:
        for head in heads:
            data = told | {"size": head.size, "recorded_ms": head.recorded_ms}
            if sizes[head.tenant] > head.size:
                data["remembered_size"] = sizes[head.tenant]
            draft = Draft(
                kind="log.restored",
                op=Op.SYSTEM,
                target=Resource("log", head.origin),
                data=data,
                dialect="native",
            )
            node.ledger.append(head.tenant, [draft])
        given = [] if erasures is None else read_lines(erasures)
        return erase_again(node.ledger, node.blobs, [*node.erasure_list.lines(), *given])
