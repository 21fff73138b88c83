"""Reaching the log at a URL: the native API with a credential, or the prefix of its tiles."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tallystick.client.log_check import ShownLog, TiledLog, origin_of, parse_rotations
from tallystick.errors import ContentMismatch, SettingsError
from tallystick.tlog.encoding import from_base64

if TYPE_CHECKING:
    from tallystick.client.client import Client


class ServerLog:
    """The log of a credential's tenant, as the native API shows it."""

    needs_credential = True

    def __init__(self, client: Client) -> None:
        """Ask for the newest checkpoint. Raises: ApiError, Unreachable."""
        self._client = client
        told: dict[str, Any] = client.request("GET", "/v1/checkpoint")
        self.note = str(told["checkpoint"])
        self._key = str(told["verifier_key"])

    def key(self) -> str | None:
        """Return the verifier key that the server names."""
        return self._key

    def rotations(self) -> list[str]:
        """Return the statements that the server shows."""
        log_id = origin_of(self.note).rpartition("/")[2]
        data = self._client.fetch_if_there(f"/log/{quote(log_id, safe='')}/rotations")
        return [] if data is None else parse_rotations(data)

    def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """Return the server's proof that the log only grew. Raises: ContentMismatch."""
        params = {"from": old_size, "to": new_size}
        told = self._client.request("GET", "/v1/proofs/consistency", params=params)
        return [from_base64(str(each), ContentMismatch, "a hash") for each in told["hashes"]]


def shown_log(client: Client, public: Client) -> ShownLog:
    """Return the log at a URL, which two clients reach with the credential and without.

    The credential goes nowhere where a checkpoint is public.
    Raises: ApiError, Unreachable; SettingsError when no log is there.
    """
    note = public.fetch_if_there("/checkpoint")
    if note is not None and _is_note(note):
        return TiledLog(public.fetch_if_there, note.decode("utf-8", "replace"))
    if client is not public:
        note = client.fetch_if_there("/checkpoint")
        if note is not None and _is_note(note):
            return TiledLog(client.fetch_if_there, note.decode("utf-8", "replace"))
        return ServerLog(client)
    raise SettingsError(
        "no public log is at this URL",
        hint="a log is at https://HOST/log/ID; a server's own URL needs an API key: --key",
    )


def place_of(url: str, credential: str | None) -> str:
    """Return what names a place: a URL, and the credential where it decides which log is shown."""
    secret = "" if credential is None else hashlib.sha256(credential.encode()).hexdigest()
    return f"{url.rstrip('/')} {secret}".rstrip()


def _is_note(data: bytes) -> bool:
    return b"\n\n\xe2\x80\x94 " in data
