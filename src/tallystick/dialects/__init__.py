"""The dialects that are served: one line each."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.dialects.base import CommonSettings, Dialect
from tallystick.dialects.cloudfoundry import CLOUDFOUNDRY
from tallystick.dialects.datatrails import DATATRAILS
from tallystick.dialects.kvass import KVASS
from tallystick.dialects.onehub import ONEHUB
from tallystick.dialects.orchestrate import ORCHESTRATE
from tallystick.events.dialect_rules import DialectRules, Rules
from tallystick.settings import Settings

DIALECTS: tuple[Dialect, ...] = (ORCHESTRATE, KVASS, DATATRAILS, CLOUDFOUNDRY, ONEHUB)

NATIVE = DialectRules(shows=lambda view: not view.retracted, derived=lambda view, tenant_uuid: {})


def common_settings(settings: Settings, dialects: Sequence[Dialect] = DIALECTS) -> CommonSettings:
    """Return what the settings of all dialects mean for every API.

    Raises: SettingsError.
    """
    each = [dialect.common_settings(settings) for dialect in dialects]
    return CommonSettings(
        any(one.own_events_only for one in each),
        tuple(client for one in each for client in one.public_clients),
    )


def rules() -> Rules:
    """Return what every dialect shows and filters by; the indexes are built from it."""
    return {"native": NATIVE, **{dialect.name: dialect.rules for dialect in DIALECTS}}
