"""The command line as tests call it: in this process, or as the installed program.

What a command does and says is asked in this process, which starts in no time. A process of its
own is for what only the program has: its exit code, signals, being killed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tallystick.cli import main

TALLYSTICK = Path(sys.executable).with_name("tallystick")


def run(*args: str, stdin: str = "", code: int = 0, env: dict[str, str] | None = None) -> Result:
    """Run a command in this process and check its exit code; what is no exit is raised."""
    done = CliRunner().invoke(
        main, args, input=stdin, env=env, prog_name="tallystick", catch_exceptions=False
    )
    assert done.exit_code == code, (done.exit_code, done.stdout, done.stderr)
    return done


def told(*args: str, stdin: str = "") -> Any:
    """Run a command with --json in this process and return what it prints."""
    return json.loads(run(*args, "--json", stdin=stdin).stdout)


def program(*args: str, stdin: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the installed program and check its exit code."""
    command = [str(TALLYSTICK), *args]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def served(*options: str, own_group: bool = False) -> tuple[subprocess.Popen[str], Any]:
    """Start a server on a free port; return it with what it says once it listens.

    In a process group of its own, it can be killed together with the processes that it started.
    """
    command = [str(TALLYSTICK), "serve", *options, "--port", "0", "--json"]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        process_group=0 if own_group else None,
    )  # fmt: skip
    assert server.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        line = server.stdout.readline()
        assert line, "the server ended early"
        text += line
    return server, json.loads(text)
