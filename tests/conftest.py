"""What every test may use: the needs of a test, the shared data and a PostgreSQL."""

from __future__ import annotations

import importlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.internal.detection import is_hypothesis_test

import tallystick
from tests.support import needs
from tests.support.postgres import (
    postgres_database,
    postgres_tables,
    postgres_template,
    postgres_url,
)

__all__ = ["postgres_database", "postgres_tables", "postgres_template", "postgres_url"]

# Time limits are pytest-timeout's. A run of the suite says the same of the same code; `make soak`
# is where new examples are looked for.
settings.register_profile("suite", deadline=None, derandomize=True, print_blob=True)
settings.register_profile(
    "soak", settings.get_profile("suite"), derandomize=False, max_examples=5_000
)
settings.load_profile("suite")

# A shell without job control starts what runs in its background deaf to Ctrl-C, and the programs
# that tests start would be so too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SOURCE = Path(tallystick.__file__).parent


# Files whose few tests take long, each test starting processes of its own.
SLOW = ("tests/cli/", "tests/faults/", "tests/docs/test_quickstart", "/test_kill")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow files: a file is run by one process, and the last one by one alone."""
    if any(is_hypothesis_test(getattr(item, "obj", None)) for item in items):
        import_everything()
    items.sort(key=lambda item: not any(name in item.nodeid for name in SLOW))


def import_everything() -> None:
    """Import every module of the product.

    Hypothesis draws from the constants of our modules that are loaded. If those were not always
    all of them, its examples would depend on the tests that ran before. A run without properties
    does not wait for it.
    """
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        importlib.import_module(".".join(part for part in parts if part != "__init__"))


def pytest_report_header() -> list[str]:
    """Say at the top of a run what the machine lacks."""
    return list(needs.report())


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test whose needs are absent."""
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            needs.demand(name)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder that holds the real sets, each in a folder below `data`."""
    needs.demand("data")
    return needs.DATA


@pytest.fixture(scope="session", autouse=True)
def heads_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what clients remember of logs out of the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TALLYSTICK_HEADS", str(tmp_path_factory.mktemp("heads")))
        yield
