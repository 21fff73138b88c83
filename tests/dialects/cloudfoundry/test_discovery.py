"""What clients ask before they log in, and organizations, spaces and apps by name."""

from __future__ import annotations

import pytest

from tests.dialects.cloudfoundry.conftest import Deployment, follow
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
        status = 200 if space in spaces else 404
        assert client.get(f"/v2/spaces/{space}/events").status_code == status
        assert client.get(f"/v3/spaces/{space}").status_code == status


@pytest.mark.row("C-75")
def test_organization_of_a_space_that_was_never_a_target_is_still_found(
    deployment: Deployment,
) -> None:
    deployment.record(resource(space={"entity": {"name": "prod"}}))
    [space] = deployment.admin.get("/v2/spaces?q=name:prod&q=organization_guid:org-1").json()[
        "resources"
    ]
    assert space["metadata"]["guid"] == "space-1"
