"""The tests of exports run on every store, as the contract suite does."""

from __future__ import annotations

from typing import cast

import pytest

from tallystick.clock import ManualClock
from tallystick.ledger.ledger import Ledger
from tallystick.query.question import Reader
from tallystick.store.base import Store
from tests.store.conftest import place, recorder, store
from tests.store.transactions import KEY
from tests.support.recording import Recorder

__all__ = ["place", "recorder", "store"]


@pytest.fixture
def ledger(store: Store, recorder: Recorder) -> Ledger:
    """Return a ledger on the store; nothing here asks an index."""
    return Ledger(store, recorder.sequencer, cast(Reader, None), KEY, ManualClock())
