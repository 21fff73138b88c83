"""The address a request comes from, behind proxies whose word is taken.

Each proxy adds, behind what it was sent, the address that spoke to it. So the list is read from
its end for as long as the addresses are those of trusted proxies; the first other one is the
client, and all before it is only what the client says. Source: RFC 7239; X-Forwarded-For.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from starlette.types import Scope

from tallystick.errors import SettingsError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_for = re.compile(r'(?:^|;)\s*for\s*=\s*("[^"]*"|[^;,\s]+)', re.IGNORECASE)
_IPV6_CLIENT_BITS = 64
"""What one client is given of IPv6: counting single addresses would count nobody."""


class Proxies:
    """The proxies in front of the server."""

    def __init__(self, trusted: Iterable[str]) -> None:
        """Read the setting.

        Raises: SettingsError for a text that is no address and no network.
        """
        self._networks: list[Network] = []
        for text in trusted:
            try:
                self._networks.append(ipaddress.ip_network(text.strip(), strict=False))
            except ValueError:
                raise SettingsError(
                    f"trusted_proxies: {text!r} is not an address or a network",
                    hint="write 10.0.0.5 or 10.0.0.0/8",
                ) from None

    def client_address(self, scope: Scope) -> str:
        """Return the address that a request comes from, an IPv6 one as its network of 64 bits.

        Shape: empty over a socket that has none.
        """
        client = scope.get("client")
        address = client[0] if client else ""
        if self._networks and self._is_trusted(address):
            for hop in reversed(_hops(scope)):
                address = hop
                if not self._is_trusted(hop):
                    break
        return _counted(address)

    def _is_trusted(self, address: str) -> bool:
        parsed = _address(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def _hops(scope: Scope) -> Sequence[str]:
    """Return the addresses that proxies tell, the nearest last."""
    headers = [(name, value.decode("latin-1")) for name, value in scope["headers"]]
    forwarded = ",".join(value for name, value in headers if name == b"forwarded")
    if forwarded:
        found = [_for.search(part.strip()) for part in forwarded.split(",")]
        return [_without_port(match[1].strip('"')) if match else "" for match in found]
    listed = ",".join(value for name, value in headers if name == b"x-forwarded-for")
    return [_without_port(part.strip()) for part in listed.split(",")] if listed else []


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def _counted(text: str) -> str:
    parsed = _address(text)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_CLIENT_BITS), strict=False))
    return text if parsed is None else str(parsed)
