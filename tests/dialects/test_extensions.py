"""What the originals did not have stands apart, and says so in the document and in the answer."""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # the package comes without types

from tallystick.dialects import DIALECTS
from tests.support.live_server import LiveServer

MARK = "x-tallystick-extension"


def operations() -> list[tuple[str, str, str, bool]]:
    """Return dialect, method and path of all that is documented, and whether it is marked."""
    found: list[tuple[str, str, str, bool]] = []
    for dialect in DIALECTS:
        folder = resources.files(f"tallystick.dialects.{dialect.name}")
        document: dict[str, Any] = yaml.safe_load(folder.joinpath(dialect.openapi).read_text())
        found += [
            (dialect.name, method, path, operation.get(MARK, False))
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if method not in ("parameters", "options")
        ]
    return found


OPERATIONS = operations()


def test_exactly_what_stands_apart_is_marked_in_the_documents() -> None:
    apart = [path.startswith(f"/extensions/{name}/") for name, _, path, _ in OPERATIONS]
    assert apart == [marked for _, _, _, marked in OPERATIONS]
    writes = {f"/extensions/{name}/events" for name in ("kvass", "cloudfoundry", "onehub")}
    assert writes <= {path for _, _, path, _ in OPERATIONS}


@pytest.mark.parametrize(
    ("name", "method", "path"),
    [(name, method, path) for name, method, path, _ in OPERATIONS],
    ids=lambda part: part,
)
def test_an_answer_says_whether_the_original_had_it_refusals_included(
    server: LiveServer, name: str, method: str, path: str
) -> None:
    with server.plain_http() as http:
        answer = http.request(method, path)
    told = answer.headers.get(MARK)
    assert told == (name if path.startswith("/extensions/") else None)
