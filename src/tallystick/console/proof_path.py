"""The way from an entry to the signed root of its log, step by step, for drawing.

It only draws what `tlog` proves; a browser checks it again by itself. Source: RFC 9162 section
2.1.3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from tallystick.tlog.hashing import node_hash


class ProofStep(NamedTuple):
    """Two hashes become one."""

    side: Literal["left", "right"]
    """Where the sibling stands."""
    sibling: str
    result: str


def proof_steps(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> list[ProofStep]:
    """Return the steps from a leaf up to the root of a tree of `size` leaves.

    Shape: `path` is a valid inclusion proof.
    """
    node, at, last = leaf, index, size - 1
    steps: list[ProofStep] = []
    for sibling in path:
        if at % 2 or at == last:
            node = node_hash(sibling, node)
            steps.append(ProofStep("left", sibling.hex(), node.hex()))
            while at % 2 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
            steps.append(ProofStep("right", sibling.hex(), node.hex()))
        at, last = at >> 1, last >> 1
    return steps
