"""Where streams may be sent: the table of addresses, and names that lie about theirs."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from tallystick.errors import Malformed, SettingsError
from tallystick.subscriptions.streams.addresses import AllowedNetworks
from tallystick.subscriptions.streams.exchange import (
    AddressRefused,
    Dialer,
    ReceiverConnection,
    resolve,
    target_of,
)
from tests.subscriptions.streams.receivers import receiving

REFUSED = (
    ("0.0.0.0", "unspecified"),  # noqa: S104
    ("0.1.2.3", "unspecified"),
    ("10.0.0.1", "private"),
    ("10.255.255.255", "private"),
    ("100.64.0.1", "shared by a carrier's customers"),
    ("100.100.100.200", "shared by a carrier's customers"),
    ("127.0.0.1", "loopback"),
    ("127.8.8.8", "loopback"),
    ("168.63.129.16", "a cloud's own service"),
    ("169.254.169.254", "link-local"),
    ("169.254.170.2", "link-local"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.192", "reserved"),
    ("192.168.1.1", "private"),
    ("198.18.0.1", "for measurements"),
    ("203.0.113.7", "for documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"),
    ("255.255.255.255", "reserved"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:169.254.169.254", "link-local"),
    ("::127.0.0.1", "reserved"),
    ("64:ff9b::7f00:1", "a translation of IPv4"),
    ("64:ff9b:1::a00:1", "a translation of IPv4"),
    ("2002:7f00:1::", "a translation of IPv4"),
    ("2001:0:4136:e378::", "reserved"),
    ("2001:db8::1", "for documentation"),
    ("fc00::1", "private"),
    ("fd00:ec2::254", "private"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "no address of a host"),
    ("ff02::1", "multicast"),
    ("100::1", "reserved"),
    ("localhost", "no address of a host"),
)
PUBLIC = ("1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.128.0.1", "192.0.1.1",
          "223.255.255.254", "2606:4700:4700::1111", "2a00:1450:4001::1")  # fmt: skip


@pytest.mark.parametrize(("address", "what"), REFUSED)
def test_addresses_that_are_not_public_are_refused(address: str, what: str) -> None:
    assert AllowedNetworks().refusal(address) == what


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    assert AllowedNetworks().refusal(address) is None


def test_an_operator_allows_networks_by_name_and_no_others() -> None:
    networks = AllowedNetworks(["10.1.0.0/16", "fd00::/8", " 192.168.7.9 "])
    allowed = ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "192.168.7.9")
    assert [networks.refusal(address) for address in allowed] == [None] * 4
    assert networks.refusal("10.2.0.1") == "private"
    assert networks.refusal("192.168.7.8") == "private"
    with pytest.raises(SettingsError, match="streams_allow: 'intranet' is not a network"):
        AllowedNetworks(["intranet"])


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1"])
def test_every_spelling_of_an_address_is_looked_at(host: str) -> None:
    with pytest.raises(AddressRefused, match="may not be connected to"):
        Dialer(AllowedNetworks()).connect(target_of(f"https://{host}/"), 1e12)


def test_a_name_that_changes_its_address_leads_nowhere_else() -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        """Tell an allowed address first, and one of a metadata service ever after."""
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    dialer = Dialer(AllowedNetworks(["127.0.0.0/8"]), resolver=rebinding)
    with receiving() as receiver:
        target = target_of(f"http://rebinding.example:{receiver.port}/in")
        exchange = ReceiverConnection(target, dialer)
        for _ in range(2):
            assert exchange.post("/in", {}, b"{}").status == 200
        # One look-up for a connection: what was looked at is what was dialled.
        assert asked == ["rebinding.example"]
        assert receiver.taken[0].headers["host"] == f"rebinding.example:{receiver.port}"
        exchange.close()
        with pytest.raises(AddressRefused, match=r"169\.254\.169\.254 is link-local"):
            exchange.post("/in", {}, b"{}")


def test_of_several_addresses_only_those_that_may_be_dialled_are() -> None:
    def both(host: str, port: int) -> Sequence[str]:
        return ["10.0.0.1", "127.0.0.1"]

    with receiving() as receiver:
        target = target_of(f"http://both.example:{receiver.port}/")
        dialer = Dialer(AllowedNetworks(["127.0.0.1"]), resolver=both)
        exchange = ReceiverConnection(target, dialer)
        assert exchange.post("/", {}, b"").status == 200
        exchange.close()


def test_without_tls_only_allowed_networks_are_reached() -> None:
    dialer = Dialer(AllowedNetworks(), resolver=lambda host, port: ["1.1.1.1"])
    with pytest.raises(AddressRefused, match="reached without TLS"):
        dialer.connect(target_of("http://plain.example/"), 1e12)


def test_numbers_are_resolved_as_what_they_are() -> None:
    assert resolve("127.0.0.1", 80) == ["127.0.0.1"]
    assert socket.inet_aton("127.1") == socket.inet_aton("127.0.0.1")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/", "https://", "https:///x", "//example.com", "example.com",
        "https://user:secret@example.com/", "https://example.com:99999/", "https://exa mple.com/",
        "https://example.com/#part", "https://example.com/\r\nX: y", "https://[::1", "file:///etc",
        "gopher://example.com/", "https://example.com/ä",
    ],
)  # fmt: skip
def test_urls_that_no_stream_is_sent_to(url: str) -> None:
    with pytest.raises(Malformed):
        target_of(url)
