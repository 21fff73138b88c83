"""Moving in: a deployment's events are copied once each, whatever happens meanwhile.

The deployment that is copied from is another Tallystick, or a small controller that forgets old
rows while it is being read, as the original does.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tallystick.client.client import ApiError, Client, Unreachable
from tallystick.errors import TallystickError, Unauthenticated
from tallystick.imports.cloudfoundry.controller import PAGE_SIZE, CloudController, Login
from tallystick.imports.cloudfoundry.copier import CopySummary, Progress, import_events
from tests.dialects.cloudfoundry.conftest import PASSWORD, SECRET, Deployment, follow
from tests.dialects.cloudfoundry.forgetful import Forgetful, serving
from tests.dialects.cloudfoundry.samples import Json, resource
from tests.support.live_server import LiveServer

EVENTS = 700


def made_up(count: int = EVENTS, *, same_second: int = 230) -> list[Json]:
    """Return events out of order, many of them in one second, with guids of all kinds."""
    chance = random.Random(3)  # noqa: S311  # test data, the same in every run
    events: list[Json] = []
    for number in range(count):
        minute, second = (30, 0) if number < same_second else divmod(chance.randrange(3600), 60)
        uuid = f"{chance.getrandbits(32):08x}-aaaa-4bbb-8ccc-{number:012x}"
        event = resource(
            [uuid, uuid.upper(), f"event-{number}"][number % 3],
            type=f"audit.app.{number % 7}",
            timestamp=f"2014-06-20T10:{minute:02}:{second:02}Z",
            space_guid="" if number % 5 == 0 else "space-1",
        )
        event["metadata"]["created_at"] = f"2014-06-20T11:{minute:02}:{second:02}Z"
        events.append(event)
    chance.shuffle(events)
    return events


class Source(NamedTuple):
    """A deployment to be copied, and the login of somebody who sees everything in it."""

    deployment: Deployment
    url: str
    login: Login


@pytest.fixture(scope="module")
def source(server: LiveServer) -> Iterator[Source]:
    """Return a deployment with many events, to which nothing is written any more."""
    made = Deployment(server)
    made.record(*made_up())
    auditor = made.user("auditor", ("tenant:*", "global_auditor"))
    yield Source(made, server.url, Login(auditor, PASSWORD))
    made.close()


@pytest.fixture
def target(deployment: Deployment) -> Iterator[Client]:
    """Return a client of the server that events are copied to."""
    with Client(deployment.server.url, deployment.key) as client:
        yield client


def everything(deployment: Deployment) -> list[Json]:
    """Return all events of a deployment by guid."""
    events = follow(deployment.admin, "/v2/events?results-per-page=100")
    return sorted(events, key=lambda event: str(event["metadata"]["guid"]))


def copy(source: Source, target: Client, **options: Any) -> CopySummary:
    """Copy what the auditor of the source sees."""
    with CloudController(source.url, source.login, **options) as controller:
        return import_events(controller, target)


def test_copy_through_version_2_keeps_every_member(
    source: Source, deployment: Deployment, target: Client
) -> None:
    summary = copy(source, target)
    assert (summary.stored, summary.refused) == (EVENTS, [])
    assert everything(deployment) == everything(source.deployment)


def test_copy_through_version_3_keeps_what_it_tells(
    source: Source, deployment: Deployment, target: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Smaller pages than the real ones, so that there are many and one second fills some.
    monkeypatch.setitem(PAGE_SIZE, "v3", 100)
    assert copy(source, target, version="v3").stored == EVENTS
    expected = everything(source.deployment)
    for event in expected:
        # Version 3 tells one time only.
        event["metadata"]["created_at"] = event["entity"]["timestamp"]
    assert everything(deployment) == expected


def test_copying_again_through_either_version_stores_nothing_twice(
    source: Source, deployment: Deployment, target: Client
) -> None:
    copy(source, target)
    assert copy(source, target).stored == 0
    assert copy(source, target, version="v3").stored == 0
    assert len(everything(deployment)) == EVENTS


def test_later_copy_starts_near_the_newest_event(
    source: Source, deployment: Deployment, target: Client, other_deployment: Deployment
) -> None:
    """What appeared behind the newest event meanwhile is found too, up to an hour back."""
    first, late, new = (
        resource(guid, timestamp=time)
        for guid, time in (
            ("first", "2014-06-20T10:00:00Z"),
            ("late", "2014-06-20T15:10:00Z"),
            ("new", "2014-06-20T17:00:00Z"),
        )
    )
    newest = resource("newest", timestamp="2014-06-20T16:00:00Z")
    login = Login(token=other_deployment.key)

    def run() -> CopySummary:
        with CloudController(other_deployment.server.url, login) as controller:
            return import_events(controller, target)

    other_deployment.record(first, newest)
    assert run() == (2, 2, [])
    other_deployment.record(late, new)
    # The newest is read again, the first is not.
    assert run() == (3, 2, [])
    assert len(everything(deployment)) == 4


CHILD = """
import sys
from tallystick import Client
from tallystick.imports.cloudfoundry.controller import CloudController, Login
from tallystick.imports.cloudfoundry.copier import import_events
source, login, password, target, key = sys.argv[1:]
def told(progress):
    print(progress.read, flush=True)
    sys.stdin.readline()
with CloudController(source, Login(login, password)) as controller, Client(target, key) as client:
    import_events(controller, client, told)
"""


def test_copy_that_is_killed_midway_goes_on_where_it_was(
    source: Source, deployment: Deployment, target: Client
) -> None:
    """A process copies batch by batch, is killed after some, and another one finishes."""
    arguments = [source.url, str(source.login.username), PASSWORD]
    command = [sys.executable, "-c", CHILD, *arguments, deployment.server.url, deployment.key]
    for batches in (1, 3):
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(batches):
                assert int(process.stdout.readline()) > 0
                process.stdin.write("\n")
                process.stdin.flush()
            process.kill()
    there = len(everything(deployment))
    assert 0 < there < EVENTS
    assert copy(source, target).stored == EVENTS - there
    assert everything(deployment) == everything(source.deployment)


def test_events_recorded_while_copying_are_copied(
    deployment: Deployment, target: Client, other_deployment: Deployment
) -> None:
    other_deployment.record(
        *(
            resource(f"e{number}", timestamp=f"2014-06-20T10:{number // 60:02}:{number % 60:02}Z")
            for number in range(250)
        )
    )
    login = Login(token=other_deployment.key)
    added: list[str] = []

    def told(progress: Progress) -> None:
        if len(added) < 2:
            added.append(f"late-{len(added)}")
            time = f"2014-06-20T11:00:0{len(added)}Z"
            other_deployment.record(resource(added[-1], timestamp=time))

    with CloudController(other_deployment.server.url, login) as controller:
        assert import_events(controller, target, told).stored == 252
    assert everything(deployment) == everything(other_deployment)


@pytest.mark.parametrize("forgets", [0, 1, 7])
def test_rows_that_the_source_forgets_meanwhile_hide_no_others(
    deployment: Deployment, target: Client, forgets: int
) -> None:
    """Pages by number would shift under the reader and skip as many rows as were deleted."""
    rows = [event | {"metadata": event["metadata"] | {"url": "/v2/events/x", "updated_at": None}}
            for event in made_up(600, same_second=0)]  # fmt: skip
    with serving(Forgetful(rows, forgets=forgets)) as old:
        with CloudController(old.url, Login("auditor", "secret")) as controller:
            import_events(controller, target)
        copied = {event["metadata"]["guid"] for event in everything(deployment)}
        # What still was there in the end has been copied, and what was read before it went.
        assert {row["metadata"]["guid"] for row in old.rows} <= copied
        assert len(copied) >= 600 - forgets * 2
        assert old.forms[0]["grant_type"] == ["password"]


def test_token_that_ends_meanwhile_is_renewed(target: Client, deployment: Deployment) -> None:
    with serving(Forgetful(made_up(250, same_second=0))) as old:
        old.refusals = [(401, {})]
        with CloudController(old.url, Login("auditor", "secret")) as controller:
            assert import_events(controller, target).stored == 250
        assert [form["grant_type"] for form in old.forms] == [["password"], ["refresh_token"]]


def test_busy_source_is_waited_for(target: Client) -> None:
    slept: list[float] = []
    with serving(Forgetful(made_up(10, same_second=0))) as old:
        old.refusals = [(503, {"Retry-After": "7"}), (429, {}), (502, {"Retry-After": "never"})]
        with CloudController(old.url, Login("a", "b"), sleep=slept.append) as controller:
            assert import_events(controller, target).stored == 10
    assert slept == [7.0, 2.0, 4.0]


def test_source_that_stays_busy_is_given_up(target: Client) -> None:
    with serving(Forgetful([])) as old:
        old.refusals = [(503, {})] * 20
        with (
            CloudController(old.url, Login("a", "b"), sleep=lambda seconds: None) as controller,
            pytest.raises(ApiError, match="answers 503"),
        ):
            import_events(controller, target)


def test_one_bad_event_does_not_hold_up_the_others(deployment: Deployment, target: Client) -> None:
    rows = made_up(20, same_second=0)
    rows[7]["entity"]["actor_name"] = ""
    rows[9]["entity"]["colour"] = "red"
    with (
        serving(Forgetful(rows)) as old,
        CloudController(old.url, Login("a", "b")) as controller,
    ):
        summary = import_events(controller, target)
    assert (summary.read, summary.stored) == (20, 18)
    assert {refused.guid for refused in summary.refused} == {
        rows[7]["metadata"]["guid"], rows[9]["metadata"]["guid"]
    }  # fmt: skip
    assert any("actor_name must not be empty" in refused.reason for refused in summary.refused)
    assert any("colour" in refused.reason for refused in summary.refused)


@pytest.mark.parametrize(
    ("login", "error"),
    [
        (Login("nobody", "wrong"), ApiError),
        (Login(client_id="nobody", client_secret="wrong"), ApiError),
        (Login(token="a.b.c"), Unauthenticated),
    ],
)
def test_wrong_login_is_told(
    source: Source, target: Client, login: Login, error: type[TallystickError]
) -> None:
    with CloudController(source.url, login) as controller, pytest.raises(error):
        import_events(controller, target)


def test_client_of_the_source_may_copy(
    source: Source, target: Client, deployment: Deployment
) -> None:
    id = source.deployment.client("copier", "cloud_controller.global_auditor")
    login = Login(client_id=id, client_secret=SECRET)
    with CloudController(source.url, login) as controller:
        assert import_events(controller, target).stored == EVENTS


def test_source_out_of_reach_is_told(target: Client) -> None:
    with serving(Forgetful([])) as old:
        url = old.url
    with (
        CloudController(url, Login("a", "b"), sleep=lambda seconds: None) as controller,
        pytest.raises(Unreachable, match="cannot be reached"),
    ):
        import_events(controller, target)


def test_what_is_no_controller_is_told(server: LiveServer, target: Client) -> None:
    with (
        CloudController(f"{server.url}/v1", Login("a", "b")) as controller,
        pytest.raises(TallystickError),
    ):
        import_events(controller, target)


def test_two_copies_at_once_store_each_event_once(
    source: Source, deployment: Deployment, target: Client
) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with Client(deployment.server.url, deployment.key) as client:
                copy(source, client)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert everything(deployment) == everything(source.deployment)
