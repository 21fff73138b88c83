"""Administration of witnesses: who is asked to cosign the checkpoints of a tenant's log."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tallystick.dialects.services import Services
from tallystick.errors import Conflict, Forbidden, Malformed, MalformedNote, NotFound
from tallystick.http.admin.guard import ONE, AdminGuard, Input, decode, json_response
from tallystick.http.auth import CONTROL
from tallystick.identity import acts
from tallystick.identity.acts import Act
from tallystick.identity.records import ConfiguredWitness
from tallystick.node.node import Node
from tallystick.tlog.policy import LINES_MAX, parse_witness

_WITNESSES = ONE + "/witnesses"


class WitnessIn(Input, frozen=True):
    """A witness to be added, by its line of a policy: `witness NAME KEY URL`."""

    line: str


class AdminWitnessesApi:
    """Handlers of witnesses. An administrator sees them; the operator adds and removes them.

    The server itself calls a witness's URL, so who may name one may point it anywhere.
    """

    def __init__(self, services: Services, guard: AdminGuard, node: Node) -> None:
        self._services = services
        self._guard = guard
        self._node = node

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        on = self._guard.on
        return [
            Route(_WITNESSES, on(self._list), methods=["GET"]),
            Route(_WITNESSES, on(self._add), methods=["POST"]),
            Route(_WITNESSES + "/{id:path}", on(self._remove), methods=["DELETE"]),
        ]

    def _list(self, request: Request, tenant: str) -> Response:
        identity, ledger = self._services.identity, self._services.ledger
        log_id = identity.tenant(tenant).log_id
        url = f"{self._services.base_url(request.scope)}/log/{log_id}/cosigned"
        return json_response(
            {
                "log": f"log {ledger.proofs.verifier_key(tenant)} {url}",
                "witnesses": self._node.witness_status(tenant),
            }
        )

    def _add(self, request: Request, tenant: str) -> Response:
        _require_operator(request)
        self._services.identity.tenant(tenant)
        witness = self._configured(tenant, decode(WitnessIn, request.state.body).line)
        others = self._services.identity.list(ConfiguredWitness, tenant)
        if any(other.key == witness.key for other in others):
            raise Conflict("the log already has a witness with that key")
        if len(others) >= LINES_MAX:
            raise Malformed(f"a log has at most {LINES_MAX} witnesses", path="/line")
        self._services.ledger.administer(tenant, acts.add_witness(witness))
        self._changed()
        added = (each for each in self._node.witness_status(tenant) if each["name"] == witness.id)
        return json_response(next(added), 201)

    def _remove(self, request: Request, tenant: str) -> Response:
        _require_operator(request)

        def delete(witness: ConfiguredWitness | None) -> Act:
            if witness is None:
                raise NotFound("no such witness")
            return acts.delete(witness)

        id = request.path_params["id"]
        self._services.ledger.changes.carry_out(ConfiguredWitness, tenant, id, delete)
        self._changed()
        return Response(status_code=204)

    def _configured(self, tenant: str, line: str) -> ConfiguredWitness:
        try:
            wanted = parse_witness(line)
        except MalformedNote as error:
            raise Malformed(error.message, path="/line") from None
        return ConfiguredWitness(
            id=wanted.name,
            tenant=tenant,
            created_ms=self._services.clock.now_ms(),
            key=str(wanted.verifier),
            url=_checked_url(wanted.url),
        )

    def _changed(self) -> None:
        if self._node.witnesses is not None:
            self._node.witnesses.changed()


def _require_operator(request: Request) -> None:
    if not request.scope["state"].get(CONTROL):
        raise Forbidden(
            "witnesses can only be added and removed through the control socket of the data folder"
        )


def _checked_url(url: str | None) -> str:
    parts = urlsplit(url or "")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise Malformed("a witness's URL must be http or https, without credentials", path="/line")
    if parts.query or parts.fragment:
        raise Malformed("a witness's URL must be a prefix, without query or fragment", path="/line")
    return (url or "").rstrip("/")
