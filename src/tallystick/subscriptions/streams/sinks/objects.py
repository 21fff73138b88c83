"""Object stores: a stretch of the log as one compressed file of JSON lines.

An object is named by its stretch, so a retry writes the same object again. Where objects go, and
with which credentials, is the operator's to say; a stream only names it.
"""

from __future__ import annotations

import gzip
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from tallystick import durable
from tallystick.errors import Malformed, SettingsError
from tallystick.exports.formats.base import Source
from tallystick.exports.formats.ocsf import notice_line, ocsf_line
from tallystick.subscriptions.streams.sinks.base import EventBatch

_SCHEMES = ("s3", "gs", "az", "file")
_AMBIENT = ("AWS_", "AZURE_", "GOOGLE_", "GCP_")
_COMPRESSION = 6
_SUFFIXES = {"ndjson": ".ndjson", "ocsf": ".ocsf.ndjson"}
FORMS = tuple(_SUFFIXES)
"""What an object may hold."""

_PLAIN = "allow_http"
# What says with whose rights an object store is written to, by the scheme of its URL.
_CREDENTIALS = {
    "s3": ("access_key_id", "aws_access_key_id", "skip_signature", "aws_skip_signature"),
    "gs": ("service_account", "service_account_key", "google_service_account",
           "google_service_account_key", "skip_signature"),
    "az": ("account_key", "azure_storage_account_key", "sas_key", "azure_storage_sas_key",
           "client_secret", "azure_storage_client_secret", "skip_signature"),
}  # fmt: skip


class Destination:
    """One place for objects, as the operator configured it.

    Raises: SettingsError.
    """

    def __init__(self, name: str, table: Mapping[str, Any]) -> None:
        self._name = name
        url = table.get("url")
        self._options = {key: str(value) for key, value in table.items() if key != "url"}
        if not isinstance(url, str) or urlsplit(url).scheme not in _SCHEMES:
            raise SettingsError(
                f"streams_destinations.{name}: url begins with one of "
                f"{', '.join(f'{scheme}://' for scheme in _SCHEMES)}"
            )
        self._url = url
        self._scheme = urlsplit(url).scheme
        needed = _CREDENTIALS.get(self._scheme)
        if needed is not None and not any(key in self._options for key in needed):
            raise SettingsError(
                f"streams_destinations.{name} has no credentials",
                hint=f"set one of {', '.join(needed)}; those of the machine are not used",
            )
        self._store: Any = None

    def put(self, name: str, data: bytes) -> None:
        """Write an object, in the place of one of the same name.

        Raises: OSError; whatever the library of the object store raises.
        """
        if self._scheme == "file":
            _write(Path(unquote(urlsplit(self._url).path)) / name, data)
            return
        try:
            if self._store is None:
                self._store = self._open()
            _obstore("obstore").put(self._store, name, data)
        except BaseException as error:
            # How the library says that it does not know an option; no other error is of this kind.
            if type(error).__name__ == "PanicException":
                raise SettingsError(
                    f"streams_destinations.{self._name} cannot be used: {error}"
                ) from error
            raise

    def _open(self) -> Any:
        config = {name: text for name, text in self._options.items() if name != _PLAIN}
        return _obstore("obstore.store").from_url(
            self._url,
            config=config,
            client_options={_PLAIN: self._options.get(_PLAIN) == "true", "timeout": "60s"},
            retry_config={"max_retries": 2},
        )


def destination(name: str, tables: Mapping[str, Mapping[str, Any]]) -> Destination:
    """Return the destination of a name.

    Raises: Malformed when the operator configured none of that name; SettingsError.
    """
    if name not in tables:
        raise Malformed(
            f"unknown destination {name!r}",
            path="/to",
            hint="an operator configures destinations in streams_destinations",
        )
    return Destination(name, tables[name])


def drop_ambient_credentials() -> None:
    """Remove from the environment what libraries of object stores would take for credentials."""
    for name in list(os.environ):
        if name.startswith(_AMBIENT):
            del os.environ[name]


def form_of(options: Mapping[str, Any]) -> str:
    """Return what objects hold by a stream's options: events as they are, or as OCSF.

    Raises: Malformed.
    """
    form = options.get("format", FORMS[0])
    if options.keys() - {"format"} or form not in FORMS:
        raise Malformed(
            f"an object sink takes the option format, one of {', '.join(FORMS)}", path="/options"
        )
    return str(form)


def object_name(batch: EventBatch, form: str) -> str:
    """Return the name of the object that holds a batch."""
    tenant = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else _hex(c)
                     for c in batch.tenant)  # fmt: skip
    return f"{tenant}/{batch.stream}/{batch.id}{_SUFFIXES[form]}.gz"


def content_of(batch: EventBatch, form: str, origin: str) -> bytes:
    """Return a batch as compressed lines; the same bytes for the same events."""
    lines = [message.body + b"\n" for message in batch.messages]
    lines += [msgspec.json.encode(notice) + b"\n" for notice in batch.notices]
    if form == "ocsf":
        source = Source(origin)
        lines = [_ocsf(msgspec.json.decode(line), source) for line in lines]
    return gzip.compress(b"".join(lines), _COMPRESSION, mtime=0)


def _ocsf(content: dict[str, Any], source: Source) -> bytes:
    is_event = content.get("op") in ("record", "revise") and "occurred_at" in content
    return ocsf_line(content, source) if is_event else notice_line(content, source)


def _hex(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def _obstore(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SettingsError(
            "object stores need a library that is not installed",
            hint="pip install 'tallystick[objectstore]'",
        ) from error


def _write(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, and stays."""
    durable.create_folder(path.parent)
    durable.replace_file(path, data)
