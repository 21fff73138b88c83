"""Under which name a request reached the server, and which names may stand in its answers."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from starlette.types import Scope

from tallystick.errors import Malformed
from tallystick.settings import Settings

_HOSTS_KEPT = 256
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_host = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::([0-9]*))?")


def check_host(scope: Scope) -> None:
    """See that a request of HTTP/1.1 names its host, once and well-formed.

    Raises: Malformed. Source: RFC 9112 section 3.2.
    """
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) > 1 or (not hosts and scope.get("http_version") == "1.1"):
        raise Malformed("a request has exactly one Host header", path="Host")
    if hosts and not _is_host(hosts[0]):
        raise Malformed("the Host header is not a host with an optional port", path="Host")


@lru_cache(_HOSTS_KEPT)
def _is_host(value: bytes) -> bool:
    return _host.fullmatch(value.decode("latin-1")) is not None


class Hosts:
    """Names of this server that a request may use and be answered with.

    Anybody can send any Host; a link made of it would lead the next reader, or a shared cache's,
    to a stranger's machine.
    """

    def __init__(self, settings: Settings) -> None:
        names = (settings.server_name, settings.host, *settings.allowed_hosts)
        self._names = frozenset(name.lower().strip("[]") for name in names) | _LOOPBACK
        self._settings = settings

    def base_url(self, scope: Scope) -> str:
        """Return the address for links, without a final slash or a mount's prefix."""
        known = self._settings.external_url
        if known is not None:
            return known.rstrip("/")
        return f"{scope['scheme']}://{self._host(scope)}{scope.get('root_path', '')}"

    def _host(self, scope: Scope) -> str:
        text = next((v.decode("latin-1") for n, v in scope["headers"] if n == b"host"), "")
        match = _host.fullmatch(text)
        if match is not None and self._is_ours(match[1].strip("[]").lower(), scope):
            return text
        address = scope.get("server")
        port = self._settings.port
        if address is not None and address[1] is not None:
            port = address[1]
        return f"{self._settings.server_name}:{port}"

    def _is_ours(self, name: str, scope: Scope) -> bool:
        if name in self._names:
            return True
        address = scope.get("server")
        return address is not None and _is_same_address(name, address[0])


def _is_same_address(name: str, address: str) -> bool:
    """Tell whether a name is the address that took the connection, however it is spelt."""
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(address)
    except ValueError:
        return False
