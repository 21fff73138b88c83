"""Statements about what stands beside the log keep to one tenant, as all others do."""

from __future__ import annotations

import pytest

from tallystick.store.postgres.public_files import STATEMENTS
from tests.store.test_postgres_sharding import BOUND

ALL_TENANTS = {"publishers"}


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_statement_is_bound_to_one_tenant(name: str) -> None:
    is_bound = BOUND.search(STATEMENTS[name].decode()) is not None
    assert is_bound is (name not in ALL_TENANTS), STATEMENTS[name].decode()
