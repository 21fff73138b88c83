"""The page of one event: what it tells, what changed, its revisions, and its proof."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tallystick import json_text
from tallystick.console.differences import changes_told, pretty_json
from tallystick.console.gate import Gate, Visit
from tallystick.console.markup import Verbatim, event_url
from tallystick.console.proof_path import ProofStep, proof_steps
from tallystick.console.questions import clause
from tallystick.console.session import PATH
from tallystick.dialects.base import Dialect
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound
from tallystick.events import rendering
from tallystick.events.event import Op, View
from tallystick.identity import access
from tallystick.identity.access import Scope
from tallystick.query.expr import Eq, Sort
from tallystick.query.question import Find, Over
from tallystick.tlog.hashing import leaf_hash

_REVISIONS_MAX = 100
_EMBEDDED_BYTES = 256 * 1024


class Fact(NamedTuple):
    """A fact of an event, with the piece of a search that asks for it."""

    name: str
    value: str
    piece: str | None


class ApiView(NamedTuple):
    """An event as one API shows it."""

    name: str
    title: str
    text: str | None
    cut: bool


class ShownProof(NamedTuple):
    """The proof of an entry, as far as it is drawn."""

    leaf: str
    steps: Sequence[ProofStep]
    root: str
    size: int
    receipt: Verbatim | None


class EventPages:
    """Handlers of the page of an event."""

    def __init__(self, services: Services, gate: Gate, dialects: Sequence[Dialect]) -> None:
        self._services = services
        self._ledger = services.ledger
        self._gate = gate
        self._dialects = dialects

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        reading, one = self._gate.reading, f"{PATH}/events/{{id}}"
        return [
            Route(one, reading(self._page), methods=["GET"]),
            Route(f"{one}/receipt", reading(self._receipt), methods=["GET"]),
            Route(f"{one}/json", reading(self._json), methods=["GET"]),
            Route(f"{one}/erase", reading(self._erase_form), methods=["GET"]),
            Route(f"{one}/erase", self._gate.administering(self._erase), methods=["POST"]),
        ]

    def _view(self, visit: Visit) -> View:
        id = visit.request.path_params["id"]
        index = self._ledger.index_of(visit.tenant, id)
        if index is not None:
            try:
                return self._ledger.view_at(visit.tenant, index, visit.visible)
            except NotFound:
                pass
        raise NotFound("No event that you may see has this id.")

    def _page(self, visit: Visit) -> Response:
        view = self._view(visit)
        event, first = view.event, view.first
        data, data_cut = pretty_json(event.data)
        raw, raw_cut = pretty_json(rendering.from_view(view))
        changes = changes_told(event.previous, event.data) if event.previous else []
        return visit.show(
            "event.html",
            view=view, event=event, first=first, changes=changes, facts=facts_of(view),
            data=data, data_cut=data_cut, raw=raw, raw_cut=raw_cut, apis=self._apis(visit, view),
            revisions=self._revisions(visit, view), holds=self._holds(visit, view),
            proof=self._proof(visit, view),
            may_erase=first.op is Op.RECORD and visit.visitor.principal.may(Scope.PURGE),
            verifier_key=self._ledger.proofs.verifier_key(visit.tenant),
        )  # fmt: skip

    def _apis(self, visit: Visit, view: View) -> list[ApiView]:
        tenant = self._services.identity.tenant(visit.tenant)
        native, cut = pretty_json(rendering.from_view(view))
        found = [ApiView("native", "Native", native, cut)]
        for dialect in self._dialects:
            text, cut = None, False
            ordinary = view.first.op is Op.RECORD and dialect.rules.shows(view)
            if dialect.render is not None and ordinary:
                text, cut = pretty_json(dialect.render(view, tenant))
            found.append(ApiView(dialect.name, dialect.title, text, cut))
        return found

    def _revisions(self, visit: Visit, view: View) -> Sequence[View]:
        """Return what was done to the event since, oldest first, as far as the reader may see."""
        question = Find(
            where=Eq("subject", view.first.id),
            over=Over.LOG,
            sort=(Sort("index", descending=False),),
            limit=_REVISIONS_MAX,
        )
        return self._ledger.find(visit.tenant, question, visit.visible).views

    def _holds(self, visit: Visit, view: View) -> list[tuple[str, str]]:
        """Return the holds that cover the event; their reasons are for administrators."""
        covering = [
            hold for hold in self._ledger.holds.active(visit.tenant) if hold.covering()(view)
        ]
        is_admin = visit.visitor.is_admin
        return [(hold.id, hold.reason if is_admin else "") for hold in covering]

    def _proof(self, visit: Visit, view: View) -> ShownProof:
        receipt = self._ledger.proofs.receipt(visit.tenant, view.index)
        inclusion = self._ledger.proofs.inclusion(visit.tenant, view.index)
        entry: str = json_text.decode(receipt)["entry"]
        leaf = leaf_hash(entry.encode())
        steps = proof_steps(leaf, inclusion.index, inclusion.size, inclusion.path)
        embedded = None
        if len(receipt) <= _EMBEDDED_BYTES:
            # A reader of HTML must find neither an end tag nor a comment in it.
            embedded = Verbatim(receipt.decode().replace("<", "\\u003c"))
        return ShownProof(leaf.hex(), steps, inclusion.root.hex(), inclusion.size, embedded)

    def _receipt(self, visit: Visit) -> Response:
        view = self._view(visit)
        body = self._ledger.proofs.receipt(visit.tenant, view.index)
        disposition = f'attachment; filename="{view.first.id}.receipt.json"'
        return Response(
            body, media_type="application/json", headers={"Content-Disposition": disposition}
        )

    def _json(self, visit: Visit) -> Response:
        body = json_text.encode(rendering.from_view(self._view(visit)))
        return Response(body, media_type="application/json")

    def _erase_form(self, visit: Visit) -> Response:
        access.require(visit.visitor.principal, Scope.PURGE)
        view = self._view(visit)
        return visit.show("erase.html", narrow=True, view=view, event=view.event)

    def _erase(self, visit: Visit) -> Response:
        view = self._view(visit)
        if visit.form.get("confirm", "").strip() != view.first.kind:
            raise Malformed(
                "Nothing was erased: the kind that you typed is not the event's.", path="confirm"
            )
        self._ledger.erase_event(
            visit.tenant, view.first.id, visible=visit.visible, actor=visit.visitor.actor
        )
        return RedirectResponse(event_url(view.first.id), 303)


def facts_of(view: View) -> list[Fact]:
    """Return what is known of an event beside its payload, as rows of a table."""
    event = view.event
    facts = [
        Fact("Kind", event.kind, clause("kind", event.kind)),
        Fact("Id", event.id, None),
        Fact("Written through", event.dialect, clause("dialect", event.dialect)),
        Fact("What it is", event.op.value, clause("op", event.op.value)),
    ]
    if event.subject is not None:
        facts.append(Fact("Acts on", event.subject, clause("subject", event.subject)))
    facts += [Fact("Trail", name, clause("trail", name)) for name in event.trails]
    return facts
