"""Transcripts: requests and the answers they must get, as text, run against any server.

    # A comment.
    PUT /v0/users/kate/events/timeline
    Authorization: Basic {{basic}}

    {"type": "liked"}
    HTTP 204
    !Location
    ###
    GET /v0/users/kate/events/timeline
    ...

An exchange is a request line, headers, a blank line and a body; then the expected status, headers
that must be there (`!Name`: must not), a blank line and the whole body. `###` stands between two
exchanges, comment lines before a request. Bodies that are JSON are compared as JSON, members in
any order, others by their text.

`{{kind}}` stands for a value that the server assigns, `{{name:kind}}` also remembers it, and
`{{name}}` is the value remembered, or one of the variables that were given. Kinds are listed in
`KINDS`. Source of the idea: the transcripts of Sunlight and torchwood.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tallystick.errors import Malformed

KINDS: dict[str, str] = {
    "uuid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "ms": r"-?[0-9]{1,15}",
    "int": r"-?[0-9]+",
    "number": r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?",
    "hex": r"[0-9a-f]+",
    "hex16": r"[0-9a-f]{16}",
    "hex24": r"[0-9a-f]{24}",
    "time": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9]{2}:?[0-9]{2})",
    "token": r"[A-Za-z0-9._~+/=-]+",
    "text": r"[^\r\n]*",
}
"""What a hole may hold, by the name of its kind."""

_NUMERIC = frozenset({"ms", "int", "number"})
_HOLE = re.compile(r"\{\{([a-z_][a-z0-9_]*)(?::([a-z0-9]+))?\}\}")
_REQUEST = re.compile(r"([A-Z]+) (\S+)\Z")
_STATUS = re.compile(r"HTTP (\d{3})\Z")
_BETWEEN = "###"
_RECEIPT_LINK = '; rel="receipt"'
_TIMEOUT_S = 30.0


class Exchange(NamedTuple):
    """One request and what is expected of its answer; texts still have their holes."""

    line: int
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: str
    status: int
    expected: tuple[tuple[str, str], ...]
    absent: tuple[str, ...]
    answer: str


class RecordedAnswer(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Failure(NamedTuple):
    """An exchange that did not go as its transcript says."""

    source: str
    line: int
    request: str
    difference: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.request}\n{self.difference}"


class AnswerDifference(Exception):
    """What was answered is not what was expected."""


def parse(text: str, source: str = "transcript") -> list[Exchange]:
    """Return the exchanges of a transcript.

    Raises: Malformed, naming the line.
    """
    return [_parse_exchange(block, first, source) for first, block in _blocks(text) if any(block)]


def run(
    exchanges: Sequence[Exchange],
    base_url: str,
    variables: Mapping[str, str],
    *,
    source: str = "transcript",
) -> Iterator[Failure | None]:
    """Carry out exchanges in order and yield how each one went: None when as expected.

    After a failure the transcript goes on; what the failed exchange would have told is unknown.
    """
    known = dict(variables)
    url = urlsplit(base_url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=_TIMEOUT_S)
    try:
        for exchange in exchanges:
            request = f"{exchange.method} {exchange.target}"
            try:
                answer = _carry_out(connection, url.path.rstrip("/"), exchange, known)
                compare(exchange, answer, known)
                yield None
            except AnswerDifference as difference:
                yield Failure(source, exchange.line, request, str(difference))
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                yield Failure(source, exchange.line, request, f"no answer: {error}")
    finally:
        connection.close()


def missing_variables(exchanges: Sequence[Exchange], variables: Mapping[str, str]) -> set[str]:
    """Return the names that requests use before anybody gave or remembered them."""
    known = set(variables)
    missing: set[str] = set()
    for exchange in exchanges:
        texts = (exchange.target, exchange.body, *(value for _, value in exchange.headers))
        for text in texts:
            missing |= {hole[1] for hole in _HOLE.finditer(text)} - known
        for text in (exchange.answer, *(value for _, value in exchange.expected)):
            known |= {hole[1] for hole in _HOLE.finditer(text) if hole[2] is not None}
    return missing


def run_file(path: Path, base_url: str, variables: Mapping[str, str]) -> list[Failure]:
    """Run a transcript file and return what failed.

    Raises: Malformed when it is no transcript.
    """
    exchanges = parse(path.read_text("utf-8"), path.name)
    results = run(exchanges, base_url, variables, source=path.name)
    return [failure for failure in results if failure is not None]


# Reading


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    block: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(_BETWEEN):
            yield first, block
            block, first = [], number + 1
        elif not block and (not line.strip() or line.startswith("#")):
            first = number + 1
        else:
            block.append(line)
    yield first, block


def _parse_exchange(block: list[str], first: int, source: str) -> Exchange:
    request = _REQUEST.match(block[0])
    if request is None:
        raise Malformed(f"{source}:{first}: a request is a method and a path", path=source)
    at = next((n for n, line in enumerate(block) if _STATUS.match(line)), None)
    if at is None:
        raise Malformed(f"{source}:{first}: the expected status is missing", path=source)
    status = _STATUS.match(block[at])
    assert status is not None
    headers, body = _message(block[1:at], first, source)
    expected, answer = _message(block[at + 1 :], first, source)
    return Exchange(
        first,
        request[1],
        request[2],
        tuple(headers),
        body,
        int(status[1]),
        tuple(header for header in expected if not header[0].startswith("!")),
        tuple(name[1:] for name, _ in expected if name.startswith("!")),
        answer,
    )


def _message(lines: list[str], first: int, source: str) -> tuple[list[tuple[str, str]], str]:
    headers: list[tuple[str, str]] = []
    for n, line in enumerate(lines):
        if not line:
            return headers, "\n".join(lines[n + 1 :]).rstrip("\n")
        name, colon, value = line.partition(":")
        if not colon and not name.startswith("!"):
            raise Malformed(f"{source}:{first}: {line!r} is no header", path=source)
        headers.append((name.strip(), value.strip()))
    return headers, ""


# Asking


def _carry_out(
    connection: http.client.HTTPConnection, prefix: str, exchange: Exchange, known: dict[str, str]
) -> RecordedAnswer:
    body = filled(exchange.body, known).encode()
    connection.putrequest(
        exchange.method,
        prefix + filled(exchange.target, known),
        # A transcript that names a host says it alone: two would be refused.
        skip_host=any(name.lower() == "host" for name, _ in exchange.headers),
        skip_accept_encoding=True,
    )
    for name, value in exchange.headers:
        connection.putheader(name, filled(value, known))
    if body or exchange.method in ("POST", "PUT", "PATCH"):
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    return RecordedAnswer(response.status, headers_of(response), response.read())


def headers_of(response: http.client.HTTPResponse) -> dict[str, str]:
    """Return the headers of an answer by lower-case name.

    Receipts are linked from every answer that shows events; a transcript shows the API's own links.
    """
    return {
        name.lower(): value
        for name, value in response.getheaders()
        if not value.endswith(_RECEIPT_LINK)
    }


def filled(text: str, known: Mapping[str, str]) -> str:
    """Return a text with what is known in its holes.

    Raises: Difference when something is not.
    """

    def value(match: re.Match[str]) -> str:
        if match[2] is not None or match[1] not in known:
            raise AnswerDifference(f"  {match[0]} has no value here")
        return known[match[1]]

    return _HOLE.sub(value, text)


# Comparing


def compare(exchange: Exchange, answer: RecordedAnswer, known: dict[str, str]) -> None:
    """Let an answer pass that is as expected, and add what it tells to what is known.

    Raises: Difference.
    """
    if answer.status != exchange.status:
        text = answer.body.decode("utf-8", "replace")[:2_000]
        raise AnswerDifference(f"  expected status {exchange.status}, got {answer.status}: {text}")
    for name, template in exchange.expected:
        found = answer.headers.get(name.lower())
        if found is None:
            raise AnswerDifference(f"  header {name} is missing")
        _match_text(template, found, known, f"header {name}")
    for name in exchange.absent:
        if name.lower() in answer.headers:
            raise AnswerDifference(f"  header {name} must not be there")
    _compare_body(exchange.answer, answer.body.decode("utf-8", "replace"), known)


def _compare_body(expected: str, found: str, known: dict[str, str]) -> None:
    try:
        template = json.loads(_HOLE_OUTSIDE.sub(_as_string, expected))
        value = json.loads(found)
    except ValueError:
        _match_text(expected.strip(), found.strip(), known, "body")
        return
    _match_json(template, value, known, "body")


# A hole that stands for a whole JSON value, or any string: strings are left as they are.
_HOLE_OUTSIDE = re.compile(r'"(?:[^"\\]|\\.)*"|\{\{[a-z0-9_:]+\}\}')
_BARE = "\x00"


def _as_string(match: re.Match[str]) -> str:
    text = match[0]
    return text if text.startswith('"') else json.dumps(_BARE + text)


def _match_json(template: Any, value: Any, known: dict[str, str], path: str) -> None:
    if isinstance(template, dict) and isinstance(value, dict):
        if template.keys() != value.keys():
            missing, extra = template.keys() - value.keys(), value.keys() - template.keys()
            raise AnswerDifference(
                f"  {path}: missing {sorted(missing)}, unexpected {sorted(extra)}"
            )
        for name in template:
            _match_json(template[name], value[name], known, f"{path}.{name}")
    elif isinstance(template, list) and isinstance(value, list):
        if len(template) != len(value):
            raise AnswerDifference(f"  {path}: expected {len(template)} elements, got {len(value)}")
        for n, (wanted, found) in enumerate(zip(template, value, strict=True)):
            _match_json(wanted, found, known, f"{path}[{n}]")
    elif isinstance(template, str) and template.startswith(_BARE):
        _match_bare(template[1:], value, known, path)
    elif isinstance(template, str) and isinstance(value, str):
        _match_text(template, value, known, path)
    elif type(template) is not type(value) or template != value:
        raise AnswerDifference(f"  {path}: expected {template!r}, got {value!r}")


def _match_bare(hole: str, value: Any, known: dict[str, str], path: str) -> None:
    """Match a hole without quotes: a number, or whatever a name remembers."""
    match = _HOLE.fullmatch(hole)
    kind = None if match is None else match[2] or match[1]
    if kind in _NUMERIC and (isinstance(value, str | bool) or value is None):
        raise AnswerDifference(f"  {path}: expected a number, got {value!r}")
    _match_text(hole, value if isinstance(value, str) else json.dumps(value), known, path)


def _match_text(template: str, found: str, known: dict[str, str], where: str) -> None:
    pattern, names = "", []
    at = 0
    for hole in _HOLE.finditer(template):
        pattern += re.escape(template[at : hole.start()])
        at = hole.end()
        name, kind = (hole[1], hole[2]) if hole[2] else (None, hole[1])
        if name is None and kind in known:
            pattern += re.escape(known[kind])
        elif kind in KINDS:
            pattern += f"({KINDS[kind]})"
            names.append(name)
        else:
            raise AnswerDifference(f"  {where}: there is no kind and no value {kind!r}")
    match = re.fullmatch(pattern + re.escape(template[at:]), found, re.DOTALL)
    if match is None:
        raise AnswerDifference(f"  {where}: expected {template!r}, got {found!r}")
    known.update(
        (name, text) for name, text in zip(names, match.groups(), strict=True) if name is not None
    )
