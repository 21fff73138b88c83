"""Commands for who runs a server: sample data, key sets, indexes made anew, the first start."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.cli.program import run, served, told
from tests.support.live_server import open_server

TENANT = "57ee9c71d76d431f8511142f"


@pytest.fixture
def data(tmp_path: Path) -> tuple[str, str]:
    """Return the options for a folder with one tenant."""
    place = ("--data", str(tmp_path / "data"))
    run("tenants", "create", "acme", "--id", TENANT, *place)
    return place


def test_a_tenant_made_before_the_first_start_is_respected(data: tuple[str, str]) -> None:
    server, said = served(*data)
    try:
        assert said["key"] is None
        assert [tenant["id"] for tenant in told("tenants", "list", *data)] == [TENANT]
        assert told("keys", "list", *data) == []
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
    assert server.returncode == 0


def test_indexes_are_made_anew(data: tuple[str, str]) -> None:
    assert told("demo", "--events", "40", *data) == {"stored": 40}
    for index in ("views", "search"):
        assert told("rebuild", index, *data) == {"rebuilt": index}
    assert len(told("search", "kind:*", "--limit", "100", *data)) == 40


def test_indexes_are_made_anew_by_who_has_the_folder_only(tmp_path: Path) -> None:
    with open_server(tmp_path / "data") as server:
        reach = ("--url", server.url, "--key", server.admin_key)
        assert "control socket" in run("rebuild", "views", *reach, code=1).stderr


def test_key_sets_are_saved_listed_and_deleted(tmp_path: Path) -> None:
    issuer = "https://issuer.example"
    with open_server(tmp_path / "data") as server:
        reach = ("--url", server.url, "--key", server.admin_key)
        run("keysets", "save", "partner", "--secret", "s" * 32, "--issuer", issuer, *reach)
        [listed] = told("keysets", "list", *reach)
        assert (listed["id"], listed["issuer"], listed["has_secret"]) == ("partner", issuer, True)
        assert "s" * 32 not in str(listed)
        run("keysets", "delete", "partner", *reach)
        run("keysets", "delete", "partner", *reach, code=1)
