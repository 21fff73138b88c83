"""Requests to receivers: one connection kept to a URL, dialled at an address that was looked at.

A name is resolved once for a connection, and the address that passed is the one that is dialled,
so a name that changes its answer in between leads nowhere else. The host's name is kept for TLS
and `Host`. No redirect is followed, no proxy asked, certificates are always verified, and every
step has an end: a receiver that trickles or never stops is cut off.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tallystick import __version__
from tallystick.errors import Malformed
from tallystick.subscriptions.streams.addresses import AllowedNetworks

CONNECT_S = 10.0
"""How long it may take to reach a receiver and agree on TLS."""
REPLY_S = 30.0
"""How long a receiver may take to take a request and answer it."""
REPLY_BYTES = 64 * 1024
"""Bytes of an answer that are read; the connection of a longer one is closed."""
_PIECE_BYTES = 256 * 1024

Resolver = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host."""


class AddressRefused(Exception):
    """A receiver is at no address that may be dialled."""


class Target(NamedTuple):
    """A URL, taken apart."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What `Host` says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"


class Reply(NamedTuple):
    """What a receiver answered; `body` is its beginning."""

    status: int
    body: bytes
    retry_after_s: float | None


def target_of(url: str) -> Target:
    """Return a URL taken apart.

    Raises: Malformed for one that no stream is sent to.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode() if parts.hostname else ""
    except (ValueError, UnicodeError):
        raise Malformed("the URL cannot be read", path="/to") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Malformed("a receiver's URL must begin with https://", path="/to")
    if parts.username is not None or parts.password is not None:
        raise Malformed(
            "a receiver's URL must not contain a password", path="/to", hint="send a header instead"
        )
    if parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise Malformed("a receiver's URL must be ASCII, without spaces or a fragment", path="/to")
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    return Target(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path)


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, as the machine's resolver has them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Dialer:
    """Reaches receivers; safe to share between threads."""

    def __init__(
        self,
        networks: AllowedNetworks,
        *,
        resolver: Resolver = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._networks = networks
        self._resolver = resolver
        self._tls = tls or ssl.create_default_context()

    def connect(self, target: Target, deadline_s: float) -> socket.socket:
        """Return a connection to a target, with TLS if it wants that.

        Raises: AddressRefused, OSError.
        """
        reasons: list[str] = []
        last: OSError | None = None
        for address in dict.fromkeys(self._resolver(target.host, target.port)):
            why = self._refusal(target, address)
            if why is not None:
                reasons.append(f"{address} is {why}")
                continue
            try:
                return self._dial(target, address, deadline_s)
            except OSError as error:
                last = error
        if last is not None:
            raise last
        raise AddressRefused(
            f"{target.host} may not be connected to: {'; '.join(reasons) or 'it has no address'}"
        )

    def _refusal(self, target: Target, address: str) -> str | None:
        why = self._networks.refusal(address)
        if why is None and target.scheme == "http" and not self._networks.names(address):
            return "reached without TLS, which streams_allow does not allow"
        return why

    def _dial(self, target: Target, address: str, deadline_s: float) -> socket.socket:
        # The address is a number: nothing is resolved here.
        plain = socket.create_connection((address, target.port), timeout=_left_s(deadline_s))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if target.scheme == "http":
                return plain
            plain.settimeout(_left_s(deadline_s))
            return self._tls.wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise


class ReceiverConnection:
    """Requests to one URL, one after the other; belongs to one thread."""

    def __init__(self, target: Target, dialer: Dialer) -> None:
        self._target = target
        self._dialer = dialer
        self._connection: http.client.HTTPConnection | None = None
        self._timed: _Timed | None = None

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a body and return what the receiver answers.

        Raises: AddressRefused, OSError, http.client.HTTPException.
        """
        if self._connection is not None:
            try:
                return self._post(path, headers, body)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # It was closed while nobody used it; a new one tells how the receiver is.
                self.close()
        self._open()
        return self._post(path, headers, body)

    def close(self) -> None:
        """Close the connection; idempotent, and another one is made when one is needed."""
        timed, self._timed, self._connection = self._timed, None, None
        if timed is not None:
            timed.close()

    def _open(self) -> None:
        sock = self._dialer.connect(self._target, time.monotonic() + CONNECT_S)
        self._timed = _Timed(sock)
        self._connection = http.client.HTTPConnection(self._target.host, self._target.port)
        self._connection.auto_open = 0
        self._connection.sock = self._timed

    def _post(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        connection, timed = self._connection, self._timed
        assert connection is not None, "it was opened"
        assert timed is not None, "it was opened"
        timed.deadline_s = time.monotonic() + REPLY_S
        kept = False
        try:
            connection.putrequest("POST", path, skip_host=True, skip_accept_encoding=True)
            own = {
                "Host": self._target.authority,
                "User-Agent": f"tallystick/{__version__}",
                "Content-Length": str(len(body)),
            }
            for name, value in {**headers, **own}.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            with connection.getresponse() as answer:
                beginning = answer.read(REPLY_BYTES)
                if answer.length and len(beginning) < REPLY_BYTES:
                    raise http.client.IncompleteRead(beginning, answer.length)
                kept = not answer.will_close and answer.isclosed()
                retry_after = answer.getheader("retry-after")
                return Reply(answer.status, beginning, _seconds(retry_after))
        finally:
            if not kept:
                self.close()


class _Timed:
    """A socket whose every step ends by one deadline; what `http.client` takes for a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.deadline_s = 0.0

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(_left_s(self.deadline_s))
            rest = rest[self._sock.send(rest[:_PIECE_BYTES]) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self), 16 * 1024)

    def receive(self, buffer: Any) -> int:
        self._sock.settimeout(_left_s(self.deadline_s))
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        self._sock.close()


class _TimedReader(io.RawIOBase):
    def __init__(self, timed: _Timed) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.receive(buffer)


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("it took too long")
    return left_s


def _seconds(retry_after: str | None) -> float | None:
    """Return how long a receiver asks to be left alone; None where it does not say so plainly."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
