"""The dialect's own settings: massif height, rate limit, quotas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tallystick.dialects.datatrails.merklelog import massif
from tallystick.errors import SettingsError
from tallystick.settings import bad_setting

HEIGHT_MAX = 17
"""A massif file is answered whole from memory: 12 MiB at this height."""


class Quotas(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many of each a tenant may have; None is any number."""

    events: int | None = None
    blobs: int | None = None
    applications: int | None = None


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `datatrails` of the settings."""

    massif_height: int = massif.DEFAULT_HEIGHT
    """Of new public logs; a log keeps the one it began with."""
    events_per_second: float | None = None
    """Requests about events that a tenant may make; None is any number."""
    quotas: Quotas = Quotas()


def options_of(table: Mapping[str, Any]) -> Options:
    """Return the dialect's settings.

    Raises: SettingsError.
    """
    try:
        options = msgspec.convert(table, Options)
    except msgspec.ValidationError as error:
        raise bad_setting(error, "datatrails") from None
    if not 2 <= options.massif_height <= HEIGHT_MAX:
        raise SettingsError(f"datatrails.massif_height is 2 to {HEIGHT_MAX}")
    if options.events_per_second is not None and options.events_per_second <= 0:
        raise SettingsError("datatrails.events_per_second is greater than 0")
    return options
