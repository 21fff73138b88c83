"""A small OpenID provider on a real socket, for tests; it misbehaves as it is told.

It follows OpenID Connect Core 1.0 as far as a client can see, with no page between: a person who is
sent to it comes back at once as the person that the test named.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

Json = dict[str, Any]

CLIENT, SECRET = "console", "a secret: with %signs"


class OpenIdProvider:
    """The provider; `person` are the claims of the person who comes, `twist` changes a token's."""

    def __init__(self) -> None:
        self.person: Json = {"sub": "ada", "name": "Ada", "groups": ["auditors"]}
        self.twist: Callable[[Json], None] = lambda claims: None
        self.answer: dict[str, str | None] = {}
        """Parameters of the way back that differ; None leaves one out."""
        self.metadata: Json = {}
        self.key: RSAKey | ECKey = RSAKey.generate_key(2048, {"kid": "one"})
        self.signed_with: RSAKey | ECKey | None = None
        self.algorithm = "RS256"
        self.requests: list[Json] = []
        """What people were sent here with."""
        self.token_requests: list[Json] = []
        self._codes: dict[str, Json] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self) -> None:
                provider._get(self)

            def do_POST(self) -> None:
                provider._token(self)

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _get(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        match parts.path:
            case "/.well-known/openid-configuration":
                _send(handler, self._metadata())
            case "/keys":
                _send(handler, {"keys": [self.key.as_dict(private=False)]})
            case "/authorize":
                self._authorize(handler, {k: v[0] for k, v in parse_qs(parts.query).items()})
            case _:
                _send(handler, {"left": True})

    def _metadata(self) -> Json:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/logout",
            "authorization_response_iss_parameter_supported": True,
            "response_types_supported": ["code"],
            **self.metadata,
        }

    def _authorize(self, handler: BaseHTTPRequestHandler, request: Json) -> None:
        self.requests.append(request)
        code = secrets.token_urlsafe(12)
        self._codes[code] = request
        answer = {"code": code, "state": request["state"], "iss": self.issuer, **self.answer}
        query = urlencode({name: value for name, value in answer.items() if value is not None})
        handler.send_response(302)
        handler.send_header("Location", f"{request['redirect_uri']}?{query}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def _token(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self.token_requests.append(form)
        request = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = _base64(digest).decode()
        if (
            request is None
            or request["code_challenge"] != challenge
            or request["redirect_uri"] != form["redirect_uri"]
            or not self._is_client(handler, form)
        ):
            _send(handler, {"error": "invalid_grant"}, 400)
            return
        now_s = int(time.time())
        claims: Json = {
            "iss": self.issuer, "aud": CLIENT, "iat": now_s, "exp": now_s + 60,
            "auth_time": now_s, "nonce": request["nonce"], **self.person,
        }  # fmt: skip
        self.twist(claims)
        token = self._signed(claims)
        _send(handler, {"access_token": "a", "token_type": "Bearer", "id_token": token})

    def _signed(self, claims: Json) -> str:
        key = self.signed_with or self.key
        header = {"alg": self.algorithm, "kid": key.kid}
        if self.algorithm != "HS256":
            return jwt.encode(header, claims, key, algorithms=[self.algorithm])
        # What libraries refuse to make: the public key, which everybody knows, as a secret.
        text = b".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        mac = hmac.new(self.key.as_pem(private=False), text, "sha256").digest()
        return b".".join((text, _base64(mac))).decode()

    @staticmethod
    def _is_client(handler: BaseHTTPRequestHandler, form: Json) -> bool:
        expected = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        basic = handler.headers.get("Authorization") == f"Basic {expected}"
        return basic or (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _send(handler: BaseHTTPRequestHandler, value: Json, status: int = 200) -> None:
    body = json.dumps(value).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextlib.contextmanager
def openid_provider() -> Iterator[OpenIdProvider]:
    """Serve a provider until the block ends."""
    provider = OpenIdProvider()
    try:
        yield provider
    finally:
        provider.close()
