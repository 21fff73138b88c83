"""Original clients written for Node: installed from a lock file, once a machine.

The lock names versions and hashes and no addresses; npm's own settings say where packages come
from. Install scripts of packages are not run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support import needs

_TIMEOUT_S = 110


def installed(project: Path) -> Path:
    """Return a `node_modules` folder with what a project's lock file says.

    It is shared by all runs that use the same lock: leave it as it is.
    """
    needs.demand("node")
    lock = (project / "package-lock.json").read_bytes()
    cache = Path(tempfile.gettempdir()) / f"tallystick-npm-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not cache.is_dir():
        _install(project, cache)
    return cache / "node_modules"


def _install(project: Path, cache: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        needs.absent("node", "no program 'npm' on the path")
    with tempfile.TemporaryDirectory(prefix="tallystick-npm-") as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(project / name, folder)
        result = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
        if result.returncode:
            needs.absent("node", f"npm cannot install the client: {result.stderr[-500:]}")
        try:
            os.rename(folder, cache)
        except OSError:
            assert cache.is_dir(), "another run was faster, or the folder cannot be had"
        else:
            # What is left for the context to remove.
            os.mkdir(folder)
