"""Blobs as the API shows them, and the attributes by which events name them.

Source: seed, section "Event Primary Image"; wire specification of DataTrails 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tallystick import times
from tallystick.errors import Malformed
from tallystick.events import ids
from tallystick.events.event import Json
from tallystick.ledger.blobs import Blob

HASH_ALG = "SHA256"
IDENTITY = "arc_blob_identity"
DEFAULT_TYPE = "application/octet-stream"

_ALG, _VALUE = "arc_blob_hash_alg", "arc_blob_hash_value"
_PREFIX = "blobs/"
_MIME_TYPE = re.compile(r"[\w.+!#$&^-]{1,127}/[\w.+!#$&^-]{1,127}(?:\s*;[ -~]{0,200})?", re.ASCII)


def rendered(blob: Blob, tenant_identity: str) -> Json:
    """Return the record of a blob as the API shows it."""
    return {
        "identity": _PREFIX + blob.id,
        "hash": {"alg": HASH_ALG, "value": blob.digest},
        "mime_type": blob.mime_type,
        "size": blob.size,
        "tenantid": tenant_identity,
        "timestamp_accepted": times.to_rfc3339(blob.accepted_ms),
        "issuer": "",
        "subject": "",
        "scanned_status": "NOT_SCANNED",
        "scanned_timestamp": "",
        "scanned_bad_reason": "",
    }


def mime_type_of(header: str | None) -> str:
    """Return the type that an uploaded part says it has.

    Raises: Malformed for what could not be sent back as a header.
    """
    if not header:
        return DEFAULT_TYPE
    if _MIME_TYPE.fullmatch(header) is None:
        raise Malformed("the type of the part is no MIME type", path="file")
    return header


def has_blobs(attributes: Mapping[str, Any]) -> bool:
    """Tell whether there is an attribute that names a blob."""
    return any(IDENTITY in members for _, members in _objects(attributes))


def check_attributes(attributes: Mapping[str, Any], find: Callable[[str], Blob | None]) -> None:
    """Check that whatever names a blob states the blob's hash.

    What has a hash and no blob is about content kept elsewhere: it is taken as it is.
    Raises: Malformed with the path of the offending member.
    """
    for path, members in _objects(attributes):
        if IDENTITY in members:
            _check(members, path, find)


def names_blob(attributes: Mapping[str, Any], blob_id: str) -> bool:
    """Tell whether an event's attributes name a blob."""
    return any(
        _id_of(members.get(IDENTITY, "")) == blob_id.lower() for _, members in _objects(attributes)
    )


def _check(members: Mapping[str, str], path: str, find: Callable[[str], Blob | None]) -> None:
    id = _id_of(members[IDENTITY])
    blob = None if id is None else find(id)
    if blob is None:
        raise Malformed(f"there is no blob {members[IDENTITY]!r}", path=f"{path}.{IDENTITY}")
    if members.get(_ALG, HASH_ALG) != HASH_ALG:
        raise Malformed(f"the hash of a blob is {HASH_ALG}", path=f"{path}.{_ALG}")
    if members.get(_VALUE, "").lower() != blob.digest:
        raise Malformed(f"the hash of the blob is {blob.digest}", path=f"{path}.{_VALUE}")


def _objects(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield what may name a blob: the attributes themselves, each object, each of a list."""
    yield "attributes", {name: text for name, text in attributes.items() if isinstance(text, str)}
    for name, value in attributes.items():
        if isinstance(value, dict):
            yield f"attributes.{name}", value
        elif isinstance(value, list):
            for n, part in enumerate(value):
                yield f"attributes.{name}[{n}]", part


def _id_of(identity: str) -> str | None:
    id = identity.removeprefix(_PREFIX)
    return id.lower() if id != identity and ids.is_uuid(id) else None
