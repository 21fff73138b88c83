"""Static files of the console, under a name that changes with their content.

They stand below one hash of all of them, so that modules may import each other by name and a
browser may keep them for good. The embedded feed has a fixed address as well.
"""

from __future__ import annotations

import gzip
import hashlib
from importlib.resources import files
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from tallystick.errors import NotFound

STATIC = "/console/static"
FEED = "tally-feed.js"

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOREVER = "public, max-age=31536000, immutable"


class _Asset(NamedTuple):
    body: bytes
    packed: bytes
    media_type: str
    etag: str


class Assets:
    """The static files, read once."""

    def __init__(self) -> None:
        self._assets: dict[str, _Asset] = {}
        everything = hashlib.sha256()
        folder = files("tallystick.console") / "static"
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            suffix = file.name.rpartition(".")[2]
            if suffix not in _TYPES:
                continue
            body = file.read_bytes()
            digest = hashlib.sha256(body).hexdigest()
            everything.update(f"{file.name}\n{digest}\n".encode())
            packed = gzip.compress(body, 9, mtime=0)
            self._assets[file.name] = _Asset(body, packed, _TYPES[suffix], f'"{digest[:32]}"')
        self.version = everything.hexdigest()[:16]

    def url(self, name: str) -> str:
        """Return the address of a file."""
        if name not in self._assets:
            raise KeyError(name)
        return f"{STATIC}/{self.version}/{name}"

    async def answer(self, request: Request) -> Response:
        """Answer a file below its hash, or the feed at its fixed address."""
        version, _, name = request.path_params["path"].rpartition("/")
        asset = self._assets.get(name)
        is_feed = not version and name == FEED
        if asset is None or (version != self.version and not is_feed):
            raise NotFound("no such file")
        headers = {
            "Cache-Control": "public, max-age=300" if is_feed else _FOREVER,
            "ETag": asset.etag,
            "Vary": "Accept-Encoding",
        }
        if is_feed:
            # Pages of other hosts load it as a module.
            headers["Access-Control-Allow-Origin"] = "*"
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if request.headers.get("if-none-match") == asset.etag:
            return Response(status_code=304, headers=headers)
        body = asset.body
        if "gzip" in request.headers.get("accept-encoding", ""):
            body, headers["Content-Encoding"] = asset.packed, "gzip"
        return Response(body, headers=headers, media_type=asset.media_type)
