"""The console as the server mounts it: routes, error pages, and what every answer carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from tallystick.console.assets import STATIC, Assets
from tallystick.console.gate import Frame, Gate, is_fragment, sign_in_again
from tallystick.console.pages.admin import AdminPages
from tallystick.console.pages.admin_frame import AdminFrame
from tallystick.console.pages.erasures import ErasurePages
from tallystick.console.pages.event import EventPages
from tallystick.console.pages.events import EventsPages
from tallystick.console.pages.exports import ExportPages
from tallystick.console.pages.log import LogPages
from tallystick.console.pages.resource import ResourcePages
from tallystick.console.pages.retention import RetentionPages
from tallystick.console.pages.streams import StreamPages
from tallystick.console.questions import Questions
from tallystick.console.services import ConsoleServices
from tallystick.console.session import PATH, Sessions, StaleProof
from tallystick.console.signin import SignInPages
from tallystick.console.single_sign_on import oidc_settings
from tallystick.console.single_sign_on_pages import SingleSignOn
from tallystick.dialects.base import Dialect
from tallystick.dialects.services import Services
from tallystick.errors import (
    Conflict,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    Pushback,
    RateLimited,
    RequestError,
    TallystickError,
    TooLarge,
    Unauthenticated,
    Unexpected,
)

_STATUS: Mapping[type[TallystickError], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    Conflict: 409,
    TooLarge: 413,
    RateLimited: 429,
    RequestError: 400,
    Pushback: 503,
    Unexpected: 500,
    TallystickError: 503,
}
_TITLES = {
    400: "That does not work",
    401: "Sign in first",
    403: "You may not do this",
    404: "Nothing here",
    405: "That does not work",
    409: "Somebody was faster",
    413: "That is too much",
    429: "Too many attempts",
    500: "Something went wrong here",
    503: "The server is busy",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Console:
    """Everything below `/console`; answers in pages, errors too."""

    name = "console"

    def __init__(
        self, services: Services, dialects: Sequence[Dialect], parts: ConsoleServices
    ) -> None:
        self.sessions = Sessions(services)
        # Set once, when the server listens.
        self.address = services.settings.external_url or ""
        self._assets = Assets()
        self._frame = Frame(services, self._assets)
        self._gate = Gate(services, self.sessions, self._frame)
        self._services = services
        self._dialects = dialects
        self._parts = parts

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        questions = Questions(self._services.ledger)
        names = [dialect.name for dialect in self._dialects]
        frame = AdminFrame(self._services.ledger)
        single_sign_on = self._single_sign_on()
        sign_in = SignInPages(
            self._services, self.sessions, self._frame, self._gate, single_sign_on
        )
        return [
            Route(STATIC + "/{path:path}", self._assets.answer, methods=["GET"]),
            *sign_in.routes(),
            *(single_sign_on.routes() if single_sign_on is not None else ()),
            *EventsPages(self._services, self._gate, questions).routes(),
            *EventPages(self._services, self._gate, self._dialects).routes(),
            *ResourcePages(self._services, self._gate).routes(),
            *LogPages(self._services, self._gate, self._parts).routes(),
            *StreamPages(self._services, self._gate, frame, self._parts.streams).routes(),
            *ErasurePages(self._services, self._gate, frame, self._parts.erasures).routes(),
            *RetentionPages(self._services, self._gate, frame, self._parts.retention).routes(),
            *ExportPages(self._services, self._gate, self._parts, questions).routes(),
            *AdminPages(self._services, self._gate, self.sessions, frame, names).routes(),
        ]

    def new_link(self) -> str:
        """Return a link that signs the operator in, once and soon."""
        return f"{self.address}{PATH}/sign-in/{self.sessions.new_link()}"

    def _single_sign_on(self) -> SingleSignOn | None:
        """Return the sign-in through a provider, if one is configured.

        Raises: SettingsError.
        """
        wanted = oidc_settings(self._services.settings)
        if wanted is None:
            return None
        return SingleSignOn(self._services, self.sessions, self._frame, self._gate, wanted)

    @staticmethod
    def owns(path: str) -> bool:
        """Tell whether a path lies in the console."""
        return path == PATH or path.startswith(f"{PATH}/")

    @staticmethod
    def headers(request: Request) -> Mapping[str, str]:
        """Return what every answer of the console carries."""
        return _HEADERS

    def error_response(self, request: Request, error: TallystickError) -> Response:
        """Return an error as a page, as a part of one, or as the way to sign in."""
        if isinstance(error, StaleProof):
            return self._prove_again(request)
        if isinstance(error, Unauthenticated) and not is_fragment(request):
            return sign_in_again(request)
        status = next(_STATUS[cls] for cls in type(error).__mro__ if cls in _STATUS)
        values = {"title": _TITLES[status], "message": error.message, "hint": error.hint}
        values["code"] = error.code
        template = "_error.html" if is_fragment(request) else "error.html"
        response = self._frame.page(request, template, status, narrow=True, **values)
        if isinstance(error, MethodNotAllowed):
            response.headers["Allow"] = ", ".join(error.allowed)
        if isinstance(error, RateLimited | Pushback):
            response.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
        return response

    async def entrance(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lead a browser from the root of the server to the console."""
        response = RedirectResponse(PATH, 303, {"Vary": "Accept", "Cache-Control": "no-store"})
        await response(scope, receive, send)

    def _prove_again(self, request: Request) -> Response:
        # The page that showed the form: what was filled in there is kept by the browser.
        referrer = request.headers.get("referer", "")
        path = "/" + referrer.partition("://")[2].partition("/")[2]
        query = f"?next={quote(path, safe='')}" if self.owns(path.partition("?")[0]) else ""
        return RedirectResponse(f"{PATH}/confirm{query}", 303)


def wants_console(scope: Scope) -> bool:
    """Tell whether a request for the root of the server comes from a browser."""
    if scope["path"] != "/" or scope["method"] not in ("GET", "HEAD"):
        return False
    accepts = (value for name, value in scope["headers"] if name == b"accept")
    return any(_prefers_html(value.decode("latin-1")) for value in accepts)


def _prefers_html(accept: str) -> bool:
    """Tell whether HTML is named, and not behind JSON."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weights[media_type] = float(quality)
        except ValueError:
            weights[media_type] = 0.0
    html = weights.get("text/html", 0.0)
    return html > 0 and html >= weights.get("application/json", 0.0)
