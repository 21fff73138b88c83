"""Finding values by name: the rules of the dialects and the kinds of followers.

Indexes know no dialect and runners know no follower; both are given a reference instead.
"""

from __future__ import annotations

import importlib

from tallystick.errors import SettingsError
from tallystick.events.dialect_rules import Rules


def load(reference: str) -> object:
    """Return the attribute of a module that `module:name` refers to.

    Raises: SettingsError when there is none.
    """
    module, _, name = reference.partition(":")
    try:
        value: object = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"no such object: {reference}") from error
    return value


def load_rules(reference: str) -> Rules:
    """Return the rules that the function at a reference gives.

    Raises: SettingsError when there is none.
    """
    function = load(reference)
    assert callable(function), f"{reference} is no function"
    rules: Rules = function()
    return rules
