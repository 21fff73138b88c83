"""Requests to receivers that misbehave, with TLS and without."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tallystick.subscriptions.streams import exchange as exchanges
from tallystick.subscriptions.streams.addresses import AllowedNetworks
from tallystick.subscriptions.streams.exchange import Dialer, ReceiverConnection, target_of
from tests.subscriptions.streams.receivers import Answer, Received, receiving

LOCAL = AllowedNetworks(["127.0.0.0/8"])


def exchange_with(port: int) -> ReceiverConnection:
    return ReceiverConnection(target_of(f"http://127.0.0.1:{port}/in"), Dialer(LOCAL))


@contextmanager
def raw_server(*answers: bytes, pause_s: float = 0.0) -> Iterator[int]:
    """Yield the port of a server that sends pieces with pauses, whatever it is asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(65536)
                for piece in answers:
                    try:
                        client.sendall(piece)
                    except OSError:
                        break
                    if ended.wait(pause_s):
                        return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_connection_is_kept_and_made_again_when_it_was_closed() -> None:
    with receiving() as receiver:
        exchange = exchange_with(receiver.port)
        for number in range(3):
            assert exchange.post("/in", {"X-Number": str(number)}, b"[]").status == 200
        assert [each.headers["x-number"] for each in receiver.taken] == ["0", "1", "2"]
        # The receiver closes an idle connection; nobody notices.
        assert exchange._timed is not None
        exchange._timed._sock.shutdown(socket.SHUT_RDWR)
        assert exchange.post("/in", {}, b"[]").status == 200
        exchange.close()


@pytest.mark.parametrize(
    "pieces",
    [
        (b"\x16\x03\x01nonsense\r\n\r\n",),
        (b"",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",),
    ],
)  # fmt: skip
def test_garbage_and_half_an_answer_are_errors(pieces: tuple[bytes, ...]) -> None:
    with raw_server(*pieces) as port:
        exchange = exchange_with(port)
        with pytest.raises((OSError, http.client.HTTPException)):
            exchange.post("/in", {}, b"{}")


@pytest.mark.parametrize("piece", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_an_answer_that_trickles_is_cut_off(piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "REPLY_S", 0.3)
    more = [b"X: y\r\n" if piece.startswith(b"HTTP/1.1 2") else piece] * 400
    with raw_server(piece, *more, pause_s=0.05) as port:
        started_s = time.monotonic()
        with pytest.raises(TimeoutError):
            exchange_with(port).post("/in", {}, b"{}")
        assert time.monotonic() - started_s < 5


def test_a_long_answer_is_read_in_part() -> None:
    long = Answer(200, b"x" * 1_000_000)
    with receiving(lambda number, received: long) as receiver:
        exchange = exchange_with(receiver.port)
        assert len(exchange.post("/in", {}, b"{}").body) == exchanges.REPLY_BYTES
        assert exchange.post("/in", {}, b"{}").status == 200
        exchange.close()


def test_no_redirect_is_followed_and_no_proxy_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with receiving() as elsewhere:
        answer = Answer(302, b"", (("Location", elsewhere.url),))
        with receiving(lambda number, received: answer) as receiver:
            exchange = exchange_with(receiver.port)
            assert exchange.post("/in", {}, b"{}").status == 302
            exchange.close()
        assert elsewhere.attempts == []


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=90)
    values = ["7", format_datetime(soon, usegmt=True), "soon", "-1", "9" * 40]

    def decide(number: int, received: Received) -> Answer:
        return Answer(503, b"", (("Retry-After", values[number]),))

    with receiving(decide) as receiver:
        exchange = exchange_with(receiver.port)
        seven, date, *others = [exchange.post("/in", {}, b"").retry_after_s for _ in values]
        exchange.close()
    assert seven == 7
    assert date is not None
    assert 80 < date <= 90
    assert others == [None, None, None]


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Return the files of a self-signed certificate for a name, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@contextmanager
def tls_server(files: tuple[Path, Path]) -> Iterator[tuple[int, list[str | None]]]:
    """Yield the port of a TLS server, and the names it is asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    names: list[str | None] = []
    context.sni_callback = lambda sock, name, context: names.append(name)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as client:
                    received = b""
                    while not received.endswith(b"{}"):
                        received += client.recv(65536)
                    client.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            except OSError:
                plain.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], names
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_certificates_are_verified_for_the_name_and_not_the_address(tmp_path: Path) -> None:
    files = certificate(tmp_path, "receiver.example")
    trusting = ssl.create_default_context(cafile=str(files[0]))
    with tls_server(files) as (port, names):

        def dial(host: str, tls: ssl.SSLContext | None) -> int:
            dialer = Dialer(LOCAL, resolver=lambda host, port: ["127.0.0.1"], tls=tls)
            exchange = ReceiverConnection(target_of(f"https://{host}:{port}/"), dialer)
            return exchange.post("/", {}, b"{}").status

        assert dial("receiver.example", trusting) == 204
        assert names == ["receiver.example"]
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            dial("other.example", trusting)
        with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
            dial("receiver.example", None)


def test_an_address_in_a_url_is_dialled_as_it_is() -> None:
    target = target_of("https://[2606:4700::1111]:8443/in?x=1")
    assert (target.host, target.authority) == ("2606:4700::1111", "[2606:4700::1111]:8443")
    assert target.path == "/in?x=1"
