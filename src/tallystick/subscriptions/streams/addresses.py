"""Which addresses a stream may be sent to: public ones, and what an operator allows by name.

The maker of a stream chooses its URL, and this server dials it from inside a network that the
maker may not reach. So everything that is not plainly a host of the public internet is refused.
Source: the IANA registries of special-purpose addresses, RFC 6890.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from tallystick.errors import SettingsError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REFUSED: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "unspecified"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by a carrier's customers"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "a cloud's own service"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "for documentation"),
    ("192.88.99.0/24", "reserved"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "for measurements"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("64:ff9b::/96", "a translation of IPv4"),
    ("64:ff9b:1::/48", "a translation of IPv4"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
    ("2001::/23", "reserved"),
    ("2001:db8::/32", "for documentation"),
    ("2002::/16", "a translation of IPv4"),
    ("3fff::/20", "for documentation"),
)
_NETWORKS = tuple((ip_network(text), what) for text, what in _REFUSED)
_GLOBAL_V6 = IPv6Network("2000::/3")


class AllowedNetworks:
    """Decides about addresses; `networks` are those that the operator allows beside public ones.

    Raises: SettingsError for a text that is not a network.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(map(_network, networks))

    def refusal(self, text: str) -> str | None:
        """Return why an address may not be connected to; None if it may."""
        address = _address(text)
        if address is None:
            return "no address of a host"
        if self.names(text):
            return None
        for network, what in _NETWORKS:
            if address.version == network.version and address in network:
                return what
        if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
            return "reserved"
        return None

    def names(self, text: str) -> bool:
        """Tell whether the operator allows an address by name."""
        address = _address(text)
        return address is not None and any(
            address.version == network.version and address in network for network in self._networks
        )


def _address(text: str) -> Address | None:
    """Return an address, of IPv4 where IPv6 only wraps one; None for one of a single link."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def _network(text: str) -> Network:
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        raise SettingsError(
            f"streams_allow: {text!r} is not a network",
            hint="write it like 10.1.0.0/16 or fd00::/8",
        ) from None
