"""A PgBouncer in transaction mode in front of a database: Debian's package, where it is there."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

import psycopg

from tests.support.needs import pgbouncer

START_S = 20
SESSIONS = 2
"""Sessions of the database that all clients share: a client hardly ever gets the same twice."""

_SETTINGS = """
[databases]
* = host={host} user={user} {password}
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
listen_port = 6432
auth_type = any
pool_mode = transaction
server_round_robin = 1
default_pool_size = {sessions}
logfile = {folder}/log
pidfile = {folder}/pid
"""


@contextmanager
def pooler(database: str) -> Iterator[str]:
    """Yield a URL that leads to a database through a pooler."""
    program = pgbouncer()
    assert program is not None, "a test that needs it says so"
    url = urlsplit(database)
    host = url.hostname or parse_qs(url.query)["host"][0]
    port = f" port={url.port}" if url.port else ""
    password = f"password={url.password}" if url.password else ""
    with TemporaryDirectory(prefix="tallystick-pooler-") as made:
        folder = Path(made)
        # It refuses to run as root; whoever owns the socket's folder may use the socket.
        as_owner: list[str] = []
        if os.geteuid() == 0:
            is_local = host.startswith("/") and os.stat(host).st_uid
            owner = pwd.getpwuid(os.stat(host).st_uid).pw_name if is_local else "nobody"
            shutil.chown(folder, owner)
            as_owner = ["-u", owner]
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(
                host=f"{host}{port}", user=url.username, password=password, folder=folder,
                sessions=SESSIONS,
            )
        )  # fmt: skip
        process = subprocess.Popen([program, *as_owner, str(settings)], stderr=subprocess.PIPE)
        try:
            through = f"postgresql://{url.username}@{url.path}?host={folder}&port=6432"
            _wait_for(through)
            yield through
        finally:
            process.terminate()
            process.communicate()


def _wait_for(url: str) -> None:
    end_s = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.05)
