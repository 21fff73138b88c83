"""What is absent skips a test loudly, and fails it once it is required."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest

from tests.support import needs


def test_absent_need_skips_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLYSTICK_REQUIRE", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(pytest.skip.Exception, match="needs node: no program 'node'"):
        needs.demand("node")


def test_absent_need_that_is_required_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_REQUIRE", "postgres,node")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(pytest.fail.Exception, match="needs node"):
        needs.demand("node")
    with pytest.raises(pytest.skip.Exception, match="needs chromium"):
        needs.demand("chromium")


def test_misspelt_requirement_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_REQUIRE", "postgras")
    with pytest.raises(pytest.UsageError, match="postgras"):
        needs.required()


def test_shared_data_holds_the_real_sets(shared_data: Path) -> None:
    assert any((shared_data / "data").iterdir())


def test_database_is_empty_and_its_server_new_enough(postgres_database: str) -> None:
    with psycopg.connect(postgres_database) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchone()
        assert connection.info.server_version >= 150000
    assert tables == (0,)
