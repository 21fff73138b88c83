"""A Cloud Controller as its clients reach it: login, renewal of tokens, windows of events.

Synchronous, and polite to a busy server. Events are asked for by time and not by page number
alone, since a controller deletes old rows while it is being read and pages would shift. Source:
wire specification of Cloud Foundry 1, 2, 3 and 11.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2

from tallystick import __version__, json_text
from tallystick.client.client import ApiError, Unreachable
from tallystick.dialects.cloudfoundry import timestamps, v3
from tallystick.errors import Malformed, Unauthenticated
from tallystick.events.event import Json

PAGE_SIZE = {"v2": 100, "v3": 1000}

_TRIES = 6
_PASSES = 5
_TIMEOUT_S = 60.0
_WAIT_S_MAX = 60.0
_BUSY = frozenset({429, 502, 503, 504})
_INVALID_TOKEN = 1000
_PUBLIC_CLIENT = ("cf", "")
_FORMS: dict[str, tuple[str, ...]] = {
    "password": ("username", "password"),
    "client_credentials": ("client_id", "client_secret"),
}


class Login(NamedTuple):
    """With what to log in: a user, a client, or a token that somebody else got."""

    username: str | None = None
    password: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    token: str | None = None

    @property
    def grant(self) -> str | None:
        """The kind of grant; None for a token."""
        if self.token is not None:
            return None
        return "password" if self.username is not None else "client_credentials"


class CloudController:
    """One deployment's events; use it as a context manager.

    `version` is `v2` or `v3`; left out, version 2 is used where it still exists, since it tells
    when a row was written.
    """

    def __init__(
        self,
        url: str,
        login: Login,
        *,
        version: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        self.name = parts.netloc + parts.path
        self._login = login
        self._version = version
        self._sleep = sleep
        self._login_url = self.url
        self._token = login.token
        self._refresh_token: str | None = None
        self._http = httpx2.Client(
            timeout=_TIMEOUT_S, headers={"User-Agent": f"tallystick/{__version__}"}
        )

    def __enter__(self) -> CloudController:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def events_since(self, since: str | None) -> Iterator[list[Json]]:
        """Yield events in the order of their times, in the shape of version 2, page by page.

        Everything in the second `since` is among them. No event is skipped when others are deleted
        or recorded meanwhile, and none comes twice.
        Raises: ApiError, Unreachable, Unauthenticated, Malformed.
        """
        self._discover()
        known: set[str] = set()
        while True:
            rows, _ = self._page(since, None, 1)
            yield [row for row in rows if _guid(row) not in known]
            if len(rows) < PAGE_SIZE[self.version]:
                return
            first, last = _second(rows[0]), _second(rows[-1])
            if first == last:
                # One second fills a page: read all of it, then go on after it.
                known |= {_guid(row) for row in rows}
                yield from self._whole_second(last, known)
                since, known = _next_second(last), set()
            else:
                since, known = last, {_guid(row) for row in rows if _second(row) == last}

    @property
    def version(self) -> str:
        """The version of the API that is used, once known."""
        assert self._version is not None, "events are asked for first"
        return self._version

    def _whole_second(self, second: str, known: set[str]) -> Iterator[list[Json]]:
        """Yield the events of a second that are not known, until their number is right."""
        size = PAGE_SIZE[self.version]
        for _ in range(_PASSES):
            page, total, full = 1, 0, True
            while full:
                rows, total = self._page(second, _next_second(second), page)
                yield [row for row in rows if _guid(row) not in known]
                known |= {_guid(row) for row in rows}
                page, full = page + 1, len(rows) == size
            if len(known) >= total:
                return
        raise Malformed(f"{self.name} tells of more events at {second} than it shows")

    def _page(self, since: str | None, until: str | None, page: int) -> tuple[list[Json], int]:
        """Return a page of the events from one second on and before another, and their total."""
        size = str(PAGE_SIZE[self.version])
        if self.version == "v3":
            bounds = {"created_ats[gte]": since, "created_ats[lt]": until}
            order = {"order_by": "created_at", "per_page": size}
            path = "/v3/audit_events"
        else:
            parts = [f"timestamp>={since}" if since else "", f"timestamp<{until}" if until else ""]
            bounds = {"q": ";".join(filter(None, parts)) or None}
            order = {"order-by": "timestamp", "order-direction": "asc", "results-per-page": size}
            path = "/v2/events"
        asked = {name: text for name, text in bounds.items() if text is not None}
        answer = self._get(path, asked | order | {"page": str(page)})
        try:
            if self.version == "v3":
                rows = [v3.to_v2(row) for row in answer["resources"]]
                return rows, int(answer["pagination"]["total_results"])
            return [_kept(row) for row in answer["resources"]], int(answer["total_results"])
        except (KeyError, TypeError, ValueError):
            raise Malformed(f"{self.name} answers no list of events at {path}") from None

    def _discover(self) -> None:
        """Learn where to log in and which version to use."""
        try:
            links = self._json(self._send("GET", f"{self.url}/")).get("links")
        except (ApiError, Malformed):
            links = None
        if isinstance(links, dict):
            login = links.get("login") or links.get("uaa") or {}
            self._login_url = str(login.get("href", self.url)).rstrip("/")
            newest = "v2" if links.get("cloud_controller_v2") else "v3"
        else:
            # Older controllers tell it here only.
            info = self._json(self._send("GET", f"{self.url}/v2/info"))
            self._login_url = str(info.get("authorization_endpoint", self.url)).rstrip("/")
            newest = "v2"
        self._version = self._version or newest

    def _get(self, path: str, params: Mapping[str, str]) -> Json:
        for renewed in (False, True):
            if self._token is None:
                self._log_in()
            headers = {"Authorization": f"bearer {self._token}"}
            try:
                response = self._send("GET", self.url + path, params=params, headers=headers)
                return self._json(response)
            except ApiError as error:
                if error.status != 401 or renewed or _code(error.problem) != _INVALID_TOKEN:
                    raise
                self._token = None
        raise AssertionError("the second try returns or raises")

    def _log_in(self) -> None:
        """Get a token: with the refresh token if that still works, else from the start."""
        if self._refresh_token is not None:
            form = {"grant_type": "refresh_token", "refresh_token": self._refresh_token}
            self._refresh_token = None
            try:
                self._ask_token(form)
                return
            except ApiError:
                pass
        grant = self._login.grant
        if grant is None:
            raise Unauthenticated(f"{self.name} does not take the token (any more)")
        fields = {name: getattr(self._login, name) or "" for name in _FORMS[grant]}
        self._ask_token({"grant_type": grant, **fields})

    def _ask_token(self, form: dict[str, str]) -> None:
        id, secret = form.get("client_id"), form.get("client_secret", "")
        client = _PUBLIC_CLIENT if id is None else (id, secret)
        url = f"{self._login_url}/oauth/token"
        answer = self._json(self._send("POST", url, data=form, auth=client))
        self._token = str(answer.get("access_token"))
        refresh = answer.get("refresh_token")
        self._refresh_token = None if refresh is None else str(refresh)

    def _send(self, method: str, url: str, **request: Any) -> httpx2.Response:
        """Send a request, again after a while as long as the server is busy or out of reach."""
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            try:
                response = self._http.request(method, url, **request)
            except httpx2.HTTPError as error:
                if last:
                    raise Unreachable(f"{self.name} cannot be reached: {error}") from error
                self._sleep(2.0**attempt)
                continue
            if response.status_code not in _BUSY or last:
                return response
            self._sleep(_wait_s(response.headers.get("retry-after"), attempt))
        raise AssertionError("the last try returns or raises")

    def _json(self, response: httpx2.Response) -> Json:
        try:
            answer = json_text.decode_object(response.content)
        except Malformed:
            answer = None
        if response.status_code != 200:
            raise ApiError(response.status_code, {"detail": self._complaint(response, answer)} | (
                answer or {}
            ))  # fmt: skip
        if answer is None:
            raise Malformed(f"{self.name} does not answer with JSON; is it a Cloud Controller?")
        return answer

    def _complaint(self, response: httpx2.Response, answer: Json | None) -> str:
        told = answer or {}
        reason = told.get("description") or told.get("error_description")
        errors = told.get("errors")
        if isinstance(errors, list) and errors and isinstance(errors[0], dict):
            reason = errors[0].get("detail")
        return f"{self.name} answers {response.status_code}: {reason or 'no reason given'}"


def _kept(row: Json) -> Json:
    """Return of a version 2 resource what is copied."""
    metadata = row["metadata"]
    kept = {name: metadata[name] for name in ("guid", "created_at") if name in metadata}
    return {"metadata": kept, "entity": row["entity"]}


def _guid(row: Json) -> str:
    return str(row["metadata"]["guid"])


def _second(row: Json) -> str:
    return timestamps.to_text(timestamps.from_text(str(row["entity"]["timestamp"])))


def _next_second(second: str) -> str:
    return timestamps.to_text(timestamps.from_text(second) + timestamps.SECOND_MS)


def _code(problem: Json) -> object:
    errors = problem.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return errors[0].get("code")
    return problem.get("code")


def _wait_s(retry_after: str | None, attempt: int) -> float:
    if retry_after is not None and retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), _WAIT_S_MAX)
    return 2.0**attempt
