"""Finding the rules of the dialects by name, since indexes know no dialect."""

from __future__ import annotations

import importlib

from tallystick.errors import SettingsError
from tallystick.events.dialect_rules import Rules


def load_rules(reference: str) -> Rules:
    """Return the rules that the function named `module:function` gives.

    Raises: SettingsError when there is none.
    """
    module, _, name = reference.partition(":")
    try:
        rules: Rules = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"there are no rules at {reference}") from error
    return rules
