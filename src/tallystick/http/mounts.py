"""Dialects that are also served below a prefix, for clients that cannot have a host of their own.

Below its prefix a dialect answers as on the root: the same paths, its own shape for every error.
What it tells of other addresses stays below the prefix where its clients take a path for one on
the host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from starlette.routing import BaseRoute, Route, Router
from starlette.types import Message, Scope, Send

from tallystick.dialects.base import Dialect
from tallystick.errors import SettingsError

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+\Z")
_ADDRESSES = frozenset((b"location", b"content-location"))


class Mount(NamedTuple):
    """A dialect below a prefix."""

    prefix: str
    dialect: Dialect
    router: Router

    def holds(self, path: str) -> bool:
        """Tell whether a path is the prefix or lies below it."""
        return path.startswith(self.prefix) and path[len(self.prefix) :][:1] in ("", "/")

    def below(self, scope: Scope) -> Scope:
        """Return a request as the dialect would get it on the root; `root_path` is the prefix."""
        changed: dict[str, Any] = {
            "path": scope["path"][len(self.prefix) :] or "/",
            "root_path": self.prefix,
            # A client may write the prefix with escapes: then the decoded path has to do.
            "raw_path": None,
        }
        raw: bytes = scope.get("raw_path") or b""
        prefix = self.prefix.encode()
        if raw.startswith(prefix):
            changed["raw_path"] = raw[len(prefix) :] or b"/"
        return {**scope, **changed}

    def back(self, send: Send) -> Send:
        """Return what sends an answer, its addresses below the prefix."""
        prefix = self.prefix.encode()

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, prefix + value if name in _ADDRESSES and value[:1] == b"/" else value)
                    for name, value in message.get("headers", ())
                ]
            await send(message)

        return sent


def mounts_of(
    prefixes: Mapping[str, str],
    dialects: Sequence[Dialect],
    routes: Mapping[str, Sequence[BaseRoute]],
    others: Sequence[BaseRoute],
    shared: Sequence[BaseRoute],
) -> list[Mount]:
    """Return the mounts that settings ask for.

    Shape: `prefixes` are by dialect, as are `routes`; `others` are those of the root besides, and
    `shared` those that clients of several dialects use.
    Raises: SettingsError.
    """
    served = {dialect.name: dialect for dialect in dialects}
    taken = {_first_segment(route) for each in (*routes.values(), others) for route in each}
    mounts: list[Mount] = []
    for name, prefix in prefixes.items():
        if name not in served:
            raise SettingsError(f"mounts: no dialect {name!r} is served")
        if not _PREFIX.match(prefix) or f"{prefix}/".partition("/.")[1]:
            raise SettingsError(f"mounts: {prefix!r} is not a prefix such as '/{name}'")
        if prefix.split("/")[1] in taken or any(one.owns(prefix) for one in dialects):
            raise SettingsError(f"mounts: {prefix!r} is taken", hint="choose another first segment")
        router = Router([*routes[name], *shared], redirect_slashes=False)
        mounts.append(Mount(prefix, served[name], router))
    # Of two prefixes that both fit, the longer one is meant.
    return sorted(mounts, key=lambda mount: -len(mount.prefix))


def mount_of(mounts: Iterable[Mount], path: str) -> Mount | None:
    """Return the mount that a path lies in."""
    return next((mount for mount in mounts if mount.holds(path)), None)


def _first_segment(route: BaseRoute) -> str:
    return route.path.split("/")[1] if isinstance(route, Route) else ""
