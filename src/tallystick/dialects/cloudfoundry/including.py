"""`include` of version 3: the spaces and organizations of resources, beside them in one answer.

Source: the documentation of Cloud Foundry's API version 3, "include".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tallystick.dialects.cloudfoundry import inventory
from tallystick.dialects.cloudfoundry.inventory import APP, Inventory, InventoryRow
from tallystick.dialects.cloudfoundry.v3 import split
from tallystick.dialects.cloudfoundry.wire import ORGANIZATION, SPACE
from tallystick.errors import InvalidQuery
from tallystick.events.event import Json

PARAMETER = "include"

_WANTED: dict[str, dict[str, tuple[str, ...]]] = {
    APP: {
        "space": (SPACE,),
        "org": (ORGANIZATION,),
        "space.organization": (SPACE, ORGANIZATION),
    },
    SPACE: {"org": (ORGANIZATION,), "organization": (ORGANIZATION,)},
}
"""What may be included with the resources of a type: the types that come along."""


def takes_include(type: str) -> bool:
    """Tell whether anything can be included with resources of a type."""
    return type in _WANTED


def wanted_types(type: str, text: str | None) -> frozenset[str]:
    """Return the types of resources that a request wants beside those of `type`.

    Raises: InvalidQuery.
    """
    if text is None:
        return frozenset()
    valid = _WANTED[type]
    found: set[str] = set()
    for name in split(text):
        if name not in valid:
            names = ", ".join(f"'{one}'" for one in valid)
            raise InvalidQuery(
                f"Invalid included resource: '{name}'. Valid included resources are: {names}"
            )
        found.update(valid[name])
    return frozenset(found)


def included(
    known: Inventory, rows: Sequence[InventoryRow], types: frozenset[str], base_url: str
) -> Json:
    """Return the parents of some rows by type, each once, as far as the caller knows them."""
    return {
        f"{type}s": [
            inventory.to_v3(parent, base_url)
            for guid in dict.fromkeys(row.parents.get(type, "") for row in rows)
            if guid and (parent := known.find(type, guid)) is not None
        ]
        for type in _ordered(types)
    }


def _ordered(types: Iterable[str]) -> list[str]:
    return sorted(types, reverse=True)
