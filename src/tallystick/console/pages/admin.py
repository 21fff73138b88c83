"""The pages of administration: every act is the one that the API carries out, and an entry too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tallystick.console.gate import Gate, Visit
from tallystick.console.pages.admin_acts import Acts
from tallystick.console.pages.admin_frame import ADMIN, AdminFrame, Endpoint, acting
from tallystick.console.session import PATH, Sessions
from tallystick.dialects.services import Services
from tallystick.errors import Forbidden, NotFound, RequestError
from tallystick.identity.access import GRANT_SCOPES, ROLES, Scope
from tallystick.identity.records import ApiKey, KeySet, OAuthClient, User

_SECTIONS = frozenset(("tenant", "keys", "users", "clients", "keysets", "holds"))


class AdminPages:
    """Handlers of the records of identity, and of holds."""

    def __init__(
        self,
        services: Services,
        gate: Gate,
        sessions: Sessions,
        frame: AdminFrame,
        dialects: Sequence[str],
    ) -> None:
        self._identity = services.identity
        self._ledger = services.ledger
        self._gate = gate
        self._sessions = sessions
        self._frame = frame
        self._dialects = dialects
        self._acts = Acts(services)

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes; they come behind those of other sections."""
        on, acts = self._gate.administering, self._acts
        posts: Mapping[str, tuple[str, Callable[[Visit], str | None]]] = {
            "keys/create": ("keys", acts.create_key),
            "keys/revoke": ("keys", acts.revoke_key),
            "users/create": ("users", acts.create_user),
            "users/change": ("users", acts.change_user),
            "users/delete": ("users", acts.delete_user),
            "users/grant": ("users", acts.add_grant),
            "users/ungrant": ("users", acts.remove_grant),
            "clients/create": ("clients", acts.create_client),
            "clients/delete": ("clients", acts.delete_client),
            "keysets/save": ("keysets", acts.save_key_set),
            "keysets/delete": ("keysets", acts.delete_key_set),
            "holds/place": ("holds", acts.place_hold),
            "holds/lift": ("holds", acts.lift_hold),
            "tenant/policy": ("tenant", acts.change_policy),
            "tenants/create": ("tenant", self._create_tenant),
        }
        return [
            Route(ADMIN, on(self._first), methods=["GET"]),
            *(
                Route(f"{ADMIN}/{path}", self._on(*act), methods=["POST"])
                for path, act in posts.items()
            ),
            Route(f"{ADMIN}/tenants/switch", on(self._switch), methods=["POST"]),
            Route(f"{ADMIN}/{{section}}", on(self._page), methods=["GET"]),
        ]

    def _on(self, section: str, act: Callable[[Visit], str | None]) -> Endpoint:
        return acting(
            self._gate,
            act,
            lambda visit: f"{ADMIN}/{section}",
            lambda visit, error, secret: self._section(visit, section, error, secret),
        )

    def _first(self, visit: Visit) -> Response:
        return self._section(visit, "tenant")

    def _page(self, visit: Visit) -> Response:
        section = visit.request.path_params["section"]
        if section not in _SECTIONS:
            raise NotFound("There is no such page of administration.")
        return self._section(visit, section)

    def _section(
        self,
        visit: Visit,
        section: str,
        error: RequestError | None = None,
        secret: str | None = None,
    ) -> Response:
        records = self._records(visit, section)
        return self._frame.show(visit, section, None, error=error, secret=secret, **records)

    def _records(self, visit: Visit, section: str) -> dict[str, object]:
        """Return what the page of a section lists."""
        tenant, identity = visit.tenant, self._identity
        match section:
            case "keys":
                keys = sorted(identity.list(ApiKey, tenant), key=lambda key: -key.created_ms)
                return {"keys": keys, "scopes": list(Scope)}
            case "users":
                users = identity.list(User, tenant)
                return {"users": users, "roles": ROLES, "scope_types": GRANT_SCOPES}
            case "clients":
                clients = identity.list(OAuthClient, tenant)
                users = identity.list(User, tenant)
                return {"clients": clients, "users": users, "dialects": self._dialects}
            case "keysets":
                return {"key_sets": identity.list(KeySet, tenant)}
            case "holds":
                holds = sorted(self._ledger.holds.all(tenant), key=lambda hold: -hold.placed_ms)
                return {"holds": holds}
        is_operator = visit.visitor.token.kind == "operator"
        return {
            "tenant": identity.tenant(tenant),
            "tenants": identity.tenants() if is_operator else [],
        }

    def _create_tenant(self, visit: Visit) -> None:
        _require_operator(visit)
        self._acts.create_tenant(visit)

    def _switch(self, visit: Visit) -> Response:
        """Let the operator go on in another tenant, in a session of its own."""
        _require_operator(visit)
        tenant = self._identity.tenant(visit.form.get("id", ""))
        response = RedirectResponse(PATH, 303)
        token = self._sessions.in_tenant(visit.visitor.token, tenant.id)
        self._sessions.end(visit.visitor.token)
        self._sessions.set_cookie(visit.request, response, token)
        return response


def _require_operator(visit: Visit) -> None:
    if visit.visitor.token.kind != "operator":
        raise Forbidden(
            "Tenants are made by the owner of the data folder.",
            hint="Sign in with the link that the server prints.",
        )
