"""Original clients written for the Java platform: fetched by Maven, once a machine.

A project is a `pom.xml`, which names exact versions, and a `Driver.java` of ours. Maven's own
settings say where packages come from, and its cache keeps them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support import needs

_FETCH_S = 200
_COMPILE_S = 80
_SOURCES = ("pom.xml", "Driver.java")


def compiled(project: Path) -> list[str]:
    """Return the command that starts a project's driver, its arguments to follow.

    What is compiled is shared by all runs that use the same sources.
    """
    needs.demand("java")
    content = b"\0".join((project / name).read_bytes() for name in _SOURCES)
    digest = hashlib.sha256(content).hexdigest()[:16]
    cache = Path(tempfile.gettempdir()) / f"tallystick-jvm-{digest}"
    if not (cache / "classpath").is_file():
        _compile(project, cache)
    jars = (cache / "classpath").read_text("utf-8")
    if not all(Path(jar).is_file() for jar in jars.split(os.pathsep)):
        # Maven's cache was emptied since.
        shutil.rmtree(cache)
        _compile(project, cache)
        jars = (cache / "classpath").read_text("utf-8")
    # A client that asks a few questions needs no second compiler, which takes the time.
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}{os.pathsep}{cache}", "Driver"]


def _compile(project: Path, cache: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tallystick-jvm-") as made:
        folder = Path(made)
        # Strict checksums: what was fetched is what the registry says it is.
        fetch = [
            "mvn",
            "--batch-mode",
            "--quiet",
            "--strict-checksums",
            "--file",
            str(project / "pom.xml"),
        ]
        jars = folder / "classpath"
        _run([*fetch, "dependency:build-classpath", f"-Dmdep.outputFile={jars}"], _FETCH_S)
        driver = project / "Driver.java"
        classpath = jars.read_text("utf-8").strip()
        jars.write_text(classpath, "utf-8")
        _run(["javac", "-cp", classpath, "-d", str(folder), str(driver)], _COMPILE_S)
        try:
            os.rename(folder, cache)
        except OSError:
            assert cache.is_dir(), "another run was faster, or the folder cannot be had"
        else:
            # What is left for the context to remove.
            os.mkdir(folder)


def _run(command: list[str], timeout_s: int) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        needs.absent("java", f"{command[0]} took more than {timeout_s} s")
    if result.returncode:
        output = (result.stdout + result.stderr)[-1000:]
        needs.absent("java", f"{command[0]} cannot make the client: {output}")
