"""Tessera's POSIX driver, built from `tessera/` where Go is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("tessera")


def built(folder: Path) -> Path | None:
    """Return the program, built into a folder; None without Go or without its modules."""
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        return None
    program = folder / "tessera-bench"
    done = subprocess.run([go, "build", "-o", str(program), "."], cwd=_SOURCE, check=False)
    return program if done.returncode == 0 else None


def published_rate(program: Path, folder: Path, seconds: float) -> float:
    """Return how many entries a second came under a published checkpoint, with 64 callers."""
    folder.mkdir()
    done = subprocess.run(
        [program, "-folder", str(folder), "-seconds", str(seconds)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    rate: float = json.loads(done.stdout)["rate"]
    return rate
