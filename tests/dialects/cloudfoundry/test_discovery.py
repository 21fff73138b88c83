"""What clients ask before they log in, and organizations, spaces and apps by name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.cloudfoundry.conftest import Deployment, follow, guids
from tests.dialects.cloudfoundry.samples import Json, resource
from tests.support.live_server import open_server


@pytest.mark.row("C-64")
def test_root_links_to_both_apis_and_the_login(deployment: Deployment) -> None:
    links = deployment.anonymous.get("/").json()["links"]
    url = deployment.server.url
    assert links["self"] == {"href": url}
    assert links["cloud_controller_v2"]["href"] == f"{url}/v2"
    assert links["cloud_controller_v3"]["href"] == f"{url}/v3"
    assert len(links["cloud_controller_v3"]["meta"]["version"].split(".")) == 3
    assert links["login"] == links["uaa"] == {"href": url}
    for name in ("logging", "log_cache", "log_stream", "routing", "credhub", "app_ssh"):
        assert links[name] is None


@pytest.mark.row("C-65")
def test_info(deployment: Deployment) -> None:
    info = deployment.anonymous.get("/v2/info").json()
    assert type(info["version"]) is int
    assert info["authorization_endpoint"] == info["token_endpoint"] == deployment.server.url
    assert tuple(map(int, info["api_version"].split("."))) >= (2, 128, 0)
    assert "user" not in info


@pytest.mark.row("C-65")
def test_info_names_who_asks_and_a_bad_token_does_no_harm(deployment: Deployment) -> None:
    login = deployment.user("dev")
    client = deployment.http(deployment.token(login)["access_token"])
    assert client.get("/v2/info").json()["user"] == f"id-of-{login}"
    plain = deployment.anonymous.get("/v2/info").json()
    assert deployment.http("a.b.c").get("/v2/info").json() == plain
    for path in ("/", "/v3", "/login"):
        assert deployment.http("a.b.c").get(path).status_code == 200


@pytest.mark.row("C-66")
def test_version_3_root_has_absolute_links(deployment: Deployment) -> None:
    links = deployment.anonymous.get("/v3").json()["links"]
    assert links["self"]["href"] == f"{deployment.server.url}/v3"
    for name in ("audit_events", "apps", "organizations", "spaces"):
        assert links[name]["href"] == f"{deployment.server.url}/v3/{name}"
        assert deployment.admin.get(links[name]["href"]).status_code == 200


@pytest.mark.row("C-67")
@pytest.mark.parametrize("path", ["/login", "/info"])
def test_login_tells_what_to_ask_of_the_user(deployment: Deployment, path: str) -> None:
    answer = deployment.anonymous.get(path, headers={"Accept": "application/json"}).json()
    assert answer["prompts"]["username"][0] == "text"
    assert answer["prompts"]["password"][0] == "password"
    assert answer["links"]["uaa"] == answer["links"]["login"] == deployment.server.url


@pytest.mark.row("C-33", "C-64")
def test_links_carry_a_prefix_and_next_url_does_not(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    url = "https://platform.example.com/cf"
    folder = tmp_path_factory.mktemp("prefix") / "data"
    with open_server(folder, external_url=f"{url}/") as server, server.http() as http:
        assert http.get("/").json()["links"]["cloud_controller_v2"]["href"] == f"{url}/v2"
        http.post("/extensions/cloudfoundry/events", json=[resource(), resource()])
        page = http.get("/v2/events?results-per-page=1").json()
        assert page["next_url"].startswith("/v2/events?")
        third = http.get("/v3/audit_events?per_page=1").json()
        assert third["pagination"]["next"]["href"].startswith(f"{url}/v3/audit_events?")


@pytest.fixture
def platform(deployment: Deployment) -> Deployment:
    """Return a deployment whose events tell of two organizations, three spaces and their apps."""
    spaces = {"s-1": ("prod", "o-1"), "s-2": ("test", "o-1"), "s-3": ("prod", "o-2")}
    organizations = {"o-1": "acme", "o-2": "umbrella"}
    events: list[Json] = [
        resource(
            type="audit.organization.create",
            actee=guid,
            actee_type="organization",
            actee_name=name,
            space_guid="",
            organization_guid=guid,
        )
        for guid, name in organizations.items()
    ]
    for guid, (name, organization) in spaces.items():
        place = {"space_guid": guid, "organization_guid": organization}
        events.append(
            resource(
                type="audit.space.create", actee=guid, actee_type="space", actee_name=name, **place
            )
        )
        events += [
            resource(actee=f"{app}-{guid}", actee_type="app", actee_name=app, **place)
            for app in ("shop", "blog")
        ]
    deployment.record(*events)
    return deployment


def names(answer: Json) -> list[str]:
    """Return the names of the resources in a list of either version."""
    return [row["name"] if "name" in row else row["entity"]["name"] for row in answer["resources"]]


@pytest.mark.row("C-75")
def test_command_line_client_6_finds_its_target_and_app(platform: Deployment) -> None:
    get = platform.admin.get
    [organization] = get("/v2/organizations?order-by=name&q=name:acme").json()["resources"]
    assert organization["metadata"]["guid"] == "o-1"
    [space] = get("/v2/spaces?order-by=name&q=name:prod&q=organization_guid:o-1").json()[
        "resources"
    ]
    assert space["metadata"]["guid"] == "s-1"
    assert space["entity"]["organization_guid"] == "o-1"
    [app] = get("/v2/spaces/s-1/apps?q=name:shop&inline-relations-depth=1").json()["resources"]
    assert app["metadata"]["guid"] == "shop-s-1"
    assert app["entity"]["space_guid"] == "s-1"
    events = get("/v2/events?results-per-page=50&order-direction=desc&q=actee:shop-s-1").json()
    assert events["total_results"] == 1


@pytest.mark.row("C-75")
def test_command_line_client_7_finds_its_target_and_app(platform: Deployment) -> None:
    get = platform.admin.get
    [organization] = get("/v3/organizations?names=acme").json()["resources"]
    assert organization["guid"] == "o-1"
    [space] = get("/v3/spaces?names=prod&organization_guids=o-1").json()["resources"]
    assert space["guid"] == "s-1"
    assert space["relationships"]["organization"]["data"]["guid"] == "o-1"
    [app] = get("/v3/apps?names=shop&space_guids=s-1").json()["resources"]
    assert app["relationships"]["space"]["data"]["guid"] == "s-1"
    events = get("/v3/audit_events?order_by=-created_at&target_guids=shop-s-1").json()
    assert events["pagination"]["total_results"] == 1


@pytest.mark.row("C-75")
def test_lists_of_resources_are_paged_and_sorted(platform: Deployment) -> None:
    get = platform.admin.get
    assert names(get("/v2/organizations?order-by=name").json()) == ["acme", "umbrella"]
    assert names(get("/v2/organizations?order-by=name&order=desc").json()) == ["umbrella", "acme"]
    everything = follow(platform.admin, "/v2/apps?results-per-page=4&order-by=name")
    assert [row["entity"]["name"] for row in everything] == ["blog"] * 3 + ["shop"] * 3
    page = get("/v2/apps?results-per-page=4&order-by=name").json()
    assert page["next_url"] == (
        "/v2/apps?order-by=name&order-direction=asc&page=2&results-per-page=4"
    )
    third = get("/v3/spaces?per_page=2&page=2&order_by=-name").json()
    assert names(third) == ["prod"]
    assert third["pagination"]["previous"]["href"].endswith("?order_by=-name&page=1&per_page=2")
    assert names(get("/v2/apps?q=space_guid:s-2&q=name IN shop,none").json()) == ["shop"]
    assert names(get("/v3/apps?organization_guids=o-2&guids=shop-s-3,shop-s-1").json()) == ["shop"]
    assert names(get("/v2/spaces?q=name:nobody").json()) == []


@pytest.mark.row("C-75")
def test_single_resources_and_their_errors(platform: Deployment) -> None:
    for path, name in (
        ("/v2/organizations/o-1", "acme"),
        ("/v2/spaces/s-2", "test"),
        ("/v2/apps/shop-s-1", "shop"),
    ):
        assert platform.admin.get(path).json()["entity"]["name"] == name
        assert platform.admin.get(path.replace("v2", "v3")).json()["name"] == name
    for path, code in (("organizations", 30003), ("spaces", 40004), ("apps", 100004)):
        answer = platform.admin.get(f"/v2/{path}/none")
        assert (answer.status_code, answer.json()["code"]) == (404, code)
        answer = platform.admin.get(f"/v3/{path}/none")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, 10010)
    assert platform.admin.get("/v2/spaces/none/apps").json()["code"] == 40004


@pytest.mark.row("C-58", "C-75")
@pytest.mark.parametrize(
    "path",
    [
        "/v2/organizations?q=space_guid:x", "/v2/spaces?q=timestamp>2014", "/v2/apps?order-by=age",
        "/v3/organizations?space_guids=x", "/v3/apps?names[not]=x", "/v3/spaces?order_by=size",
    ],
)  # fmt: skip
def test_bad_question_about_resources_is_400(platform: Deployment, path: str) -> None:
    assert platform.admin.get(path).status_code == 400


@pytest.mark.row("C-75", "C-76")
@pytest.mark.parametrize(
    ("grants", "organizations", "spaces", "apps"),
    [
        ([], [], [], 0),
        ([("space:s-1", "space_developer")], ["o-1"], ["s-1"], 2),
        ([("space:s-1", "space_manager"), ("space:s-3", "space_auditor")],
         ["o-1", "o-2"], ["s-1", "s-3"], 4),
        ([("organization:o-1", "organization_manager")], ["o-1"], ["s-1", "s-2"], 4),
        ([("organization:o-2", "organization_auditor")], ["o-2"], ["s-3"], 2),
        ([("organization:o-2", "organization_user")], ["o-2"], [], 0),
        ([("tenant:*", "global_auditor")], ["o-1", "o-2"], ["s-1", "s-2", "s-3"], 6),
    ],
)  # fmt: skip
def test_roles_decide_which_resources_are_known(
    platform: Deployment,
    grants: list[tuple[str, str]],
    organizations: list[str],
    spaces: list[str],
    apps: int,
) -> None:
    client = platform.as_user("someone", *grants)

    def listed(path: str) -> list[str]:
        answer = client.get(path).json()
        assert answer["total_results"] == len(answer["resources"])
        return sorted(row["metadata"]["guid"] for row in answer["resources"])

    assert listed("/v2/organizations") == organizations
    assert listed("/v2/spaces") == spaces
    assert len(listed("/v2/apps")) == apps
    for space in ("s-1", "s-2", "s-3"):
        known = space in spaces
        for path in ("", "/events", "/apps", "/routes"):
            answer = client.get(f"/v2/spaces/{space}{path}")
            assert answer.status_code == (200 if known else 403), path
            assert known or answer.json()["code"] == 10003
        assert client.get(f"/v3/spaces/{space}").status_code == (200 if known else 404)


@pytest.mark.row("C-75")
def test_organization_of_a_space_that_was_never_a_target_is_still_found(
    deployment: Deployment,
) -> None:
    deployment.record(resource(space={"entity": {"name": "prod"}}))
    [space] = deployment.admin.get("/v2/spaces?q=name:prod&q=organization_guid:org-1").json()[
        "resources"
    ]
    assert space["metadata"]["guid"] == "space-1"


def app_event(guid: str, day: int, what: str = "update", **entity: Any) -> Json:
    """Return an event of an app named shop on a day of June 2014."""
    return resource(
        type=f"audit.app.{what}", actee=guid, timestamp=f"2014-06-{day:02}T00:00:00Z", **entity
    )


def shops(deployment: Deployment) -> list[list[str]]:
    """Return the guids of the apps named shop as each generation of clients asks for them."""
    paths = (
        "/v3/apps?names=shop", "/v3/apps?names=shop&space_guids=space-1", "/v2/apps?q=name:shop",
        "/v2/spaces/space-1/apps?q=name:shop&inline-relations-depth=1",
    )  # fmt: skip
    return [guids(deployment.admin.get(path).json()["resources"]) for path in paths]


@pytest.mark.row("C-75")
def test_deleted_app_does_not_shadow_a_live_one_of_its_name(deployment: Deployment) -> None:
    deployment.record(app_event("a", 1, "create"))
    assert shops(deployment) == [["a"]] * 4
    deployment.record(app_event("a", 2, "delete-request"))
    # Its events are still there, so it is still found.
    assert shops(deployment) == [["a"]] * 4
    deployment.record(app_event("z", 3, "create"))
    assert shops(deployment) == [["z"]] * 4
    # What comes late of it does not bring it back.
    deployment.record(app_event("a", 1, "stop"), app_event("a", 4, "process.crash"))
    assert shops(deployment) == [["z"]] * 4
    several = deployment.admin.get("/v3/apps?names=other,shop").json()
    assert guids(several["resources"]) == ["z"]
    assert guids(deployment.admin.get("/v3/apps").json()["resources"]) == ["z"]
    # The one that is gone is still there by its guid.
    assert deployment.admin.get("/v3/apps/a").json()["name"] == "shop"


@pytest.mark.row("C-75")
def test_latest_created_of_several_live_ones_comes_first(deployment: Deployment) -> None:
    created = {"b": 2, "a": 1, "d": 4, "c": 3}
    deployment.record(*(app_event(guid, day, "create") for guid, day in created.items()))
    deployment.record(app_event("a", 9))
    assert shops(deployment) == [["d", "c", "b", "a"]] * 4
    get = deployment.admin.get
    for order, expected in (
        ("created_at", "abcd"), ("-created_at", "dcba"), ("updated_at", "bcda"),
        ("name", "dcba"), ("-name", "dcba"),
    ):  # fmt: skip
        answer = get(f"/v3/apps?names=shop&order_by={order}").json()
        assert guids(answer["resources"]) == list(expected), order
    pages = [get(f"/v3/apps?names=shop&per_page=1&page={n}").json() for n in range(1, 5)]
    assert [guids(page["resources"]) for page in pages] == [["d"], ["c"], ["b"], ["a"]]


@pytest.mark.row("C-75")
@pytest.mark.parametrize(
    ("type", "kind", "paths"),
    [
        ("space", "audit.space", ("/v2/spaces?q=name:shop", "/v3/spaces?names=shop")),
        (
            "organization",
            "audit.organization",
            ("/v2/organizations?q=name:shop", "/v3/organizations?names=shop"),
        ),
    ],
)
def test_deleted_spaces_and_organizations_shadow_none_either(
    deployment: Deployment, type: str, kind: str, paths: tuple[str, ...]
) -> None:
    for guid, day, what in (("a", 1, "create"), ("a", 2, "delete-request"), ("z", 3, "create")):
        deployment.record(
            resource(
                type=f"{kind}.{what}", actee=guid, actee_type=type,
                timestamp=f"2014-06-{day:02}T00:00:00Z", space_guid="", organization_guid="",
            )
        )  # fmt: skip
    for path in paths:
        assert guids(deployment.admin.get(path).json()["resources"]) == ["z"]


@pytest.mark.row("C-75")
def test_late_event_of_an_older_time_does_not_rename(deployment: Deployment) -> None:
    deployment.record(app_event("a", 5, "create", actee_name="new"))
    deployment.record(app_event("a", 2, actee_name="old", space_guid="space-0"))
    get = deployment.admin.get
    assert get("/v2/apps/a").json()["entity"] | {"space_url": ""} == {
        "name": "new", "space_guid": "space-1", "space_url": ""
    }  # fmt: skip
    assert guids(get("/v3/apps?names=new").json()["resources"]) == ["a"]
    assert guids(get("/v3/apps?names=old").json()["resources"]) == []
    deployment.record(app_event("a", 6, actee_name="newest"))
    assert get("/v3/apps/a").json()["name"] == "newest"
    assert get("/v3/apps/a").json()["created_at"] == "2014-06-02T00:00:00Z"
    assert get("/v3/apps/a").json()["updated_at"] == "2014-06-06T00:00:00Z"


@pytest.mark.row("C-75")
def test_version_3_resources_have_every_member_that_clients_need(platform: Deployment) -> None:
    get = platform.admin.get
    app = get("/v3/apps/shop-s-1").json()
    assert app["state"] == "STARTED"
    assert app["lifecycle"]["type"] == "buildpack"
    assert app["lifecycle"]["data"] == {"buildpacks": [], "stack": ""}
    for path in ("/v3/apps", "/v3/spaces", "/v3/organizations"):
        for row in get(path).json()["resources"]:
            assert row["created_at"] <= row["updated_at"]
            assert row["name"]
    platform.record(resource(actee="nameless", actee_name="", space_guid="s-1"))
    assert get("/v3/apps/nameless").json()["name"] == "nameless"


@pytest.mark.parametrize(
    "path",
    [
        "/v3/users?per_page=5000", "/v3/processes?space_guids=s-1", "/v3/domains?order_by=name",
        "/v3/routes?app_guids=a,b&include=domain", "/v3/apps/shop-s-1/processes",
        "/v3/organizations/o-1/domains", "/v3/stacks/",
        "/v2/shared_domains", "/v2/spaces/s-1/routes?inline-relations-depth=1",
        "/v2/organizations/o-1/users?order-by=id", "/v2/users/",
    ],
)  # fmt: skip
def test_lists_of_what_no_event_tells_are_empty_pages(platform: Deployment, path: str) -> None:
    answer = platform.admin.get(path)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["resources"] == []
    assert page.get("total_results", page.get("pagination", {}).get("total_results")) == 0
    assert platform.anonymous.get(path).status_code == 401
    size = "per_page=0" if path.startswith("/v3") else "results-per-page=0"
    assert platform.admin.get(path + ("&" if "?" in path else "?") + size).status_code == 400


@pytest.mark.parametrize(
    "path",
    ["/v3/nope", "/v3/apps/none/processes", "/v3/apps/shop-s-1/domains", "/v3/users/someone/roles",
     "/v3/processes/x", "/v2/spaces/none/routes", "/v2/spaces/s-1/buildpacks"],
)  # fmt: skip
def test_lists_that_there_are_not_are_not_found(platform: Deployment, path: str) -> None:
    assert platform.admin.get(path).status_code == 404


def test_version_3_info_needs_no_token(deployment: Deployment) -> None:
    info = deployment.anonymous.get("/v3/info").json()
    assert type(info["version"]) is int
    assert info["links"]["self"]["href"] == f"{deployment.server.url}/v3/info"
    assert deployment.http("a.b.c").get("/v3/info").json() == info


def test_slash_at_the_end_changes_nothing(platform: Deployment) -> None:
    for path in ("/v2/info", "/v3", "/v3/info", "/login", "/info"):
        plain, slashed = (platform.anonymous.get(path + end) for end in ("", "/"))
        assert (plain.status_code, slashed.status_code) == (200, 200), path
    [event] = platform.record(resource("an-event"))
    assert event["metadata"]["guid"] == "an-event"
    for path in (
        "/v2/events", "/v2/events/an-event", "/v2/spaces/s-1/events", "/v2/spaces", "/v2/apps",
        "/v2/organizations/o-1", "/v2/spaces/s-1/apps", "/v3/audit_events",
        "/v3/audit_events/an-event", "/v3/apps/shop-s-1", "/v3/spaces", "/v3/organizations",
    ):  # fmt: skip
        plain, slashed = (platform.admin.get(path + end) for end in ("", "/"))
        assert plain.json() == slashed.json(), path
    assert platform.admin.delete("/v2/events/an-event/").status_code == 403


def test_spaces_of_an_organization(platform: Deployment) -> None:
    get = platform.admin.get
    assert guids(get("/v2/organizations/o-1/spaces").json()["resources"]) == ["s-1", "s-2"]
    assert guids(get("/v2/organizations/o-1/spaces?q=name:test").json()["resources"]) == ["s-2"]
    assert get("/v2/organizations/none/spaces").json()["code"] == 30003
