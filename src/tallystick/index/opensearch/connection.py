"""How an OpenSearch is reached: its URL, its client, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from tallystick.errors import SettingsError, StoreBusy, StoreError

FORMAT = 1
"""Version of what is written for an event; each has indexes and an alias of its own."""

_SCHEMES = {"opensearch": False, "opensearchs": True}
_PORT = 9200
_TIMEOUT_S = 10
_HINT = (
    "opensearch://[user:password@]host[:port][/prefix][?shards=1&replicas=0], opensearchs for TLS"
)
_BUSY = (408, 429, 502, 503, 504)


class EngineTarget(NamedTuple):
    """An OpenSearch, and what our indexes in it are called."""

    host: str
    port: int
    user: tuple[str, str] | None
    has_tls: bool
    prefix: str
    shards: int
    replicas: int

    @property
    def alias(self) -> str:
        """The name by which the index that is served can be found, whichever that is."""
        return f"{self.prefix}-v{FORMAT}"


def is_opensearch(search: str | None) -> bool:
    """Tell whether the setting `search` names an OpenSearch."""
    return search is not None and search.partition("://")[0] in _SCHEMES


def target_of(search: str) -> EngineTarget:
    """Return what the setting `search` names.

    Raises: SettingsError, which does not quote it: it may hold a password.
    """
    try:
        url = urlsplit(search)
        options = parse_qs(url.query, strict_parsing=bool(url.query))
        numbers = {name: int(options.pop(name, [default])[0]) for name, default in _NUMBERS}
        prefix = url.path.strip("/") or "tallystick"
        if url.scheme not in _SCHEMES or not url.hostname or options or not _is_prefix(prefix):
            raise ValueError
        user = None
        if url.username is not None:
            user = (unquote(url.username), unquote(url.password or ""))
        is_tls = _SCHEMES[url.scheme]
        return EngineTarget(url.hostname, url.port or _PORT, user, is_tls, prefix, **numbers)
    except ValueError:
        raise SettingsError("the setting search cannot be read", hint=_HINT) from None


_NUMBERS = (("shards", "1"), ("replicas", "0"))


def _is_prefix(text: str) -> bool:
    # Names of indexes are lower case, and stars and commas would name several.
    return text.replace("-", "").replace("_", "").isalnum() and text == text.lower()


def client_of(target: EngineTarget) -> Any:
    """Return a client; shared between threads.

    Raises: SettingsError when the library is not installed.
    """
    try:
        # Imported late: it is an extra that others do without.
        from opensearchpy import OpenSearch
    except ImportError as error:
        raise SettingsError(
            "OpenSearch needs its client", hint="pip install 'tallystick[opensearch]'"
        ) from error
    return OpenSearch(
        hosts=[{"host": target.host, "port": target.port}],
        http_auth=target.user,
        use_ssl=target.has_tls,
        verify_certs=target.has_tls,
        http_compress=True,
        timeout=_TIMEOUT_S,
        max_retries=1,
    )


@contextmanager
def translated() -> Iterator[None]:
    """Turn every error of the client into one of ours."""
    from opensearchpy import exceptions

    try:
        yield
    except exceptions.ConnectionError as error:
        raise StoreBusy("the search engine cannot be reached") from error
    except exceptions.TransportError as error:
        if error.status_code in _BUSY:
            raise StoreBusy("the search engine cannot answer just now") from error
        raise StoreError("the search engine refused") from error
    except exceptions.OpenSearchException as error:
        raise StoreError("the search engine answered something else") from error
