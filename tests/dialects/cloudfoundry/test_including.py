"""What clients ask for in one go: resources with their parents, a space with its apps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.cloudfoundry.conftest import Deployment
from tests.dialects.cloudfoundry.samples import resource

Json = dict[str, Any]


@pytest.fixture
def two_spaces(deployment: Deployment) -> Deployment:
    """Return a deployment with two spaces of one organization, an app in each."""
    for space in ("s-1", "s-2"):
        place = {"space_guid": space, "organization_guid": "o-1"}
        named = {"actee": space, "actee_type": "space", "actee_name": f"the {space}"}
        deployment.record(
            resource(type="audit.space.create", **named, **place),
            resource(type="audit.app.create", actee=f"app-{space}", **place),
        )
    return deployment


def guids(resources: list[Json]) -> list[str]:
    return [row["guid"] for row in resources]


@pytest.mark.parametrize(
    ("path", "spaces", "organizations"),
    [
        ("/v3/apps?include=space", ["s-1", "s-2"], None),
        ("/v3/apps?include=space,space.organization", ["s-1", "s-2"], ["o-1"]),
        ("/v3/apps?include=space.organization&guids=app-s-2", ["s-2"], ["o-1"]),
        ("/v3/apps?include=org", None, ["o-1"]),
        ("/v3/apps/app-s-1?include=space", ["s-1"], None),
        ("/v3/spaces?include=organization", None, ["o-1"]),
        ("/v3/spaces/s-1?include=org", None, ["o-1"]),
        ("/v3/apps?include=space&names=nothing", [], None),
    ],
)
def test_parents_come_along(
    two_spaces: Deployment, path: str, spaces: list[str] | None, organizations: list[str] | None
) -> None:
    answer = two_spaces.admin.get(path)
    assert answer.status_code == 200, answer.text
    included = answer.json()["included"]
    expected = {"spaces": spaces, "organizations": organizations}
    assert {name: guids(rows) for name, rows in included.items()} == {
        name: rows for name, rows in expected.items() if rows is not None
    }


def test_links_of_pages_keep_what_comes_along(two_spaces: Deployment) -> None:
    first = two_spaces.admin.get("/v3/apps?include=space&per_page=1&order_by=name").json()
    assert guids(first["included"]["spaces"]) == ["s-1"]
    second = two_spaces.admin.get(first["pagination"]["next"]["href"]).json()
    assert guids(second["included"]["spaces"]) == ["s-2"]
    assert "included" not in two_spaces.admin.get("/v3/apps").json()


@pytest.mark.parametrize(
    ("path", "valid"),
    [
        ("/v3/apps?include=everything", "'space', 'org', 'space.organization'"),
        ("/v3/apps/app-s-1?include=space,x", "'space', 'org', 'space.organization'"),
        ("/v3/spaces?include=space", "'org', 'organization'"),
    ],
)
def test_what_cannot_come_along_is_refused(two_spaces: Deployment, path: str, valid: str) -> None:
    answer = two_spaces.admin.get(path)
    assert answer.status_code == 400
    detail = answer.json()["errors"][0]["detail"]
    assert "Invalid included resource: '" in detail
    assert detail.endswith(f"Valid included resources are: {valid}")


def test_organizations_include_nothing(two_spaces: Deployment) -> None:
    assert two_spaces.admin.get("/v3/organizations?include=space").status_code == 400


def test_nobody_gets_a_parent_along_that_they_may_not_know(two_spaces: Deployment) -> None:
    client = two_spaces.as_user("dev", ("space:s-1", "space_developer"))
    answer = client.get("/v3/apps?include=space,space.organization").json()
    assert guids(answer["resources"]) == ["app-s-1"]
    assert guids(answer["included"]["spaces"]) == ["s-1"]


def test_a_space_is_summarised_with_its_apps(two_spaces: Deployment) -> None:
    answer = two_spaces.admin.get("/v2/spaces/s-1/summary")
    assert answer.status_code == 200, answer.text
    summary = answer.json()
    assert (summary["guid"], summary["name"], summary["services"]) == ("s-1", "the s-1", [])
    [app] = summary["apps"]
    assert (app["guid"], app["name"], app["space_guid"]) == ("app-s-1", "shop", "s-1")
    assert (app["state"], app["instances"], app["urls"]) == ("STARTED", 0, [])


def test_a_hidden_space_and_none_are_told_apart(two_spaces: Deployment) -> None:
    client = two_spaces.as_user("dev", ("space:s-1", "space_developer"))
    assert client.get("/v2/spaces/s-1/summary").status_code == 200
    hidden = client.get("/v2/spaces/s-2/summary")
    assert (hidden.status_code, hidden.json()["code"]) == (403, 10003)
    none = client.get("/v2/spaces/none/summary")
    assert (none.status_code, none.json()["code"]) == (404, 40004)
    assert two_spaces.anonymous.get("/v2/spaces/s-1/summary").status_code == 401
