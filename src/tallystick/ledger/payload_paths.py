"""Which payload fields a tenant's events have, for languages that name them."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.query.question import Reader


class PayloadPaths:
    """Knows the paths of every event of a tenant: only for callers who may see all of them."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def is_known(self, tenant: str, path: str) -> bool:
        """Tell whether any event ever had a value at a path."""
        return self._reader.known_path(tenant, path)

    def nearest(self, tenant: str, path: str) -> Sequence[str]:
        """Return the known paths nearest to one that is not."""
        return self._reader.suggest_path(tenant, path)
