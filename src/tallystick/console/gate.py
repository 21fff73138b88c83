"""Through which every request for a page goes: who sends it, whether they may, and in which shape
it is answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit
from zoneinfo import ZoneInfo

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tallystick import limits
from tallystick.console.assets import Assets
from tallystick.console.markup import environment, zone_of
from tallystick.console.session import PATH, Sessions, Visitor
from tallystick.dialects.services import Services
from tallystick.errors import Forbidden, Malformed
from tallystick.identity import access
from tallystick.identity.access import Scope
from tallystick.identity.calling import note_caller
from tallystick.identity.records import User
from tallystick.query.expr import Expr

ZONE_COOKIE = "tallystick_zone"
FRAGMENT_HEADER = "x-tallystick-fragment"
_FIELDS_MAX = 200

Page = Callable[["Visit"], Response]


class Visit(NamedTuple):
    """One request of a person who is signed in."""

    request: Request
    visitor: Visitor
    form: Mapping[str, str]
    zone: ZoneInfo
    frame: Frame

    @property
    def tenant(self) -> str:
        """The tenant whose log the person reads."""
        return self.visitor.principal.tenant

    @property
    def visible(self) -> Expr:
        """What the person may see."""
        return access.visible(self.visitor.principal)

    @property
    def params(self) -> QueryParams:
        """The parameters of the address."""
        return self.request.query_params

    def show(self, template: str, /, status: int = 200, **values: object) -> Response:
        """Return a page."""
        return self.frame.page(
            self.request, template, status, visitor=self.visitor, zone=self.zone, **values
        )


class Frame:
    """What is around every page: templates, and who looks at them."""

    def __init__(self, services: Services, assets: Assets) -> None:
        self._services = services
        self._templates = environment(assets.url)

    def page(
        self, request: Request, template: str, status: int = 200, **values: object
    ) -> Response:
        """Return a page or a part of one, with what all of them need."""
        common: dict[str, object] = {
            "path": request.scope["path"],
            "visitor": None,
            "zone": self.zone(request, None),
            "zone_name": str(values.get("zone") or self.zone(request, None)),
            "narrow": False,
            "base_url": self._services.base_url(request.scope),
        }
        text = self._templates.get_template(template).render({**common, **values})
        return HTMLResponse(text, status)

    def zone(self, request: Request, visitor: Visitor | None) -> ZoneInfo:
        """Return the reader's time zone: what the address says, the browser, or their account."""
        names = [request.query_params.get("tz"), request.cookies.get(ZONE_COOKIE)]
        if visitor is not None and visitor.token.kind == "user":
            user = self._services.identity.get(
                User, visitor.principal.tenant, visitor.token.subject
            )
            names.append(None if user is None else user.time_zone)
        found = (zone_of(name) for name in names if name)
        return next((zone for zone in found if zone is not None), ZoneInfo("UTC"))


class Gate:
    """Lets people reach the pages that they may see."""

    def __init__(self, services: Services, sessions: Sessions, frame: Frame) -> None:
        self._services = services
        self._sessions = sessions
        self._frame = frame

    def reading(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint of a page for everybody who may read."""

        async def endpoint(request: Request) -> Response:
            return await self.run(page, await self.visit(request, Scope.READ))

        return endpoint

    def signed_in(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint of a page for everybody who is signed in."""

        async def endpoint(request: Request) -> Response:
            return await self.run(page, await self.visit(request, None))

        return endpoint

    def administering(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint of a page for administrators; to act they prove who they are."""

        async def endpoint(request: Request) -> Response:
            visit = await self.visit(request, Scope.ADMIN)
            if request.method == "POST":
                self._sessions.require_fresh(visit.visitor)
            return await self.run(page, visit)

        return endpoint

    async def visit(self, request: Request, right: Scope | None) -> Visit:
        """Return a request of somebody who is signed in and has a right; forms are read.

        Raises: Unauthenticated, Forbidden, Malformed.
        """
        run = self._services.door().run
        visitor: Visitor = await run(self._sessions.visitor, request)
        # Here, not in the thread that found it: what a thread notes ends with its call.
        note_caller(visitor.principal)
        form: Mapping[str, str] = {}
        if request.method == "POST":
            check_origin(request)
            form = await self.form(request)
            self._sessions.check_form(visitor, form.get("csrf", ""))
        if right is not None:
            access.require(visitor.principal, right)
        zone: ZoneInfo = await run(self._frame.zone, request, visitor)
        return Visit(request, visitor, form, zone, self._frame)

    async def run(self, page: Page, visit: Visit) -> Response:
        """Return a page, made in a worker thread."""
        return await self._services.door().run(page, visit)

    async def form(self, request: Request) -> Mapping[str, str]:
        """Return the fields of a form.

        Raises: Malformed, TooLarge.
        """
        body = await self._services.body(request, limits.TOKEN_REQUEST_BYTES)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not body:
            return {}
        if media_type != "application/x-www-form-urlencoded":
            raise Malformed("A form is sent as application/x-www-form-urlencoded.")
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS_MAX)
        except ValueError:
            raise Malformed("The form cannot be read.") from None
        return dict(pairs)


def check_origin(request: Request) -> None:
    """Let a form pass that was sent from this host.

    Raises: Forbidden.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site in ("same-origin", "none"):
            return
    else:
        origin = request.headers.get("origin")
        if origin is None or urlsplit(origin).netloc == request.headers.get("host"):
            return
    raise Forbidden("This form was sent from another site.")


def is_fragment(request: Request) -> bool:
    """Tell whether a script asks for a part of a page."""
    return request.headers.get(FRAGMENT_HEADER) == "1"


def back_to(text: str | None) -> str:
    """Return a page of the console to go on to; never one elsewhere."""
    if not text or not text.startswith(PATH) or text[len(PATH) :][:1] not in ("", "/", "?"):
        return PATH
    is_plain = "\\" not in text and text.isprintable() and "/sign-" not in text
    return text if is_plain else PATH


def sign_in_again(request: Request) -> Response:
    """Return the way to the sign-in page, and from there back here."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    after = {"next": here} if request.method in ("GET", "HEAD") and here != PATH else {}
    where = f"{PATH}/sign-in" + (f"?{urlencode(after)}" if after else "")
    return RedirectResponse(where, 303)
