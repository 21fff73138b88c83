"""Original clients written in Go: built from a module of ours, once a machine.

`go.mod` names exact versions and `go.sum` their hashes; Go's own settings say where modules come
from, and its caches keep them.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from tests.support import needs

_BUILD_S = 240
_SOURCES = ("go.mod", "go.sum", "main.go")


def built(project: Path, package: str = ".") -> Path:
    """Return the program that a project, or a tool it names, is built to; all runs share it."""
    needs.demand("go")
    content = b"\0".join((project / name).read_bytes() for name in _SOURCES)
    content += b"" if package == "." else package.encode()
    digest = hashlib.sha256(content).hexdigest()[:16]
    program = Path(tempfile.gettempdir()) / f"tallystick-go-{digest}"
    if not program.is_file():
        _build(project, package, program)
    return program


def _build(project: Path, package: str, program: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tallystick-go-") as folder:
        made = Path(folder) / "driver"
        command = ["go", "build", "-mod=readonly", "-o", str(made), package]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
        try:
            result = subprocess.run(
                command,
                cwd=project,
                env=environment,
                capture_output=True,
                text=True,
                timeout=_BUILD_S,
            )
        except subprocess.TimeoutExpired:
            needs.absent("go", f"building took more than {_BUILD_S} s")
        if result.returncode:
            needs.absent("go", f"go cannot build the client: {result.stderr[-1000:]}")
        os.replace(made, program)
