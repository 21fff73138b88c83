"""The tests of maintenance run on every store, as the contract suite does."""

from __future__ import annotations

from tests.store.conftest import place, recorder, store

__all__ = ["place", "recorder", "store"]
