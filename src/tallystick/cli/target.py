"""How a command reaches the server that its options name."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

import click

from tallystick.cli.output import Output
from tallystick.client.client import Client
from tallystick.data_folder import SOCKET_FILE
from tallystick.errors import NotFound
from tallystick.identity.tenants import only_tenant
from tallystick.settings import Settings, load_settings

P = ParamSpec("P")
T = TypeVar("T")


TENANTS = "/v1/admin/tenants"


def tenant_path(tenant: str, *parts: str) -> str:
    """Return the path of something that administration knows of a tenant."""
    return "/".join((TENANTS, *(quote(part, safe="") for part in (tenant, *parts))))


class Reach(Output):
    """The options that every command has, and what they lead to."""

    def __init__(
        self,
        folder: Path,
        url: str | None,
        key: str | None,
        tenant: str | None,
        config: Path | None,
        database: str | None,
        as_json: bool,
    ) -> None:
        super().__init__(as_json)
        self.folder = folder
        self.url = url
        self.key = key
        self._tenant = tenant
        self._config = config
        self.database = database

    def settings(self, **given: Any) -> Settings:
        """Return the settings of a server run by this call."""
        return load_settings(self._config, given={"database": self.database, **given})

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """Yield a client of the server that the options name.

        Raises: StoreLocked when another process has the folder but no socket answers.
        """
        if self.url is not None:
            if self.database is not None:
                raise click.UsageError("--url and --database exclude each other")
            # `tallystick verify URL` watches a log; a command does what it says.
            with Client(self.url, self.key, watch=False) as client:
                yield client
            return
        tenant = self._tenant
        with self._socket() as socket, Client(tenant=tenant, control_socket=socket) as client:
            yield client

    @contextlib.contextmanager
    def running(self) -> Iterator[Client]:
        """Yield a client of the server that runs on the data folder.

        Raises: NotFound when none does.
        """
        socket = self.folder / SOCKET_FILE
        if not _answers(socket):
            raise NotFound(
                f"no server runs on the folder {self.folder}", hint="start it: tallystick serve"
            )
        with Client(control_socket=socket) as client:
            yield client

    @property
    def named_tenant(self) -> str | None:
        """The tenant that was named, for commands that open the store themselves."""
        return self._tenant

    def tenant(self, client: Client) -> str:
        """Return the tenant to act on: the one named, or the only one there is.

        Raises: NotFound when there is none, Malformed when there are several.
        """
        if self._tenant is not None:
            return self._tenant
        tenants = client.request("GET", TENANTS)["tenants"]
        return only_tenant([tenant["id"] for tenant in tenants])

    def at_tenant(self, tenant: str | None) -> Reach:
        """Return the same for a tenant that a command names by itself, if it names one."""
        named = tenant or self._tenant
        return Reach(
            self.folder, self.url, self.key, named, self._config, self.database, self.as_json
        )

    def ask_tenant(
        self,
        method: str,
        *parts: str,
        body: object = None,
        params: Mapping[str, object] | None = None,
    ) -> Any:
        """Send a request about something that administration knows of the tenant."""
        with self.client() as client:
            path = tenant_path(self.tenant(client), *parts)
            return client.request(method, path, body=body, params=params)

    @contextlib.contextmanager
    def _socket(self) -> Iterator[Path]:
        socket = self.folder / SOCKET_FILE
        if _answers(socket):
            yield socket
            return
        # Imported late: a command that talks to a running server needs none of it.
        from tallystick.cli.local_server import local_server

        with local_server(self.folder, self.settings()) as own:
            yield own


_OPTIONS = (
    click.option(
        "--data",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="TALLYSTICK_DATA",
        default=Path("tallystick-data"),
        show_default=True,
        help="Data folder of a server on this machine.",
    ),
    click.option("--url", envvar="TALLYSTICK_URL", help="URL of a server anywhere."),
    click.option("--key", envvar="TALLYSTICK_KEY", help="API key for --url."),
    click.option("--tenant", help="Tenant to act on; default: the sole tenant."),
    click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        envvar="TALLYSTICK_CONFIG",
        help="Settings file in TOML.",
    ),
    click.option(
        "--database", help="URL of a PostgreSQL that holds the log instead of the folder."
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
)
_REACH_PARAMETERS = ("folder", "url", "key", "tenant", "config", "database", "as_json")


def with_reach(command: Callable[Concatenate[Reach, P], T]) -> Callable[..., T]:
    """Give a command the options that every command has, as a `Reach`, its first argument."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        reach = Reach(*(kwargs.pop(name) for name in _REACH_PARAMETERS))  # type: ignore[arg-type]
        return command(reach, *args, **kwargs)

    options: Callable[..., T] = wrapped
    for option in reversed(_OPTIONS):
        options = option(options)
    return options


def _answers(socket: Path) -> bool:
    import socket as sockets

    probe = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    try:
        probe.connect(str(socket))
    except OSError:
        return False
    finally:
        probe.close()
    return True
