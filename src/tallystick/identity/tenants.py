"""Which tenant is meant by who names none: the only one there is."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.errors import Malformed, NotFound


def only_tenant(tenants: Sequence[str]) -> str:
    """Return the sole tenant.

    Raises: NotFound when there is none, Malformed when there are several.
    """
    if not tenants:
        raise NotFound("the store has no tenant yet", hint="create one: tallystick tenants create")
    if len(tenants) > 1:
        raise Malformed("the store has several tenants; name one", hint="use --tenant ID")
    return tenants[0]
