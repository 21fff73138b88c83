"""Arithmetic and proofs of a Merkle mountain range.

Nodes are numbered from 0 in the order they are written, a leaf is entered as it is, and a state
is named by its size: the number of nodes. There is no single root; the list of peaks, highest
first, stands for the whole. Source: wire specification of DataTrails 4.4, and the individual
draft "COSE Receipts with MMRs" that it cites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from tallystick.errors import BadConsistencyProof, BadInclusionProof

HASH_BYTES = 32
PATH_MAX = 64
"""Siblings on one path: more would need more nodes than an index can number."""

_INDEX_MAX = (1 << 63) - 1

Nodes = Callable[[int], bytes]
"""Returns the value of the node with that index."""


def size_of(leaves: int) -> int:
    """Return how many nodes `leaves` leaves make; it is also the index of the next leaf."""
    return 2 * leaves - leaves.bit_count()


def leaves_before(node: int) -> int:
    """Return how many leaves have an index lower than `node`."""
    leaves = 0
    while node > 0:
        levels = (node + 1).bit_length() - 1
        leaves += 1 << (levels - 1)
        node -= (1 << levels) - 1
    return leaves


def is_complete(size: int) -> bool:
    """Tell whether a range may have `size` nodes once a leaf and its parents are written."""
    return 0 < size <= _INDEX_MAX and size_of(leaves_before(size)) == size


def height(index: int) -> int:
    """Return the height of a node above the leaves."""
    position = index + 1
    while position & (position + 1):
        position -= (1 << (position.bit_length() - 1)) - 1
    return position.bit_length() - 1


def peaks(size: int) -> list[int]:
    """Return the indexes of the peaks at a complete `size`, highest first."""
    found = []
    start = 0
    while start < size:
        start += (1 << ((size - start + 1).bit_length() - 1)) - 1
        found.append(start - 1)
    return found


def interior(index: int, left: bytes, right: bytes) -> bytes:
    """Return the value of the node at `index` from those of its children."""
    return sha256((index + 1).to_bytes(8, "big") + left + right).digest()


def append(peak_values: list[bytes], leaf_index: int, value: bytes) -> list[bytes]:
    """Add leaf number `leaf_index` to `peak_values` in place; return the nodes it writes.

    Shape: `peak_values` are those of the `leaf_index` leaves before, highest first.
    Cost: one hash a leaf on average.
    """
    written = [value]
    node = size_of(leaf_index)
    carry = leaf_index
    while carry & 1:
        node += 1
        value = interior(node, peak_values.pop(), value)
        written.append(value)
        carry >>= 1
    peak_values.append(value)
    return written


def inclusion_path(index: int, size: int) -> list[int]:
    """Return the indexes of the siblings from node `index` up to its peak at `size`.

    Shape: 0 <= index < size, `size` complete; lowest first; empty for a peak.
    """
    path: list[int] = []
    level = height(index)
    while True:
        if height(index + 1) > level:
            sibling, parent = index - (2 << level) + 1, index + 1
        else:
            sibling, parent = index + (2 << level) - 1, index + (2 << level)
        if parent >= size:
            return path
        path.append(sibling)
        index = parent
        level += 1


def fold(index: int, value: bytes, path: Iterable[bytes]) -> tuple[int, bytes]:
    """Return the index and the value of the node that `path` leads to from node `index`.

    Raises: BadInclusionProof when it leads beyond what an index can number.
    """
    level = height(index)
    for sibling in path:
        if index + (2 << level) > _INDEX_MAX:
            raise BadInclusionProof("the path leads out of any range")
        if height(index + 1) > level:
            index += 1
            value = interior(index, sibling, value)
        else:
            index += 2 << level
            value = interior(index, value, sibling)
        level += 1
    return index, value


def verify_inclusion(
    index: int, value: bytes, path: Sequence[bytes], *, size: int, peak_values: Sequence[bytes]
) -> None:
    """Check that node `index` has `value` in the range that `peak_values` stand for.

    Raises: BadInclusionProof.
    """
    if not is_complete(size) or not 0 <= index < size:
        raise BadInclusionProof(f"a range of {size} nodes has no node {index}")
    _check_values((*path, value), BadInclusionProof)
    tops = peaks(size)
    if len(peak_values) != len(tops) or len(path) != len(inclusion_path(index, size)):
        raise BadInclusionProof("the path does not end at a peak")
    top, reached = fold(index, value, path)
    if reached != peak_values[tops.index(top)]:
        raise BadInclusionProof("the path does not lead to the peak")


def consistency_paths(size1: int, size2: int) -> list[list[int]]:
    """Return, for each peak at `size1`, its path at `size2`."""
    return [inclusion_path(peak, size2) for peak in peaks(size1)]


def right_peaks(size1: int, size2: int) -> list[int]:
    """Return the peaks at `size2` that no peak at `size1` leads to."""
    # A peak's tree begins (2 << height) - 2 nodes before it.
    return [peak for peak in peaks(size2) if peak - (2 << height(peak)) + 2 >= size1]


def consistent_peaks(
    size1: int,
    peak_values: Sequence[bytes],
    *,
    size2: int,
    paths: Sequence[Sequence[bytes]],
    right: Sequence[bytes],
) -> list[bytes]:
    """Return the peaks at `size2` that the proof makes of the peaks at `size1`.

    The proof alone does not bind `size2`: the same bytes may fold for another size.
    Callers take both sizes from a signed header and compare the result with signed peaks.

    Raises: BadConsistencyProof.
    """
    if not is_complete(size2) or not 0 <= size1 < size2 or (size1 and not is_complete(size1)):
        raise BadConsistencyProof(f"there is no proof from size {size1} to size {size2}")
    old, new = peaks(size1), peaks(size2)
    if len(peak_values) != len(old) or len(paths) != len(old):
        raise BadConsistencyProof(f"size {size1} has {len(old)} peaks")
    _check_values(right, BadConsistencyProof)
    reached: dict[int, bytes] = {}
    for peak, value, path in zip(old, peak_values, paths, strict=True):
        _check_values((*path, value), BadConsistencyProof)
        if len(path) != len(inclusion_path(peak, size2)):
            raise BadConsistencyProof(f"a path does not lead to a peak of size {size2}")
        top, folded = fold(peak, value, path)
        if reached.setdefault(top, folded) != folded:
            raise BadConsistencyProof("two old peaks lead to different values of one new peak")
    if len(reached) + len(right) != len(new):
        raise BadConsistencyProof(f"size {size2} has {len(new)} peaks")
    return [*reached.values(), *right]


def _check_values(
    values: Sequence[bytes], error: type[BadInclusionProof] | type[BadConsistencyProof]
) -> None:
    if len(values) > PATH_MAX + 1 or any(len(value) != HASH_BYTES for value in values):
        raise error("a node is 32 bytes, a path at most 64 nodes")
