"""Running the application: one uvicorn server on a port, one on the folder's control socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from tallystick.errors import SettingsError
from tallystick.http.app import App
from tallystick.http.auth import CONTROL
from tallystick.http.connection import Protocol

_GRACE_S = 10
_KEEP_ALIVE_S = 75
_BACKLOG = 2048
_LOOK_S = 0.005


def serve(
    app: App, listener: socket.socket, control_socket: Path, ready: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called with the URL once requests are taken.

    Requests under way are finished first, for ten seconds at most.
    """
    with contextlib.ExitStack() as stack:
        control = stack.enter_context(_control_listener(control_socket))
        servers: list[tuple[uvicorn.Server, socket.socket]] = [
            (_Server(_config(app)), listener),
            (_Server(_config(_InControl(app))), control),
        ]
        url = url_of(listener)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(servers, lambda: ready(url)))


def serve_one(app: ASGIApp, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve another application, which has no control socket, until SIGINT or SIGTERM."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run([(_Server(_config(app)), listener)], lambda: ready(url_of(listener))))


@contextlib.contextmanager
def in_thread(app: App, control_socket: Path) -> Iterator[Path]:
    """Serve on a control socket from a thread of its own until the block ends."""
    with _control_listener(control_socket) as listener:
        server = PromptServer(_config(_InControl(app)))
        started = threading.Event()

        async def run() -> None:
            task = asyncio.create_task(server.serve([listener]))
            while not server.started and not task.done():
                await asyncio.sleep(0.001)
            started.set()
            await task
            app.close()

        thread = threading.Thread(target=lambda: asyncio.run(run()), name="local-server")
        thread.start()
        started.wait()
        try:
            yield control_socket
        finally:
            server.should_exit = True
            thread.join()


async def _run(
    servers: list[tuple[uvicorn.Server, socket.socket]], ready: Callable[[], None]
) -> None:
    def stop() -> None:
        for server, _ in servers:
            # A second signal means: do not wait for anybody.
            server.force_exit = server.should_exit
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop)
    tasks = [asyncio.create_task(server.serve([listener])) for server, listener in servers]
    while not all(
        server.started or task.done() for (server, _), task in zip(servers, tasks, strict=True)
    ):
        await asyncio.sleep(0.005)
    if not any(task.done() for task in tasks):
        ready()
    await asyncio.gather(*tasks)


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to its caller."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests under way, live tails aside: those would never end."""
        app = self.config.app
        if isinstance(app, App | _InControl):
            # A witness, which is served as well, has none.
            app.stop_following()
        await super().shutdown(sockets)


class PromptServer(_Server):
    """A server that stops at once when nobody is connected, for who waits until it has stopped."""

    async def main_loop(self) -> None:
        """Run until `should_exit`, looking for it more often than a server for long does."""
        while not await self.on_tick(0):
            await asyncio.sleep(_LOOK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; only where there are requests or connections is there anything to wait for."""
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
            await server.wait_closed()
        await self.lifespan.shutdown()


class _InControl:
    """The application with every right, for processes that can open the control socket."""

    def __init__(self, app: App) -> None:
        self._app = app

    def stop_following(self) -> None:
        """End every live tail."""
        self._app.stop_following()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        scope.setdefault("state", {})[CONTROL] = True
        await self._app(scope, receive, send)


def url_of(listener: socket.socket) -> str:
    """Return the URL of what listens on a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on" if isinstance(app, App) else "off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        backlog=_BACKLOG,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the address.

    Raises: SettingsError when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {host} port {port}: {error.strerror}",
            hint="choose another --port, or stop the process that uses it",
        ) from error
    listener.set_inheritable(False)
    return listener


@contextlib.contextmanager
def _control_listener(path: Path) -> Iterator[socket.socket]:
    """Listen on a socket file that only its owner can open, and remove it in the end."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        raise SettingsError(f"cannot create {path.name}: {error.strerror}") from error
    finally:
        os.umask(mask)
    try:
        yield listener
    finally:
        listener.close()
        path.unlink(missing_ok=True)
