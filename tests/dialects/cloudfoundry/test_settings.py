"""Settings of the Cloud Foundry API."""

from __future__ import annotations

import pytest

from tallystick.dialects.cloudfoundry import style_of
from tallystick.errors import SettingsError
from tallystick.settings import Settings


@pytest.mark.parametrize(
    "table", [{"time_zone": "Mars/Olympus"}, {"time_zone": 7}, {"actor_username": "yes"}]
)
def test_bad_setting_is_named(table: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=f"cloudfoundry.{next(iter(table))}"):
        style_of(Settings(cloudfoundry=table))
