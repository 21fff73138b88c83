"""Who sees what: by role within a deployment, and nothing of any other."""

from __future__ import annotations

import httpx2
import pytest

from tallystick.identity import acts
from tallystick.identity.records import User
from tests.dialects.cloudfoundry.conftest import SECRET, Deployment, guids
from tests.dialects.cloudfoundry.samples import resource

PLACES = {
    "shop": ("space-1", "org-1"),
    "lab": ("space-2", "org-1"),
    "away": ("space-3", "org-2"),
    "in-org": ("", "org-2"),
    "nowhere": ("", ""),
}
EVERYTHING = set(PLACES)


def fill(deployment: Deployment) -> None:
    """Record one event in each place, and one that names the spaces and organizations."""
    deployment.record(
        *(
            resource(
                guid,
                space_guid=space,
                organization_guid=organization,
                actee=f"app-{guid}",
                actee_name=guid,
            )
            for guid, (space, organization) in PLACES.items()
        )
    )


def seen_by(client: httpx2.Client) -> set[str]:
    """Return what a client sees, having compared all ways to look."""
    third = client.get("/v3/audit_events")
    assert third.status_code == 200
    assert third.json()["pagination"]["total_results"] == len(third.json()["resources"])
    seen = set(guids(third.json()["resources"]))
    second = client.get("/v2/events")
    if second.status_code == 200:
        assert second.json()["total_results"] == len(seen)
        assert set(guids(second.json()["resources"])) == seen
    natively = client.get("/v1/events", params={"total": "true", "dialect": "cloudfoundry"})
    assert natively.json()["total"] == len(seen)
    return seen


@pytest.mark.row("C-76")
@pytest.mark.parametrize(
    ("grants", "seen"),
    [
        ([("tenant:*", "admin")], EVERYTHING),
        ([("tenant:*", "admin_read_only")], EVERYTHING),
        ([("tenant:*", "global_auditor")], EVERYTHING),
        ([("organization:org-1", "organization_auditor")], {"shop", "lab"}),
        ([("organization:org-2", "organization_auditor")], {"away", "in-org"}),
        ([("space:space-1", "space_developer")], {"shop"}),
        ([("space:space-1", "space_auditor"), ("space:space-3", "space_developer")],
         {"shop", "away"}),
        ([("space:space-1", "space_supporter")], {"shop"}),
        ([("space:space-1", "space_manager")], set()),
        ([("organization:org-1", "organization_manager")], set()),
        ([("organization:org-1", "organization_billing_manager")], set()),
        ([("organization:org-1", "organization_user")], set()),
        ([], set()),
    ],
)  # fmt: skip
def test_role_decides_what_is_listed_and_read(
    deployment: Deployment, grants: list[tuple[str, str]], seen: set[str]
) -> None:
    fill(deployment)
    client = deployment.as_user("someone", *grants)
    assert seen_by(client) == seen
    supporter = [role for _, role in grants] == ["space_supporter"]
    for guid in PLACES:
        second = client.get(f"/v2/events/{guid}")
        third = client.get(f"/v3/audit_events/{guid}")
        assert third.status_code == (200 if guid in seen else 404)
        assert second.status_code == (200 if guid in seen and not supporter else 403)


@pytest.mark.row("C-76")
def test_hidden_event_is_403_in_version_2_and_unknown_in_version_3(
    deployment: Deployment,
) -> None:
    """The documented exception: within a deployment, version 2 tells that an event exists."""
    fill(deployment)
    client = deployment.as_user("dev", ("space:space-1", "space_developer"))
    hidden = client.get("/v2/events/lab")
    assert (hidden.status_code, hidden.json()["code"]) == (403, 10003)
    assert client.get("/v2/events/unknown").json()["code"] == 230002
    hidden, unknown = (client.get(f"/v3/audit_events/{guid}") for guid in ("lab", "unknown"))
    assert hidden.content == unknown.content
    assert hidden.json()["errors"][0]["code"] == 10010


@pytest.mark.row("C-76")
def test_mere_space_supporter_is_sent_to_version_3(deployment: Deployment) -> None:
    fill(deployment)
    client = deployment.as_user(
        "helper", ("space:space-1", "space_supporter"), ("organization:org-1", "organization_user")
    )
    for path in ("/v2/events", "/v2/spaces/space-1/events", "/v2/spaces"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (403, 10003)
    assert guids(client.get("/v3/audit_events").json()["resources"]) == ["shop"]


@pytest.mark.row("C-76")
def test_role_taken_away_hides_at_once(deployment: Deployment) -> None:
    fill(deployment)
    client = deployment.as_user("boss", ("tenant:*", "admin"))
    assert seen_by(client) == EVERYTHING
    node = deployment.server.node
    [user] = node.identity.list(User, deployment.tenant)
    deployment.server.change(
        User, deployment.tenant, user.id, lambda user: acts.remove_grant(user, "tenant:*")
    )
    assert seen_by(client) == set()
    assert client.post("/extensions/cloudfoundry/events", json=resource()).status_code == 403


@pytest.mark.row("C-76")
@pytest.mark.parametrize(
    ("scope", "seen"),
    [
        ("cloud_controller.admin", EVERYTHING),
        ("cloud_controller.admin_read_only", EVERYTHING),
        ("cloud_controller.global_auditor", EVERYTHING),
        ("cloud_controller.read", set()),
    ],
)
def test_client_sees_by_its_scopes(deployment: Deployment, scope: str, seen: set[str]) -> None:
    fill(deployment)
    id = deployment.client("exporter", scope)
    issued = deployment.anonymous.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, auth=(id, SECRET)
    ).json()
    assert seen_by(deployment.http(issued["access_token"])) == seen


@pytest.mark.row("C-76")
def test_other_deployment_sees_nothing_at_all(
    deployment: Deployment, other_deployment: Deployment
) -> None:
    """Body, status and headers are those of an empty deployment, whatever is asked."""
    fill(deployment)
    strangers = [
        other_deployment.admin,
        other_deployment.as_user("boss", ("tenant:*", "admin")),
        other_deployment.as_user("dev", ("space:space-1", "space_developer")),
    ]
    for path, unknown in (
        ("/v2/events", "/v2/events"),
        ("/v2/events?q=actee:app-shop", "/v2/events?q=actee:app-none"),
        ("/v2/events/shop", "/v2/events/none"),
        ("/v2/spaces/space-1/events", "/v2/spaces/none/events"),
        ("/v2/spaces/space-1", "/v2/spaces/none"),
        ("/v2/apps?q=name:shop", "/v2/apps?q=name:none"),
        ("/v3/audit_events?target_guids=app-shop", "/v3/audit_events?target_guids=app-none"),
        ("/v3/audit_events?guids=shop", "/v3/audit_events?guids=none"),
        ("/v3/audit_events/shop", "/v3/audit_events/none"),
        ("/v3/apps?names=shop", "/v3/apps?names=none"),
        ("/extensions/cloudfoundry/imports?source=x", "/extensions/cloudfoundry/imports?source=x"),
    ):
        for client in strangers:
            there, nowhere = client.get(path), client.get(unknown)
            assert there.status_code == nowhere.status_code
            asked = path.rpartition("/")[2].partition(":")[2] or path.rpartition("/")[2]
            assert there.text.replace("shop", "none").replace("space-1", "none") == nowhere.text, (
                asked
            )
            kept = set(there.headers) - {"date", "x-vcap-request-id", "content-length"}
            assert {name: there.headers[name] for name in kept} == {
                name: nowhere.headers[name] for name in kept
            }


def test_same_guid_may_be_used_in_two_deployments(
    deployment: Deployment, other_deployment: Deployment
) -> None:
    deployment.record(resource("d9df3e10-a8c9-4484-bf67-10f0d9914dfb", actee_name="ours"))
    other_deployment.record(resource("d9df3e10-a8c9-4484-bf67-10f0d9914dfb", actee_name="theirs"))
    path = "/v2/events/d9df3e10-a8c9-4484-bf67-10f0d9914dfb"
    assert deployment.admin.get(path).json()["entity"]["actee_name"] == "ours"
    assert other_deployment.admin.get(path).json()["entity"]["actee_name"] == "theirs"
