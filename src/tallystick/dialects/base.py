"""What a dialect is: a codec, its rules, its routes and its error table, as one value.

A dialect may use the ledger, identity, administration and the query tree. It does not see the
store, the indexes, the transparency log or another dialect.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Scope

from tallystick.clock import Clock
from tallystick.errors import TallystickError
from tallystick.identity.access import Principal
from tallystick.identity.records import Identity
from tallystick.identity.tokens import Issuer
from tallystick.ledger.blobs import Blobs
from tallystick.ledger.ledger import Ledger
from tallystick.log.sequencer import Item, Outcome
from tallystick.log.views import LogReader
from tallystick.query.question import DialectRules
from tallystick.settings import Settings
from tallystick.store.public_files import PublicFiles

P = ParamSpec("P")
T = TypeVar("T")


class Door(Protocol):
    """How routes reach the synchronous core; see `http.door`."""

    async def append(
        self, tenant: str, items: Sequence[Item], *, atomic: bool = False
    ) -> list[Outcome]:
        """Store items and return the outcome of each once they are durable."""

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a synchronous function in a worker thread."""


class Services(NamedTuple):
    """What a dialect's routes are given."""

    ledger: Ledger
    identity: Identity
    issuer: Issuer
    settings: Settings
    clock: Clock
    door: Callable[[], Door]
    """The door of the running event loop."""
    authenticate: Callable[[Scope], Principal]
    """Whose request a scope is: by key, bearer, or the control socket. Raises Unauthenticated."""
    body: Callable[[Request, int], Awaitable[bytes]]
    """Reads a request's body, of at most so many bytes. Raises TooLarge."""
    pieces: Callable[[Request, int], AsyncIterator[bytes]]
    """Yields a request's body as it comes in, of at most so many bytes. Raises TooLarge."""
    blobs: Blobs
    background: BackgroundServices


class BackgroundServices(NamedTuple):
    """What a dialect's work beside requests is given, in whatever process it runs."""

    identity: Identity
    settings: Settings
    clock: Clock
    log: LogReader
    public_files: PublicFiles
    derive_key: Callable[[ec.EllipticCurve, str], ec.EllipticCurvePrivateKey]
    """The server's private key for a purpose: always the same one."""
    shared: bool
    """Whether others write to the same logs, and nobody tells."""


class Background(Protocol):
    """What a dialect does beside answering requests, as long as a server runs."""

    def committed(self, tenants: Iterable[str]) -> None:
        """Note that logs have grown; called after each commit, must not wait."""

    def close(self) -> None:
        """Stop soon; idempotent."""


class Dialect(NamedTuple):
    """One Events API.

    `owns` tells whether a path lies in its URL space: unknown paths and methods there, and every
    error, are answered by `error_response` in the dialect's own shape.
    """

    name: str
    title: str
    rules: DialectRules
    routes: Callable[[Services], Sequence[BaseRoute]]
    owns: Callable[[str], bool]
    error_response: Callable[[Request, TallystickError], Response]
    openapi: str
    """Name of the OpenAPI document in the dialect's folder."""
    headers: Callable[[Request], Mapping[str, str]] = lambda request: {}
    """Headers that every answer of the dialect carries, errors included."""
    background: Callable[[BackgroundServices], Background] | None = None
    """Starts what the dialect does beside answering requests."""
    settings: frozenset[str] = frozenset()
    """What may stand in its settings table."""
