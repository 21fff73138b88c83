"""A log with everything that a bundle can show, and bundles of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tallystick.events.event import Draft, Resource
from tallystick.evidence.bundle import BundleWriter, WrittenBundle, verifier_source
from tallystick.evidence.selection import Question
from tallystick.identity import acts
from tallystick.ledger.ledger import Ledger
from tallystick.log.keys import LogKey
from tallystick.node.node import Node
from tallystick.query.expr import Everything, Expr

TENANT = "default"
ALICE = Resource("user", "alice", 'A "lice", née =B', {"a": [1, 2.5, None]})


def fill(node: Node, events: int = 300) -> list[str]:
    """Make a tenant with events, of which some are revised, retracted or erased; return ids."""
    ledger: Ledger = node.ledger
    _, act = acts.create_tenant(TENANT, server_name="test.example", now_ms=node.clock.now_ms())
    ledger.administer(TENANT, act)
    drafts = [
        Draft(
            kind=f"order.k{n % 3}" if n % 7 else 'übung\n"x"\t,',
            actor=ALICE if n % 2 else None,
            target=Resource("order", str(n)),
            scopes=(Resource("shop", "1"),) if n % 4 else (),
            trails=("t", 'u{}[]"') if n % 5 == 0 else (),
            data={"n": n, "big": 9007199254740993 + n, "f": 1e300, "text": '\u2028 \x00 ]}",'},
            original={"was": {"n": n}} if n % 6 == 0 else None,
        )
        for n in range(events)
    ]
    ids = [accepted.id for accepted in ledger.append(TENANT, drafts)]
    change: dict[str, Any] = {"visible": Everything(), "dialect": "native"}
    for n in (3, 5):
        ledger.revise(TENANT, ids[n], {"revised": n}, **change)
    ledger.revise(TENANT, ids[5], {"revised": "twice"}, previous={"revised": 5}, **change)
    ledger.retract(TENANT, ids[9], **change)
    ledger.retract(TENANT, ids[11], erase=True, **change)
    ledger.erase(TENANT, [20, 21], subject="alice")
    return ids


def bundle(
    node: Node,
    target: Path,
    *,
    size: int | None = None,
    span: tuple[int, int] | None = None,
    where: Expr = Everything(),
    visible: Expr = Everything(),
    key: LogKey | None = None,
) -> WrittenBundle:
    """Write a bundle of the log."""
    head = node.store.log_head(TENANT)
    assert head is not None
    size = head.size if size is None else size
    is_complete = span is not None or isinstance(where, Everything)
    start, stop = span or (0, size)
    question = Question(TENANT, size, start, stop, where, visible, is_complete)
    signer = (key or node.key).signer(head.origin)
    return BundleWriter(node.store, signer, question, {"q": repr(where)[:40]}).write(target)


def verify_script(path: Path, *arguments: str, python: str = sys.executable) -> tuple[int, str]:
    """Run the script that lies in every bundle, as an auditor does."""
    script = path.with_name("verify.py")
    script.write_bytes(verifier_source("verify.py"))
    done = subprocess.run(
        [python, "-I", str(script), str(path), *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr
