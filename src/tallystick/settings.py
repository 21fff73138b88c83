"""Settings of one server: values given once, passed along, never imported from afar.

They come from a TOML file, then the environment, then the command line, the later winning. A
dialect's own settings are a table under its name.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from tallystick import json_text, limits
from tallystick.errors import SettingsError

ENVIRONMENT_PREFIX = "TALLYSTICK_"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that may be configured; `docs/operations.md` explains each."""

    server_name: str = "localhost"
    """Names new logs and issues tokens; fixed for a log once it exists."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8080
    """Port to listen on; 0 takes a free one."""
    external_url: str | None = None
    """How clients reach the server, when that differs from what requests say."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names by which requests may reach the server and that may stand in links."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose word on the client's address is taken."""
    metrics_key: str | None = None
    """The bearer secret that `/metrics` asks for; None leaves it open."""
    database: str | None = None
    """URL of a PostgreSQL that holds the log and identity; None keeps them in the data folder."""
    search: str | None = None
    """URL of an OpenSearch that keeps the search index; None keeps one in the data folder."""
    remembered_heads: str | None = None
    """A second folder for the latest head of every log, best on another machine's disk."""
    mirrors: tuple[str, ...] = ()
    """Folders with mirrors of the logs; a log that is behind one of them is not written to."""
    erasure_list: str | None = None
    """A second file for the positions of what was erased, best on another machine's disk."""
    retention_hours: float = 24.0
    """How many hours lie between two runs of a retention policy; 0 leaves runs to the command."""
    timestamps: Literal["off", "best-effort", "required"] = "off"
    """Whether checkpoints are stamped; when `required`, `/readyz` says which are not."""
    timestamp_url: str | None = None
    """Where the time-stamping authority takes requests (RFC 3161)."""
    timestamp_hours: float = 24.0
    """How many hours lie between two timestamps of a log that grows."""
    dialects: tuple[str, ...] | None = None
    """The dialects to serve; None serves all."""
    mounts: dict[str, str] = {}
    """Prefixes by dialect, below which it is served too."""
    blob_bytes: int = limits.BLOB_BYTES
    """Size of one uploaded blob at most."""
    page_bytes: int = limits.PAGE_BYTES
    """Content of the events on one page with a cursor."""
    answer_bytes: int = limits.ANSWER_BYTES
    """Memory for answers under way to all clients."""
    streams_allow: tuple[str, ...] = ()
    """Networks that streams may be sent to although they are not public."""
    streams_destinations: dict[str, dict[str, Any]] = {}
    """Places for objects by name: each a `url`, and what its object store wants to know."""
    exports_days: float = 7.0
    """How many days the file of an export is kept."""
    query_seconds: float = limits.QUERY_SECONDS
    """How long a query may take before it is 503."""
    oidc: dict[str, Any] = {}
    """How people sign in to the console through an OpenID provider, as `docs/console.md` says."""
    log_level: str = "info"
    """Least level of what the server logs: debug, info, warning or error."""
    orchestrate: dict[str, Any] = {}
    """Settings of the Orchestrate.io API, as its README lists them."""
    kvass: dict[str, Any] = {}
    """Settings of the Kvass API."""
    datatrails: dict[str, Any] = {}
    """Settings of the DataTrails API."""
    cloudfoundry: dict[str, Any] = {}
    """Settings of the Cloud Foundry API."""
    onehub: dict[str, Any] = {}
    """Settings of the Onehub API."""

    def of_dialect(self, name: str) -> Mapping[str, Any]:
        """Return the settings table of one dialect."""
        table: Mapping[str, Any] = getattr(self, name, {})
        return table


def load_settings(
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    given: Mapping[str, object] | None = None,
) -> Settings:
    """Return the settings from a file, the environment and arguments that are not None.

    Raises: SettingsError naming the setting.
    """
    values: dict[str, Any] = {} if file is None else _read(file)
    for name in Settings.__struct_fields__:
        text = environment.get(ENVIRONMENT_PREFIX + name.upper())
        if text is not None:
            values[name] = _parsed(name, text)
    values.update({name: value for name, value in (given or {}).items() if value is not None})
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise bad_setting(error) from None


def bad_setting(error: msgspec.ValidationError, *tables: str) -> SettingsError:
    """Return what is wrong with the settings, or with those of a table."""
    wrong, pointer = json_text.explained(error)
    name = ".".join((*tables, *filter(None, pointer.split("/"))))
    return SettingsError(f"bad setting {name}: {wrong}")


def _parsed(name: str, text: str) -> object:
    """Return a setting from its text in the environment."""
    if name in ("dialects", "allowed_hosts", "trusted_proxies", "streams_allow"):
        return text.split(",")
    if name == "mounts":
        return dict(part.partition("=")[::2] for part in text.split(","))
    return text


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"no such settings file: {file.name}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file.name} is not TOML: {error}") from None
