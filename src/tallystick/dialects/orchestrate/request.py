"""One request and its answer: credentials in, bodies in and out, compression both ways.

The only module here that knows HTTP; everything else is given what it parsed. Source: wire
specification, sections 2 and 3.
"""

from __future__ import annotations

import binascii
import secrets
import uuid
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from tallystick import json_text, limits
from tallystick.dialects.answers import COMPACT, pieces_of, streamed
from tallystick.dialects.errors import ErrorAnswer
from tallystick.dialects.orchestrate import errors, paging, preconditions, wire
from tallystick.dialects.orchestrate.field_filter import FieldFilter, names_of
from tallystick.dialects.orchestrate.preconditions import Precondition
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, TallystickError, TooLarge, Unauthenticated
from tallystick.events import entry
from tallystick.events.event import Draft, Event, Json, Resource, View
from tallystick.identity import access, actors
from tallystick.identity.access import Principal
from tallystick.identity.access import Scope as Right
from tallystick.identity.admission import admit
from tallystick.ledger.selections import Row, Selection, selection_at
from tallystick.log.sequencer import Accepted, Item
from tallystick.query.expr import Expr

BODY_BYTES = 2 * limits.EVENT_BYTES
"""One body that is not a bulk: its spelling may be twice as long as what is stored."""

_JSON = "application/json"
_GZIP_LEVEL = 1
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
# Of the largest body, packed in blocks of 64 KiB, there are half as many.
_GZIP_MEMBERS_MAX = 512
# Instead of this machine's address, in the bits of a version-1 UUID that name the node.
_NODE = secrets.randbits(48) | 1 << 40


class OrchestrateExchange:
    """A request on its way to an answer."""

    def __init__(self, scope: Scope, receive: Receive, services: Services) -> None:
        """Read everything but the body.

        Raises: Unauthenticated: a caller without a key learns nothing, not even which paths exist.
        """
        self.request = Request(scope, receive)
        self.services = services
        self.ledger = services.ledger
        self.door = services.door()
        self.headers = self.request.headers
        self.method: str = scope["method"]
        self.path: str = path_of(scope)
        """The path as the caller sent it."""
        authorization = self.headers.get("authorization", "")
        self.principal = admit(
            scope["state"], services.identity, lambda: _principal(authorization, services)
        )
        self.tenant = self.principal.tenant
        """The application of the key."""
        self.parameters = paging.parse_query(scope["query_string"])
        """The parameters of the query string."""

    # What was asked

    @cached_property
    def visible(self) -> Expr:
        """What the caller may see."""
        return access.visible(self.principal)

    @cached_property
    def actor(self) -> Resource | None:
        """Who is recorded as the writer."""
        return actors.actor_of(self.services.identity, self.principal)

    def parameter(self, name: str) -> str | None:
        """Return a parameter's value."""
        return paging.last_value(self.parameters, name)

    def flag(self, name: str, *, default: bool = False, code: str = "api_bad_request") -> bool:
        """Return a parameter that is true or false.

        Raises: Refusal.
        """
        return paging.flag_of(self.parameters, name, default=default, code=code)

    @property
    def filter(self) -> FieldFilter:
        """Which members of values are to be shown."""
        return FieldFilter(
            names_of(paging.values_of(self.parameters, "with_fields")),
            names_of(paging.values_of(self.parameters, "without_fields")),
        )

    def condition(self, *, absence: bool = False) -> Precondition:
        """Return what the request's headers expect of what is there.

        Raises: Refusal, Malformed.
        """
        return preconditions.parse_condition(
            self.headers.getlist("if-match"),
            self.headers.getlist("if-none-match"),
            absence=absence,
        )

    def require(self, *rights: Right) -> None:
        """Let the caller pass who has all `rights`.

        Raises: Unauthenticated, Forbidden.
        """
        for right in rights:
            access.require(self.principal, right)

    async def body(self, limit_bytes: int = BODY_BYTES) -> bytes:
        """Return the request's body, decompressed.

        Raises: TooLarge before more than the limit is kept; Malformed.
        """
        return await self.services.body(self.request, limit_bytes)

    async def value(self) -> Json:
        """Return the JSON object that is the request's body.

        Raises: TooLarge, Malformed.
        """
        return json_text.decode_object(await self.body())

    # What is done

    async def append(self, draft: Draft) -> Accepted:
        """Store a draft and return where, once it is durable.

        Raises: what the ledger says of the draft.
        """
        (outcome,) = await self.door.append(self.tenant, [Item(entry.prepare(draft))])
        if isinstance(outcome, TallystickError):
            raise outcome
        return outcome

    async def take_away(self, *drafts: Draft) -> None:
        """Store drafts that delete something, all of them or none.

        Raises: UnderHold; what the ledger says of a draft.
        """
        await self.door.run(self.ledger.append, self.tenant, drafts)

    # What is answered

    def reply(
        self, status: int, body: Json | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return an answer, compressed if the caller takes that."""
        return _response(self.request, status, body, headers or {})

    def page(
        self, rows: Sequence[Json | msgspec.Raw], links: dict[str, str], more: Json | None = None
    ) -> Response:
        """Return a page of rows with the links to its neighbours."""
        links = self._mounted(links)
        body: Json = {"count": len(rows), **(more or {}), "results": rows, **links}
        return self.reply(200, body, paging.link_header(links))

    def rows_page(
        self,
        selection: Selection,
        render: Callable[[Row], Json],
        links: dict[str, str],
        more: Json,
    ) -> Response:
        """Return a page of a selection, however long its rows are."""
        if selection.is_short:
            shown = [render(row) for part in selection.slices for row in part.rows]
            return self.page(shown, links, more)
        links = self._mounted(links)
        # Said before the rows are read: one that is deleted meanwhile is counted, but not shown.
        text = json_text.encode(
            {"count": selection.found, **more, "results": [msgspec.Raw(COMPACT.mark)], **links}
        )
        headers = {**paging.link_header(links), "Content-Type": _JSON, "Vary": "Accept-Encoding"}
        pieces = pieces_of(text, selection, render)
        if _takes_gzip(self.headers.get("accept-encoding", "")):
            headers["Content-Encoding"] = "gzip"
            pieces = _each_compressed(pieces)
        if self.method == "HEAD":
            return Response(None, 200, headers)
        return streamed(self.door, pieces, 200, headers)

    def documents_page(
        self,
        indexes: Sequence[int],
        render: Callable[[Event], Json],
        links: dict[str, str],
    ) -> Response:
        """Return a page of documents by where they stand, however large they are."""

        def shows(view: View) -> bool:
            return wire.is_document(view.first) and not view.first.erased

        selection = selection_at(self.ledger.store, self.tenant, indexes, shows)
        return self.rows_page(selection, lambda row: render(row[0].first), links, {})

    def _mounted(self, links: dict[str, str]) -> dict[str, str]:
        """Return links below the prefix that this API is mounted at."""
        prefix = self.request.scope.get("root_path", "")
        return {name: prefix + target for name, target in links.items()}


def error_answer(request: Request, error: TallystickError) -> ErrorAnswer:
    """Return the answer to an error."""
    told = errors.tell(error)
    text, headers = _packed(request, json_text.encode(told.body))
    return ErrorAnswer(told.status, text, errors.CHALLENGE, _JSON, headers=headers)


def standing_headers(request: Request) -> dict[str, str]:
    """Return what every answer carries."""
    return {"X-ORCHESTRATE-REQ-ID": str(uuid.uuid1(_NODE))}


def owns(path: str) -> bool:
    """Tell whether a path lies in this API's URL space."""
    return path == "/v0" or path.startswith("/v0/")


def path_of(scope: Scope) -> str:
    """Return the path as the caller sent it."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return paging.to_path(scope["path"])
    return paging.to_ascii(raw).partition("?")[0]


def names_in(path: str) -> list[str]:
    """Return the decoded segments after the first one; one slash at the end does not count.

    Raises: Malformed when a segment is empty or not UTF-8.
    """
    segments = path.split("/")[2:]
    if segments and not segments[-1]:
        segments.pop()
    if "%" in path:
        try:
            segments = [unquote_to_bytes(segment).decode("utf-8") for segment in segments]
        except UnicodeDecodeError:
            raise Malformed("names in a path are UTF-8", path="path") from None
    if not all(segments):
        raise Malformed("no name in a path is empty", path="path")
    return segments


def _response(
    request: Request, status: int, body: Json | None, headers: Mapping[str, str]
) -> Response:
    content, packing = _packed(request, b"" if body is None else json_text.encode(body))
    sent = {**headers, **packing}
    if "Content-Encoding" in packing and "ETag" in sent:
        sent["ETag"] = sent["ETag"][:-1] + '-gzip"'
    response = Response(content, status, sent, None if status == 204 else _JSON)
    if request.method == "HEAD":
        # The headers, the length among them, stay those of a GET.
        response.body = b""
    return response


def _packed(request: Request, content: bytes) -> tuple[bytes, dict[str, str]]:
    """Return content as the client takes it, and the headers that say so."""
    if not content:
        return content, {}
    headers = {"Vary": "Accept-Encoding"}
    if not _takes_gzip(request.headers.get("accept-encoding", "")):
        return content, headers
    return _compressed(content), {"Content-Encoding": "gzip", **headers}


def _compressed(content: bytes) -> bytes:
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return packer.compress(content) + packer.flush()


def _each_compressed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for piece in pieces:
        yield packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _principal(authorization: str, services: Services) -> Principal:
    scheme, _, value = authorization.partition(" ")
    match scheme.lower():
        case "basic":
            principal = services.identity.principal_of_key(_user_of(value.strip()))
            if principal is not None:
                return principal
        case "bearer":
            return services.issuer.bearer(value.strip()).principal
    raise Unauthenticated


def _user_of(credentials: str) -> str:
    """Return the user name of Basic credentials, with or without a colon behind it."""
    try:
        padded = credentials + "=" * (-len(credentials) % 4)
        text = b64decode(padded, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise Unauthenticated from None
    return text.partition(":")[0]


def _check_size(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise TooLarge(
            f"the body may have {limit_bytes:,} bytes; this one has more",
            limit=limit_bytes,
            actual=size,
        )
