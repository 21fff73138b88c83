"""What every page of administration has: its sections, the latest acts, and how forms come back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tallystick.console.gate import Gate, Visit
from tallystick.console.session import PATH
from tallystick.errors import Forbidden, RequestError
from tallystick.events.event import View
from tallystick.ledger.ledger import Ledger
from tallystick.query.expr import Eq, Expr, Sort, all_of
from tallystick.query.question import Find, Over

SECTIONS: Mapping[str, str] = {
    "tenant": "Tenant",
    "keys": "Keys",
    "users": "Users",
    "clients": "Clients",
    "keysets": "Key sets",
    "streams": "Streams",
    "holds": "Legal holds",
    "retention": "Retention",
    "erasures": "Erasures",
}
ADMIN = f"{PATH}/admin"
_ACTS_SHOWN = 12

Endpoint = Callable[[Request], Awaitable[Response]]


class AdminFrame:
    """Shows pages of administration."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def show(
        self,
        visit: Visit,
        section: str,
        template: str | None = None,
        /,
        *,
        error: RequestError | None = None,
        secret: str | None = None,
        **values: object,
    ) -> Response:
        """Return the page of a section, with what went wrong or a secret that is shown once."""
        return visit.show(
            template or f"admin_{section}.html", 400 if error else 200, section=section,
            sections=SECTIONS, error=error, secret=secret, acts=latest_acts(self._ledger, visit),
            is_operator=visit.visitor.token.kind == "operator",
            form=visit.form if error else {}, **values,
        )  # fmt: skip


def latest_acts(ledger: Ledger, visit: Visit, *more: Expr) -> Sequence[View]:
    """Return the latest acts of administration, as the log has them and the reader may see."""
    question = Find(
        where=all_of((Eq("op", "system"), *more)),
        over=Over.LOG,
        sort=(Sort("index", descending=True),),
        limit=_ACTS_SHOWN,
    )
    return ledger.find(visit.tenant, question, visit.visible).views


def acting(
    gate: Gate,
    act: Callable[[Visit], str | None],
    back: Callable[[Visit], str],
    shown: Callable[[Visit, RequestError | None, str | None], Response],
) -> Endpoint:
    """Return the endpoint of an act: back to a page, or that page with an error or a secret.

    `act` returns a secret that is shown once, or None; `back` says which page is next.
    """

    def page(visit: Visit) -> Response:
        try:
            secret = act(visit)
        except Forbidden:
            raise
        except RequestError as error:
            return shown(visit, error, None)
        if secret is not None:
            return shown(visit, None, secret)
        return RedirectResponse(back(visit), 303)

    return gate.administering(page)
