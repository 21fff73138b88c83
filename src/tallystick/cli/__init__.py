"""The command line: every command is a client of the HTTP API.

A command reaches a server by `--url` and `--key`; or the server that runs on a data folder,
through the control socket in it; or, when nobody has the folder, a server it runs itself for as
long as the command takes. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 verification
failed.
"""

from __future__ import annotations

from tallystick.cli.main import main

__all__ = ["main"]
