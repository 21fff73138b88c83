"""Reading a public log as it is stored: its nodes, its seals, how far it has come."""

from __future__ import annotations

from tallystick.dialects.datatrails.merklelog import massif, mmr
from tallystick.dialects.datatrails.merklelog.append import Tail
from tallystick.dialects.datatrails.merklelog.seal import open_seal
from tallystick.errors import StoreCorrupt
from tallystick.store.public_files import PublicationCursor, PublicFiles


class PublicLog:
    """The public log of one tenant as it is stored."""

    def __init__(self, files: PublicFiles, tenant: str, cursor: PublicationCursor) -> None:
        self._files = files
        self._tenant = tenant
        self.cursor = cursor
        self.tail = Tail.from_bytes(cursor.tail)

    @property
    def sealed_size(self) -> int:
        """How many nodes the latest seal covers."""
        return mmr.size_of(self.cursor.sealed)

    def node(self, index: int) -> bytes:
        """Return the value of a node.

        Raises: StoreCorrupt when the files do not hold it.
        """
        number, offset = massif.locate(index, self.tail.height)
        value = self._files.read(self._tenant, number, offset, offset + mmr.HASH_BYTES)
        if value is None or len(value) != mmr.HASH_BYTES:
            raise StoreCorrupt(f"node {index} of the public log of {self._tenant!r} is missing")
        return value

    def peak_receipts(self) -> dict[bytes, bytes]:
        """Return the pre-signed receipts of the latest seal by the peaks they are about.

        Raises: StoreCorrupt when the seal is missing.
        """
        if not self.cursor.sealed:
            return {}
        number = massif.massif_of_leaf(self.cursor.sealed - 1, self.tail.height)
        stored = self._files.seal(self._tenant, number)
        if stored is None or stored.leaves != self.cursor.sealed:
            raise StoreCorrupt(f"the latest seal of the public log of {self._tenant!r} is missing")
        peaks = [self.node(peak) for peak in mmr.peaks(self.sealed_size)]
        return dict(zip(peaks, open_seal(stored.data).peak_receipts, strict=True))


def open_public_log(files: PublicFiles, tenant: str) -> PublicLog | None:
    """Return the public log of a tenant as it is now; None when there is none."""
    cursor = files.cursor(tenant)
    return None if cursor is None else PublicLog(files, tenant, cursor)
