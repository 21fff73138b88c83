"""The feed of one resource for a viewer token, and the route that makes such tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text, limits, times
from tallystick.dialects.services import Services
from tallystick.errors import Forbidden, Malformed, NotFound, TallystickError, Unauthenticated
from tallystick.events import references, summary
from tallystick.events.event import Json, View
from tallystick.http.body import body_of
from tallystick.http.native import parameters
from tallystick.http.native.facets import Guard
from tallystick.http.problem import of_body, problem_response
from tallystick.identity import access
from tallystick.identity.access import Principal
from tallystick.identity.access import Scope as Right
from tallystick.identity.viewer_tokens import (
    FEED_ROLES,
    VIEWER_TOKEN_S,
    ViewerToken,
    ViewerTokens,
    feed_role,
)
from tallystick.query import cursor
from tallystick.query.expr import Eq, Everything
from tallystick.query.question import Find

FEED_LIMIT = 20
FEED_LIMIT_MAX = 100

_PARAMETERS = frozenset((*FEED_ROLES, "limit", "cursor"))
_ORIGIN = re.compile(r"https?://[^/?#\s]+\Z")
# A token comes in a header of its own page's script and never by itself, so any page may ask.
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_PREFLIGHT = {
    **_CORS,
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "Authorization",
    "Access-Control-Max-Age": "86400",
}


class ViewerTokenIn(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a viewer token is to be for: one of actor, target and scope, as TYPE:ID."""

    actor: str | None = None
    target: str | None = None
    scope: str | None = None
    expires_in: int = VIEWER_TOKEN_S
    origin: str | None = None


_BODY = msgspec.json.Decoder(ViewerTokenIn)


class FeedApi:
    """Handlers of viewer tokens and of the feed that they read."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ledger = services.ledger
        private = services.followers.derive_key(ec.SECP256R1(), "viewer tokens")
        secret = private.private_numbers().private_value.to_bytes(32, "big")
        self._tokens = ViewerTokens(secret, services.identity, services.clock)

    def routes(self, guarded: Guard) -> Sequence[BaseRoute]:
        """Return the routes."""
        make = guarded(Right.READ, self.make_token)
        return [
            Route("/v1/viewer-tokens", make, methods=["POST"]),
            Route("/v1/feed", self.feed, methods=["GET"]),
            Route("/v1/feed", self.preflight, methods=["OPTIONS"]),
        ]

    async def make_token(self, request: Request, principal: Principal) -> Response:
        """Answer a token that reads the feed of one resource."""
        body = await body_of(request, limits.TOKEN_REQUEST_BYTES)
        wanted = json_text.decode_as(_BODY, body)
        with of_body():
            answer = await self._services.door().run(self._make, principal, wanted)
        return Response(json_text.encode(answer), 201, media_type="application/json")

    def _make(self, principal: Principal, wanted: ViewerTokenIn) -> Json:
        if not isinstance(access.visible(principal), Everything):
            raise Forbidden(
                "only a credential that sees the whole tenant can create a viewer token"
            )
        found = feed_role({role: getattr(wanted, role) for role in FEED_ROLES})
        if found is None:
            raise Malformed("pass one of actor, target or scope", path="/target")
        role, text = found
        resource = references.parse(text)
        if resource is None:
            raise Malformed(f"{role} must be TYPE:ID, such as user:481", path=f"/{role}")
        if not 0 < wanted.expires_in <= VIEWER_TOKEN_S:
            raise Malformed(f"expires_in must be 1 to {VIEWER_TOKEN_S} seconds", path="/expires_in")
        if wanted.origin is not None and not _ORIGIN.fullmatch(wanted.origin):
            raise Malformed("origin must look like https://app.example", path="/origin")
        text, token = self._tokens.issue(
            principal, (role, *resource), lasts_s=wanted.expires_in, origin=wanted.origin
        )
        return {
            "token": text,
            "expires_at": times.to_rfc3339(token.until_s * 1000),
            role: references.to_text(token.type, token.id),
        }

    async def preflight(self, request: Request) -> Response:
        """Answer a browser that asks whether a page of another host may read a feed."""
        return Response(status_code=204, headers=_PREFLIGHT)

    async def feed(self, request: Request) -> Response:
        """Answer a page of a feed, errors too in a form that pages of other hosts can read."""
        try:
            response: Response = await self._services.door().run(self._feed, request)
        except TallystickError as error:
            response = problem_response(request, error, request.scope["state"]["request_id"])
        response.headers.update(_CORS)
        return response

    def _feed(self, request: Request) -> Response:
        token = self._token(request)
        params = request.query_params
        parameters.check_names(params, _PARAMETERS)
        name = references.to_text(token.type, token.id)
        for role in FEED_ROLES:
            for asked in params.getlist(role):
                # Whether anything else is there is not for this token to learn.
                if role != token.role or references.parse(asked) != (token.type, token.id):
                    raise NotFound("no such feed")
        where = Eq(token.role, name)
        fingerprint = cursor.fingerprint(("feed", token.tenant, token.role, name))
        place = params.get("cursor")
        question = Find(
            where=where,
            limit=parameters.whole(params, "limit", FEED_LIMIT, 1, FEED_LIMIT_MAX),
            after=cursor.decode(place, fingerprint) if place else None,
        )
        page = self._ledger.find(
            token.tenant, question, Everything(), max_bytes=self._services.settings.page_bytes
        )
        answer: Json = {"events": [_told(view) for view in page.views], "next": None}
        if page.more and page.hits:
            answer["next"] = cursor.encode(page.hits[-1].position, fingerprint)
        headers = {"Cache-Control": "no-store"}
        return Response(json_text.encode(answer), headers=headers, media_type="application/json")

    def _token(self, request: Request) -> ViewerToken:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("reading a feed needs a viewer token as the bearer token")
        token = self._tokens.read(text.strip())
        origin = request.headers.get("origin")
        if token.origin is not None and origin is not None and origin != token.origin:
            raise Unauthenticated("the viewer token is for pages of another origin")
        return token


def _told(view: View) -> Json:
    """Return an event as a viewer reads it: the sentence and its time, and nothing of its data."""
    told = summary.of(view.event)
    return {
        "id": view.first.id,
        "kind": view.first.kind,
        "occurred_at": times.to_rfc3339(view.first.occurred_ms),
        "summary": {"text": told.text, "html": told.html},
    }
