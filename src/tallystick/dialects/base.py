"""What a dialect is: a codec, its rules, its routes and its error table, as one value.

A dialect may use the ledger, identity, administration and the query tree. It does not see the
store, the indexes, the transparency log or another dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from tallystick.dialects.errors import ErrorAnswer, respond
from tallystick.dialects.services import Services
from tallystick.errors import TallystickError
from tallystick.events.dialect_rules import DialectRules
from tallystick.events.event import Json, View
from tallystick.identity.records import Tenant
from tallystick.settings import Settings, bad_setting


class PathOwner(Protocol):
    """The answerer in a part of the URL space, errors included: a dialect, or the console."""

    @property
    def name(self) -> str:
        """What metrics call it."""

    @property
    def owns(self) -> Callable[[str], bool]:
        """Whether a path lies in its part."""

    @property
    def error_response(self) -> Callable[[Request, TallystickError], Response]:
        """Its answer to an error."""

    @property
    def headers(self) -> Callable[[Request], Mapping[str, str]]:
        """What every answer carries, errors included."""


class NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings table of a dialect that has no settings."""


class CommonSettings(NamedTuple):
    """What the settings of a dialect mean for every API of the server."""

    own_events_only: bool = False
    """Users with the lower roles of file sharing see only what they did themselves."""
    public_clients: tuple[str, ...] = ()
    """OAuth clients without a secret."""


Table = TypeVar("Table", bound=msgspec.Struct)


def settings_of(settings: Settings, dialect: str, table: type[Table]) -> Table:
    """Return the settings table of a dialect as the struct that the dialect declares.

    Raises: SettingsError.
    """
    try:
        return msgspec.convert(settings.of_dialect(dialect), table)
    except msgspec.ValidationError as error:
        raise bad_setting(error, dialect) from None


class Dialect(NamedTuple):
    """One Events API.

    `owns` tells whether a path lies in its URL space: unknown paths and methods there, and every
    error, are answered in the dialect's own shape, as `error` says.
    """

    name: str
    title: str
    rules: DialectRules
    routes: Callable[[Services], Sequence[BaseRoute]]
    owns: Callable[[str], bool]
    error: Callable[[Request, TallystickError], ErrorAnswer]
    """What its table says of an error: status, body, challenge."""
    openapi: str
    """Name of the OpenAPI document in the dialect's folder."""
    render: Callable[[View, Tenant], Json] | None = None
    """Renders an event that the rules show, for readers of the console."""
    headers: Callable[[Request], Mapping[str, str]] = lambda request: {}
    """Headers that every answer of the dialect carries, errors included."""
    followers: Sequence[str] = ()
    """References of the kinds of its followers: what it does beside answering requests."""
    settings: type[msgspec.Struct] = NoSettings
    """Its settings table."""
    common_settings: Callable[[Settings], CommonSettings] = lambda settings: CommonSettings()
    """What its settings mean for the other APIs; raises SettingsError."""

    def error_response(self, request: Request, error: TallystickError) -> Response:
        """Return its answer to an error."""
        return respond(request, error, self.error(request, error))
