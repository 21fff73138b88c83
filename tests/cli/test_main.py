"""The table of commands names what the modules have, and nothing is imported too early."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

from tallystick.cli.main import MODULES


def test_the_table_names_every_command_of_each_module() -> None:
    for module, names in MODULES.items():
        commands = import_module(f"tallystick.cli.{module}").COMMANDS
        assert tuple(command.name for command in commands) == names


def test_a_command_of_a_client_imports_nothing_of_the_server() -> None:
    script = "import sys, tallystick.cli.events; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "tallystick.client" in loaded
    assert not loaded & {"tallystick.http", "tallystick.store", "uvicorn", "starlette", "tantivy"}
