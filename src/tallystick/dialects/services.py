"""What the routes of a dialect are given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

from starlette.requests import Request
from starlette.types import Scope

from tallystick.clock import Clock
from tallystick.followers.services import FollowerServices
from tallystick.identity.access import Principal
from tallystick.identity.passwords import Passwords
from tallystick.identity.records import Identity
from tallystick.identity.throttle import Throttle
from tallystick.identity.tokens import Issuer
from tallystick.ledger.blobs import Blobs
from tallystick.ledger.ledger import Ledger
from tallystick.log.sequencer import Item, Outcome
from tallystick.settings import Settings

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
    base_url: Callable[[Scope], str]
    """Under which address a request reached the server, for links; no final slash."""
    client_address: Callable[[Scope], str]
    """The address a request comes from, behind proxies that are trusted."""
    passwords: Passwords
    throttle: Throttle
    """Counts attempts at passwords and client secrets, through whichever route they come."""
    blobs: Blobs
    followers: FollowerServices
    """What followers are given: routes read what these write."""
