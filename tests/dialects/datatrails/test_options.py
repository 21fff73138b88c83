"""Settings of the DataTrails API."""

from __future__ import annotations

import pytest

from tallystick.dialects.datatrails.options import options_of
from tallystick.errors import SettingsError


@pytest.mark.parametrize(
    "table",
    [
        {"massif_height": 1}, {"massif_height": 18}, {"massif_height": "14"},
        {"events_per_second": 0}, {"events_per_second": "fast"},
        {"quotas": {"planets": 9}}, {"quotas": {"events": "many"}}, {"colour": "red"},
    ],
)  # fmt: skip
def test_bad_setting_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="datatrails"):
        options_of(table)
