"""The dialects that are served: one line each."""

from __future__ import annotations

from tallystick.dialects.base import Dialect
from tallystick.dialects.cloudfoundry import CLOUDFOUNDRY
from tallystick.dialects.datatrails import DATATRAILS
from tallystick.dialects.kvass import KVASS
from tallystick.dialects.onehub import ONEHUB
from tallystick.dialects.orchestrate import ORCHESTRATE
from tallystick.events.dialect_rules import DialectRules, Rules

DIALECTS: tuple[Dialect, ...] = (ORCHESTRATE, KVASS, DATATRAILS, CLOUDFOUNDRY, ONEHUB)

NATIVE = DialectRules(shows=lambda view: not view.retracted, derived=lambda view, tenant_uuid: {})


def rules() -> Rules:
    """Return what every dialect shows and filters by; the indexes are built from it."""
    return {"native": NATIVE, **{dialect.name: dialect.rules for dialect in DIALECTS}}
