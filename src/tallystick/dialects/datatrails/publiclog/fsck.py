"""Checks public logs against the log of record: every byte is made again and compared.

What cannot be made again is the leaf of an event that was erased since: its value is taken from
the file, and everything else about it is still checked. The first difference of a tenant ends its
check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, NoReturn
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.dialects.datatrails.merklelog import massif, mmr, seal
from tallystick.dialects.datatrails.merklelog.append import Tail
from tallystick.dialects.datatrails.merklelog.massif import Massif
from tallystick.dialects.datatrails.publiclog import leaves
from tallystick.dialects.datatrails.publiclog.follower import LeafSource, check_mark
from tallystick.errors import TallystickError, for_operator
from tallystick.store.public_files import PublicationCursor, PublicFiles


class Checked(NamedTuple):
    """What was checked in one go, and what is wrong with it."""

    leaves: int
    difference: str | None = None


class _Found(Exception):
    """Carries a difference out of a tenant's check."""


def check_merklelog(
    source: LeafSource,
    files: PublicFiles,
    *,
    log_id_of: Callable[[str], UUID],
    key: ec.EllipticCurvePublicKey,
) -> Iterator[Checked]:
    """Check the public log of every tenant, one massif after the other; they may grow meanwhile.

    Cost: one pass over the logs, about 60 us an entry.
    """
    for tenant in files.tenants():
        yield from check_public_log(source, files, tenant, log_id=log_id_of(tenant), key=key)


def check_public_log(
    source: LeafSource,
    files: PublicFiles,
    tenant: str,
    *,
    log_id: UUID,
    key: ec.EllipticCurvePublicKey,
) -> Iterator[Checked]:
    """Check the public log of one tenant, a massif at a time, up to the first difference."""
    try:
        for count in _Check(source, files, tenant, log_id, key).massifs():
            yield Checked(count)
    except _Found as found:
        yield Checked(0, f"public log of tenant {tenant!r}, {found}")
    except TallystickError as error:
        yield Checked(0, f"public log of tenant {tenant!r}: {for_operator(error)}")


class _Check:
    """The check of one tenant's public log."""

    def __init__(
        self,
        source: LeafSource,
        files: PublicFiles,
        tenant: str,
        log_id: UUID,
        key: ec.EllipticCurvePublicKey,
    ) -> None:
        self._source = source
        self._files = files
        self._tenant = tenant
        self._log_id = log_id
        self._key = key

    def massifs(self) -> Iterator[int]:
        """Check every massif and its seal; yield how many leaves each has.

        Raises: _Found, StoreCorrupt, VerificationError.
        """
        cursor = self._files.cursor(self._tenant)
        assert cursor is not None, "the tenant has public files"
        tail = Tail.from_bytes(cursor.tail)
        if tail.leaves != cursor.leaves or cursor.leaves > self._source.size(self._tenant):
            _differs("its cursor", "it is ahead of the log, or of its own tail")
        check_mark(self._source, self._tenant, tail)
        stack: tuple[bytes, ...] = ()
        last = massif.massif_of_leaf(cursor.leaves - 1, tail.height)
        for number in range(last + 1):
            one = self._massif(number, tail.height, stack)
            if number == last:
                _check_tail(tail, one)
                _check_sealed(self._files, self._tenant, cursor, number)
            stack = one.peaks
            yield one.next_leaf - massif.first_leaf(number, tail.height)

    def _massif(self, number: int, height: int, stack: tuple[bytes, ...]) -> Massif:
        where = f"massif {number}"
        # The seal first: the file may be ahead of it then, never the other way round.
        sealed = self._files.seal(self._tenant, number)
        data = self._files.read(self._tenant, number)
        if data is None:
            _differs(where, "it is missing")
        stored = Massif.load(data)
        if (stored.number, stored.height) != (number, height):
            _differs(where, "it says to be another one")
        rebuilt = self._rebuilt(stored, stack)
        if rebuilt.data != data:
            at = next(n for n, byte in enumerate(rebuilt.data) if data[n : n + 1] != bytes((byte,)))
            _differs(where, f"byte {at} is not what its entries give")
        if sealed is not None:
            self._check_seal(f"seal {number}", sealed.leaves, sealed.data, rebuilt)
        elif stored.is_full:
            _differs(f"seal {number}", "it is missing")
        return rebuilt

    def _rebuilt(self, stored: Massif, stack: tuple[bytes, ...]) -> Massif:
        rebuilt = Massif(stored.number, stored.height, stack)
        while rebuilt.next_leaf < stored.next_leaf:
            slice_ = self._source.read(self._tenant, rebuilt.next_leaf, stored.next_leaf)
            if not slice_:
                _differs(f"leaf {rebuilt.next_leaf}", "there is no such entry")
            for recorded in slice_:
                leaf = leaves.kept_leaf_of(
                    recorded.view.first,
                    stored.leaf(rebuilt.next_leaf),
                    salt_hash=recorded.view.salt_hash,
                    entry_hash=recorded.leaf,
                    log_id=self._log_id,
                )
                rebuilt.append(leaf)
        return rebuilt

    def _check_seal(self, where: str, count: int, data: bytes, file: Massif) -> None:
        peaks = _peaks(file, count, where)
        state = seal.verify_seal(data, peaks, self._key)
        if state.size != mmr.size_of(count):
            _differs(where, "it is about another size than it is stored for")
        if state.idtimestamp[1:] != file.leaf(count - 1).idtimestamp[1:]:
            _differs(where, "it names another last idtimestamp")
        if file.is_full and count != file.next_leaf:
            _differs(where, "the massif is full and not sealed to its end")


def _check_tail(tail: Tail, last: Massif) -> None:
    if tail.peaks != tuple(_peaks(last, tail.leaves, "its tail")):
        _differs("its tail", "its peaks are not those of the files")
    # A file tells the epoch of its last leaf only.
    if tail.idtimestamp[1:] != last.leaf(tail.leaves - 1).idtimestamp[1:]:
        _differs("its tail", "it names another last idtimestamp")


def _check_sealed(files: PublicFiles, tenant: str, cursor: PublicationCursor, last: int) -> None:
    known = [files.seal(tenant, number) for number in (last, last - 1)]
    latest = max((found.leaves for found in known if found is not None), default=0)
    if latest < cursor.sealed:
        _differs("its cursor", "it speaks of a seal that is not there")


def _peaks(file: Massif, count: int, where: str) -> list[bytes]:
    size = mmr.size_of(count)
    try:
        return [file.node(peak) for peak in mmr.peaks(size)]
    except KeyError:
        _differs(where, f"the file has no size {size}")


def _differs(where: str, what: str) -> NoReturn:
    raise _Found(f"{where}: {what}")
