"""Settings of the Onehub API."""

from __future__ import annotations

import pytest

from tallystick.dialects.onehub import common_settings
from tallystick.errors import SettingsError
from tallystick.settings import Settings


@pytest.mark.parametrize("table", [{"own_events_only": 1}, {"public_clients": "cf"}])
def test_a_bad_setting_is_named(table: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=f"onehub.{next(iter(table))}"):
        common_settings(Settings(onehub=table))
