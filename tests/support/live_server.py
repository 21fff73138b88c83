"""A real server on a socket, for tests: uvicorn in a thread over a node in this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from tallystick.clock import Clock
from tallystick.dialects import DIALECTS
from tallystick.dialects.base import Dialect
from tallystick.http.app import App
from tallystick.http.connection import Protocol
from tallystick.http.server import PromptServer
from tallystick.identity import acts, credentials
from tallystick.identity.access import Grant, Scope
from tallystick.identity.acts import Act
from tallystick.identity.records import KeySet, Record, User
from tallystick.maintenance.fsck import check
from tallystick.node.node import Node, open_node
from tallystick.settings import Settings

TENANT = "default"


class LiveServer:
    """A server that listens on a free port, with a tenant and an admin key."""

    def __init__(self, app: App, url: str, tenant: str | None) -> None:
        self.app = app
        self.node = app.node
        self.url = url
        self.admin_key = "" if tenant is None else self.create_tenant(tenant)

    def http(self, key: str | None = None, **headers: str) -> httpx2.Client:
        """Return an HTTP client with a key as bearer (the admin key unless another is given)."""
        bearer = {"Authorization": f"Bearer {key or self.admin_key}"}
        return self.plain_http(**{**bearer, **headers})

    def plain_http(self, **headers: str) -> httpx2.Client:
        """Return an HTTP client without credentials."""
        # There is no TLS here, and loading certificates takes longer than a request.
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30, verify=False)

    def create_tenant(self, id: str, *, aliases: Sequence[str] = ()) -> str:
        """Make a tenant and return an admin key of it."""
        node = self.node
        _, act = acts.create_tenant(
            id,
            server_name=node.settings.server_name,
            now_ms=node.clock.now_ms(),
            aliases=tuple(aliases),
        )
        node.ledger.administer(id, act)
        return self.create_key(id, (Scope.ADMIN,))

    def create_key(self, tenant: str, scopes: Sequence[Scope], **options: Any) -> str:
        """Make a key and return its secret."""
        node = self.node
        _, secret, act = acts.create_key(
            tenant, tuple(scopes), now_ms=node.clock.now_ms(), **options
        )
        node.ledger.administer(tenant, act)
        return secret

    def create_user(
        self, tenant: str, id: str, *, password: str | None = None, **members: Any
    ) -> User:
        """Make a user."""
        hashed = None if password is None else credentials.hash_password(password)
        now_ms = self.node.clock.now_ms()
        user = User(id=id, tenant=tenant, created_ms=now_ms, password=hashed, **members)
        self.node.ledger.administer(tenant, acts.create_user(user))
        return self.user(tenant, id)

    def user(self, tenant: str, id: str) -> User:
        """Return a user as they are now."""
        user = self.node.identity.get(User, tenant, id)
        assert user is not None
        return user

    def grant(self, tenant: str, user_id: str, scope: str, role: str) -> None:
        """Give a user a role."""
        grant = Grant(scope, role)
        self.change(User, tenant, user_id, lambda user: acts.add_grant(user, grant))

    def change(
        self, record: type[Record], tenant: str, id: str, act: Callable[[Record], Act]
    ) -> None:
        """Carry out an act on a record that there is."""

        def decide(known: Record | None) -> Act:
            assert known is not None
            return act(known)

        self.node.ledger.changes.carry_out(record, tenant, id, decide)

    def save_key_set(self, tenant: str, id: str, **members: Any) -> None:
        """Register keys for foreign JWTs."""
        key_set = KeySet(id=id, tenant=tenant, created_ms=self.node.clock.now_ms(), **members)
        act = acts.save_key_set(key_set)
        self.node.ledger.changes.carry_out(KeySet, tenant, id, lambda _: act)

    def check_log(self) -> None:
        """Verify the whole store; every mutating test ends here."""
        check_node(self.node)


def check_node(node: Node) -> None:
    """Verify the whole store of a node from its stored bytes."""
    report = check(node.store, lambda origin: node.key.signer(origin).verifier, replay=True)
    assert report.difference is None, report.difference


@contextlib.contextmanager
def open_server(
    folder: Path,
    *,
    dialects: Sequence[Dialect] = DIALECTS,
    wanted: tuple[str, ...] | None = None,
    followers: bool = False,
    clock: Clock | None = None,
    tenant: str | None = TENANT,
    checked: bool = True,
    **settings: Any,
) -> Iterator[LiveServer]:
    """Serve the data folder on a free port until the block ends, then check its log.

    `dialects` are those there are, `wanted` the setting that names some of them.
    """
    # With the protocol named, asyncio turns Nagle off: answers do not wait for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    chosen = Settings(port=port, dialects=wanted, **settings)
    node = open_node(folder, chosen, followers=followers, clock=clock)
    app = App(node, dialects)
    config = uvicorn.Config(
        app, http=Protocol, ws="none", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = PromptServer(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    try:
        while not server.started:
            thread.join(0.005)
            assert thread.is_alive(), "the server did not start"
        yield LiveServer(app, f"http://127.0.0.1:{port}", tenant)
        if checked:
            check_node(node)
    finally:
        server.should_exit = True
        thread.join()
        node.close()
        listener.close()
