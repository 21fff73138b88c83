"""A sixth dialect is one folder and one line: a toy one is made here and served."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tallystick import json_text
from tallystick.dialects import DIALECTS
from tallystick.dialects.base import Dialect
from tallystick.dialects.errors import ErrorAnswer
from tallystick.dialects.services import Services
from tallystick.errors import SettingsError, TallystickError
from tallystick.events.dialect_rules import DialectRules
from tallystick.http.app import App
from tallystick.http.auth import Authenticator
from tallystick.identity import access
from tallystick.node.node import open_node
from tallystick.query.question import Find
from tallystick.settings import Settings
from tests.support.live_server import open_server


def routes(services: Services) -> list[Route]:
    """Return the toy's one route: the kinds of the events it shows."""
    authenticator = Authenticator(services.identity, services.issuer)

    async def kinds(request: Request) -> Response:
        principal = authenticator.of_scope(request.scope)
        question = Find(dialect="native", limit=10)
        page = await services.door().run(
            services.ledger.find, principal.tenant, question, access.visible(principal)
        )
        return JSONResponse([view.event.kind for view in page.views])

    return [Route("/toy/kinds", kinds, methods=["GET"])]


def refused(request: Request, error: TallystickError) -> ErrorAnswer:
    """Answer errors in the toy's shape."""
    return ErrorAnswer(418, json_text.encode({"oops": error.code}))


TOY = Dialect(
    name="toy",
    title="Toy",
    rules=DialectRules(shows=lambda view: True, derived=lambda view, tenant_uuid: {}),
    routes=routes,
    owns=lambda path: path.startswith("/toy/"),
    error=refused,
    openapi="openapi.yaml",
)


def test_a_sixth_dialect_is_one_value_more(tmp_path: Path) -> None:
    with open_server(tmp_path / "data", dialects=(*DIALECTS, TOY)) as server, server.http() as http:
        http.post("/v1/events", json={"kind": "k"})
        assert http.get("/toy/kinds").json() == ["k"]
        assert http.get("/toy/nothing").json() == {"oops": "not_found"}
        with server.plain_http() as nobody:
            assert nobody.get("/toy/kinds").json() == {"oops": "unauthenticated"}


def test_a_dialect_can_be_switched_off(tmp_path: Path) -> None:
    with (
        open_server(
            tmp_path / "data", dialects=(*DIALECTS, TOY), wanted=("toy", "kvass")
        ) as server,
        server.http() as http,
    ):
        assert http.get("/toy/kinds").status_code == 200
        assert http.get("/extensions/kvass/openapi.yaml").status_code == 200
        assert http.get("/extensions/onehub/openapi.yaml").status_code == 404
        off = http.get("/v2/info")
    assert off.status_code == 404
    assert off.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "given",
    [
        {"dialects": ("kvas",)}, {"dialects": ("",)}, {"kvass": {"size": 1}},
        {"orchestrate": {"x": 1}}, {"onehub": {"own_event_only": True}},
        {"cloudfoundry": {"timezone": "UTC"}}, {"datatrails": {"height": 3}},
    ],
    ids=str,
)  # fmt: skip
def test_a_setting_of_no_dialect_is_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    with (
        pytest.raises(SettingsError, match=r"unknown setting|no such dialect|unknown member"),
        closing(open_node(tmp_path / "data", Settings(**given), followers=False)) as node,
    ):
        App(node, DIALECTS)
