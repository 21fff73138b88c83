"""Offline work on a whole store: check, back up, restore, copy."""
