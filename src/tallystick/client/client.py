"""A typed, synchronous client of the native API that verifies receipts itself.

It reaches a server by URL and key, or by the control socket of a data folder. The command line is
written on it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple
from urllib.parse import quote

import httpx2
import msgspec

from tallystick import limits
from tallystick.client.event_stream import StreamEvent, lines_of, stream_events
from tallystick.client.log_watch import LogWatch, open_watch
from tallystick.client.remembered_heads import PinnedHeads, default_folder
from tallystick.client.shown_log import place_of
from tallystick.errors import TallystickError
from tallystick.json_text import NOT_JSON
from tallystick.tlog.note import Verifier
from tallystick.tlog.receipt import VerifiedReceipt, verify_receipt

__all__ = ["ApiError", "Client", "Export", "Json", "LineResult", "StreamEvent", "Unreachable"]

Json = dict[str, Any]

_TIMEOUT_S = 60.0
_EXPORT_S = 600.0
"""Where little matches, the server reads long before it sends anything."""

_TRIES = 8
_LINES_AT_ONCE = 1000
_BYTES_AT_ONCE = limits.BATCH_BYTES // 2
_TOO_LARGE = f"one event may have {limits.EVENT_BYTES:,} bytes"
_RETRY_STATUS = frozenset({429, 503})
_NOT_THERE = frozenset({401, 403, 404, 405})
_CHECKPOINT = "tally-checkpoint"


class ApiError(TallystickError):
    """The server refused the request."""

    code = "api"

    def __init__(self, status: int, problem: Json) -> None:
        message = str(problem.get("detail") or problem.get("title") or f"status {status}")
        hint = problem.get("hint")
        super().__init__(message, hint=None if hint is None else str(hint))
        self.status = status
        self.problem = problem


class Unreachable(TallystickError):
    """The server cannot be reached."""

    code = "unreachable"


class LineResult(NamedTuple):
    """What became of one line of a stream of events."""

    line: int
    status: int
    id: str | None
    index: int | None  # type: ignore[assignment]  # a tuple has a method of that name
    error: str | None


class Export(NamedTuple):
    """An export as it comes in."""

    origin: str
    """What names the log for good."""
    size: int
    """Size of the log that it is pinned to."""
    lines: Iterator[bytes]
    """One JSON object an event."""


class Client:
    """The native API as methods; use it as a context manager."""

    def __init__(
        self,
        url: str = "http://tallystick",
        key: str | None = None,
        *,
        tenant: str | None = None,
        control_socket: Path | None = None,
        watch: bool | None = None,
        pin: str | None = None,
        heads: Path | None = None,
    ) -> None:
        """Reach a server.

        With a key, the client watches the log: it remembers, in the folder `heads`, the log's key
        and last head, and raises VerificationError when the log was rewound or forked. `pin` is
        the verifier key to expect at the first contact. `watch=False` leaves all of it out.
        Raises: MalformedNote for a `pin` that is no verifier key.
        """
        headers: dict[str, str] = {}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        if tenant is not None:
            headers["X-Tallystick-Tenant"] = tenant
        transport = None
        if control_socket is not None:
            # No TLS on a socket of this machine: loading certificates takes longer than a request.
            transport = httpx2.HTTPTransport(uds=str(control_socket), verify=False)
        self._http = httpx2.Client(
            base_url=url, headers=headers, timeout=_TIMEOUT_S, transport=transport
        )
        self._watch: LogWatch | None = None
        if watch if watch is not None else key is not None and control_socket is None:
            folder = PinnedHeads(heads or default_folder())
            self._watch = open_watch(self, folder, place_of(url, key), url, pin)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            # What failed is raised, not what is noticed on the way out.
            self._http.close()

    def close(self) -> None:
        """Look at the log once more if something was read since, and close the connections.

        Raises: VerificationError when the log was rewound or forked.
        """
        try:
            if self._watch is not None:
                self._watch.check()
        finally:
            self._http.close()

    # Events

    def append(self, event: Json, *, idempotency_key: str | None = None) -> Json:
        """Store one event and return it as stored."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        stored: Json = self.request("POST", "/v1/events", body=event, headers=headers)
        return stored

    def append_lines(
        self, events: Iterable[Json | bytes], *, idempotency_key: str | None = None
    ) -> Iterator[list[LineResult]]:
        """Store many events, each with an outcome of its own; yield outcomes chunk by chunk.

        Line numbers count from 1 over the whole stream. A line that no request can hold is
        refused here.
        """
        chunk: list[bytes] = []
        done = size_bytes = 0
        for event in events:
            line = event if isinstance(event, bytes) else msgspec.json.encode(event)
            is_too_large = len(line) > _BYTES_AT_ONCE
            if chunk and (len(chunk) == _LINES_AT_ONCE or size_bytes + len(line) > _BYTES_AT_ONCE):
                yield self._append_chunk(chunk, done, idempotency_key)
                done += len(chunk)
                chunk, size_bytes = [], 0
            if is_too_large:
                done += 1
                yield [LineResult(done, 413, None, None, _TOO_LARGE)]
            else:
                chunk.append(line)
                size_bytes += len(line) + 1
        if chunk:
            yield self._append_chunk(chunk, done, idempotency_key)

    def _append_chunk(
        self, chunk: Sequence[bytes], done: int, idempotency_key: str | None
    ) -> list[LineResult]:
        headers = {"Content-Type": "application/x-ndjson"}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = f"{idempotency_key}/{done}"
        response = self._send("POST", "/v1/events", content=b"\n".join(chunk), headers=headers)
        results: list[LineResult] = []
        for line in response.content.splitlines():
            told = msgspec.json.decode(line)
            error = told.get("error")
            results.append(
                LineResult(
                    done + told["line"],
                    told["status"],
                    told.get("id"),
                    told.get("index"),
                    None if error is None else str(error.get("detail")),
                )
            )
        return results

    def event(self, event_id: str) -> Json:
        """Return one event."""
        found: Json = self.request("GET", f"/v1/events/{quote(event_id, safe='')}")
        return found

    def page(self, params: Mapping[str, object]) -> Json:
        """Return one page of events with its cursor."""
        found: Json = self.request("GET", "/v1/events", params=params)
        return found

    def events(self, params: Mapping[str, object], *, limit: int | None = None) -> Iterator[Json]:
        """Yield events page by page until there are no more, or `limit` were yielded."""
        asked = dict(params)
        left = limit
        while left is None or left > 0:
            asked["limit"] = min(left or 1000, 1000)
            page = self.page(asked)
            yield from page["events"]
            if page["next"] is None:
                return
            asked["cursor"] = page["next"]
            left = None if left is None else left - len(page["events"])

    def stream(
        self, params: Mapping[str, object], *, last_id: str | None = None
    ) -> Iterator[StreamEvent]:
        """Yield events as they are committed, until the server ends the stream.

        A heartbeat comes without data. With `last_id` the stream goes on behind that id.
        Raises: ApiError, Unreachable when the connection is lost.
        """
        given: dict[str, Any] = {k: v for k, v in params.items() if v is not None and v != ()}
        headers = {} if last_id is None else {"Last-Event-ID": last_id}
        try:
            with self._http.stream(
                "GET", "/v1/events/stream", params=given, headers=headers, timeout=_TIMEOUT_S
            ) as response:
                if response.status_code >= 400:
                    response.read()
                    raise _refused(response)
                yield from stream_events(lines_of(response.iter_bytes()))
        except httpx2.HTTPError as error:
            raise Unreachable(f"the connection was interrupted: {error}") from error

    @contextlib.contextmanager
    def export(self, params: Mapping[str, object]) -> Iterator[Export]:
        """Yield an export: every event that matches, in the order of the log, as it comes in.

        Raises: ApiError; Unreachable, also while lines are read, when it is cut off.
        """
        given: dict[str, Any] = {k: v for k, v in params.items() if v is not None and v != ()}
        try:
            with self._http.stream(
                "GET", "/v1/events/export", params=given, timeout=_EXPORT_S
            ) as response:
                if response.status_code >= 400:
                    response.read()
                    raise ApiError(response.status_code, _problem(response))
                headers = response.headers
                yield Export(
                    headers["x-tallystick-origin"],
                    int(headers["x-tallystick-size"]),
                    lines_of(response.iter_bytes()),
                )
        except httpx2.HTTPError as error:
            raise Unreachable(f"the export was interrupted: {error}") from error

    def receipt(self, event_id: str, *, verifier: Verifier | None = None) -> bytes:
        """Return the receipt of an event after verifying it.

        Raises: VerificationError when the server's receipt does not hold.
        """
        path = f"/v1/events/{quote(event_id, safe='')}/receipt"
        body = self._send("GET", path).content
        watched = None if self._watch is None else self._watch.checked
        self.verify(body, verifier=verifier or (watched.key if watched else None))
        return body

    @staticmethod
    def verify(receipt: bytes, *, verifier: Verifier | None = None) -> VerifiedReceipt:
        """Verify a receipt here, without asking anybody."""
        return verify_receipt(receipt, verifier=verifier)

    def checkpoint(self) -> Json:
        """Return the signed checkpoint of the log and the key that verifies it."""
        found: Json = self.request("GET", "/v1/checkpoint")
        return found

    def rebuild(self, follower: str) -> Iterator[tuple[int, int]]:
        """Rebuild an index and yield how many entries of how many are done.

        Raises: ApiError, Unreachable.
        """
        path = f"/v1/admin/rebuild/{quote(follower, safe='')}"
        with self._http.stream("POST", path, timeout=None) as response:
            if response.status_code >= 400:
                response.read()
                raise ApiError(response.status_code, _problem(response))
            for line in lines_of(response.iter_bytes()):
                told = msgspec.json.decode(line)
                if isinstance(told, list):
                    yield told[0], told[1]
                elif "error" in told:
                    raise ApiError(500, {"detail": told["error"]})

    def download(self, path: str, file: IO[bytes]) -> None:
        """Write what a path answers to a file, piece by piece.

        Raises: ApiError, Unreachable.
        """
        try:
            with self._http.stream("GET", path) as response:
                if response.status_code >= 400:
                    response.read()
                    raise ApiError(response.status_code, _problem(response))
                for piece in response.iter_bytes():
                    file.write(piece)
        except httpx2.HTTPError as error:
            raise Unreachable(f"the download was interrupted: {error}", hint="try again") from error

    # Anything else

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request of JSON and return the JSON it is answered with, None for an empty one.

        Raises: ApiError, Unreachable.
        """
        content = None if body is None else msgspec.json.encode(body)
        sent = {**(headers or {})}
        if content is not None:
            sent["Content-Type"] = "application/json"
        response = self._send(method, path, content=content, params=params, headers=sent)
        return msgspec.json.decode(response.content) if response.content else None

    def fetch(self, path: str) -> bytes:
        """Return the bytes at a path.

        Raises: ApiError, Unreachable.
        """
        return self._send("GET", path).content

    def fetch_if_there(self, path: str) -> bytes | None:
        """Return the bytes at a path, None where nothing is, or nothing without a credential.

        Raises: ApiError, Unreachable.
        """
        try:
            return self.fetch(path)
        except ApiError as error:
            if error.status in _NOT_THERE:
                return None
            raise

    def _send(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Send a request, again after the time the server asks for while it is busy."""
        given = {k: v for k, v in (params or {}).items() if v is not None and v != ()}
        for attempt in range(_TRIES):
            try:
                response = self._http.request(
                    method, path, content=content, params=given, headers=headers
                )
            except httpx2.HTTPError as error:
                raise Unreachable(
                    f"cannot reach the server: {error}", hint="check that it is running, and --url"
                ) from error
            if response.status_code not in _RETRY_STATUS or attempt == _TRIES - 1:
                break
            time.sleep(min(float(response.headers.get("retry-after", "1")), 5.0))
        if response.status_code >= 400:
            raise ApiError(response.status_code, _problem(response))
        if self._watch is not None and _CHECKPOINT in response.headers:
            self._watch.answered(response.headers[_CHECKPOINT])
        return response


def _refused(response: httpx2.Response) -> TallystickError:
    """Return what a refusal means: one that passes by is as good as a lost connection."""
    if response.status_code >= 500 or response.status_code in _RETRY_STATUS:
        return Unreachable(f"the server returned status {response.status_code}")
    return ApiError(response.status_code, _problem(response))


def _problem(response: httpx2.Response) -> Json:
    try:
        problem = msgspec.json.decode(response.content)
    except NOT_JSON:
        problem = None
    return problem if isinstance(problem, dict) else {"detail": response.text[:500]}
