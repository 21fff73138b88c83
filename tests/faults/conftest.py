"""Fixtures of the fault tests."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest

from tests.faults.servers import CrashableServer, GivenServer, crashable_server
from tests.support.postgres import given


@pytest.fixture(scope="session")
def server() -> Iterator[CrashableServer | GivenServer]:
    """Yield a PostgreSQL server that may be crashed, or the one that was given, which may not."""
    url = given()
    if url is not None:
        yield GivenServer(url)
        return
    with crashable_server() as server:
        yield server


@pytest.fixture
def crashable_database(server: CrashableServer) -> Iterator[str]:
    """Yield the URL of a database on that server."""
    with server.database() as url:
        yield url


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Return the seed of a random test: a new one for `make soak`, else always the same;
    `TALLYSTICK_TEST_SEED` repeats one."""
    made = secrets.randbits(32) if is_soaking(request.config) else 1
    seed = int(os.environ.get("TALLYSTICK_TEST_SEED") or made)
    print(f"TALLYSTICK_TEST_SEED={seed}")
    return seed


@pytest.fixture
def run_s(request: pytest.FixtureRequest) -> float:
    """Return how long a random test runs: `TALLYSTICK_TEST_CHECKER_S`, an hour for `make soak`."""
    made = 3_600 if is_soaking(request.config) else 15
    return float(os.environ.get("TALLYSTICK_TEST_CHECKER_S") or made)


def is_soaking(config: pytest.Config) -> bool:
    """Tell whether tests are to run for long and to try what was not tried before."""
    return bool(config.getoption("--hypothesis-profile", None) == "soak")
