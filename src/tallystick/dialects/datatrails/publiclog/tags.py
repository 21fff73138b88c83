"""The tags of a public log's files, by which programs learn that it grew."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.dialects.datatrails.merklelog import massif
from tallystick.dialects.datatrails.publiclog.log import open_public_log
from tallystick.dialects.datatrails.storage import FIRST_INDEX, LAST_ID, ContainerBlob
from tallystick.identity.records import Tenant
from tallystick.store.public_files import PublicFiles

_IDTIMESTAMP_BYTES = 8


def blobs_of(files: PublicFiles, tenant: Tenant) -> Iterator[ContainerBlob]:
    """Yield the massifs and the seals of a tenant's log, with their tags.

    Cost: reads of a few bytes for each massif.
    """
    log = open_public_log(files, tenant.id)
    if log is None or not log.cursor.leaves:
        return
    height = log.tail.height
    for number in range(massif.massif_of_leaf(log.cursor.leaves - 1, height) + 1):
        header = files.read(tenant.id, number, 0, massif.HEADER_BYTES) or b""
        last = massif.last_idtimestamp(header)
        first = f"{massif.first_node(number, height):016x}"
        name = massif.path_of(tenant.uuid, number)
        yield ContainerBlob(name, {LAST_ID: last.hex(), FIRST_INDEX: first})
        seal = files.seal(tenant.id, number)
        if seal is not None:
            # Leaves behind the seal may be there already: its own last one counts.
            end = massif.slot_start(seal.leaves - 1, height) + massif.SLOT_BYTES
            slot = files.read(tenant.id, number, end - _IDTIMESTAMP_BYTES, end) or b""
            name = massif.seal_path_of(tenant.uuid, number)
            yield ContainerBlob(name, {LAST_ID: (last[:1] + slot).hex()})
