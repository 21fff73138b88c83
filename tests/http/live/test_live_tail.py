"""The live tail on a real server and every store: nothing missing, nothing twice, no leaks."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tallystick.client.event_stream import lines_of
from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.records import ApiKey, User
from tests.support.live_server import TENANT, LiveServer, open_server
from tests.support.sse import Tail


@pytest.fixture
def http(server: LiveServer) -> Iterator[httpx2.Client]:
    """Return a client with the admin key."""
    with server.http() as client:
        yield client


def post(http: httpx2.Client, **members: Any) -> dict[str, Any]:
    """Store an event and return it."""
    answer = http.post("/v1/events", json={"kind": "order.created", **members})
    assert answer.status_code == 201, answer.text
    stored: dict[str, Any] = answer.json()
    return stored


def numbers(tail: Tail) -> list[Any]:
    """Return the numbers of the events that came."""
    return [got.data.get("data", {}).get("n") for got in tail.received]


def test_a_tail_begins_at_the_head_and_shows_what_a_list_shows(http: httpx2.Client) -> None:
    post(http, data={"n": 0})
    with Tail(http) as tail:
        post(http, data={"n": 1}, actor={"type": "user", "id": "7", "name": "Ann"})
        (got,) = tail.wait(1)
        (listed,) = http.get("/v1/events", params={"limit": 1, "sort": "-index"}).json()["events"]
        assert got.data == listed
        assert got.event == "message"
        assert tail.headers["content-type"].startswith("text/event-stream")
        assert "no-store" in tail.headers["cache-control"]
        assert tail.retry_ms == 2000
    # Connecting again with the last id shows what was missed, and nothing again.
    post(http, data={"n": 2})
    with Tail(http, tail.last_id) as again:
        post(http, data={"n": 3})
        again.wait(2)
        assert numbers(again) == [2, 3]


def test_an_id_comes_before_its_data(server: LiveServer, http: httpx2.Client) -> None:
    with http.stream("GET", "/v1/events/stream") as answer:
        post(http, data={"n": 1})
        lines = lines_of(answer.iter_bytes())
        head = [next(lines).decode() for _ in range(6)]
    names = [line.partition(":")[0] for line in head]
    assert names == ["retry", "id", "", "id", "data", ""]


def test_filters_are_those_of_the_list(http: httpx2.Client) -> None:
    post(http, data={"n": 0, "colour": "red"})
    with (
        Tail(http, kind="order.*", q="data.colour:red") as red,
        Tail(http, actor="user:9") as nines,
        Tail(http, **{"from": "2020-01-01", "to": "2021-01-01"}) as past,
    ):
        post(http, data={"n": 1, "colour": "blue"})
        post(http, data={"n": 2, "colour": "red"})
        post(http, data={"n": 3}, actor={"type": "user", "id": "9"})
        post(http, data={"n": 4}, occurred_at="2020-06-01T00:00:00Z")
        for tail in (red, nines, past):
            tail.wait(1)
        assert (numbers(red), numbers(nines), numbers(past)) == ([2], [3], [4])


def test_revisions_retractions_and_erasures_are_events_of_their_own(http: httpx2.Client) -> None:
    with Tail(http, kind="order.created") as tail:
        event = post(http, data={"n": 1})
        path = f"/v1/events/{event['id']}"
        assert http.post(f"{path}/revise", json={"data": {"n": 2}}).status_code == 200
        tail.wait(2)
        assert http.post(f"{path}/retract", json={"erase": True}).status_code == 200
        received = tail.wait(4)
    assert [got.event for got in received] == ["message", "revise", "retract", "erase"]
    assert received[1].data["id"] == event["id"]
    assert received[1].data["data"] == {"n": 2}
    assert received[2].data["id"] == received[3].data["id"] == event["id"]
    assert "data" not in received[3].data
    # Who comes later is not shown the content, and may pass over all of it.
    with Tail(http, cursor=received[0].id) as late:
        late.wait(2)
        assert [got.event for got in late.received] == ["retract", "erase"]


def test_tenants_never_see_each_other(server: LiveServer, http: httpx2.Client) -> None:
    other_key = server.create_tenant(f"other-{time.monotonic_ns()}")
    with server.http(other_key) as other, Tail(http) as ours, Tail(other) as theirs:
        post(http, data={"n": 1})
        post(other, data={"n": 2})
        for tail in (ours, theirs):
            tail.wait(1)
        assert (numbers(ours), numbers(theirs)) == ([1], [2])
        refused = other.get("/v1/events/stream", params={"cursor": ours.last_id})
        assert refused.status_code == 400
        assert "another log" in refused.json()["detail"]


@pytest.fixture
def restricted(server: LiveServer) -> Iterator[tuple[str, Callable[[], httpx2.Client]]]:
    """Return a user who sees workspace 1, and what makes clients with their token."""
    name = f"u{time.monotonic_ns()}"
    server.create_user(TENANT, name, password="correct horse battery")
    server.grant(TENANT, name, "workspace:1", "Viewer")
    issued = server.node.issuer.issue_for_user(
        server.user(TENANT, name), client="cf", scopes=("cloud_controller.read",)
    )
    clients: list[httpx2.Client] = []

    def client() -> httpx2.Client:
        clients.append(server.http(issued.access_token))
        return clients[-1]

    yield name, client
    for each in clients:
        each.close()


def in_workspace(http: httpx2.Client, workspace: str, n: int) -> dict[str, Any]:
    """Store an event inside a workspace."""
    return post(http, data={"n": n}, scopes=[{"type": "workspace", "id": workspace}])


def test_a_restricted_reader_sees_exactly_what_the_list_shows(
    http: httpx2.Client, restricted: tuple[str, Callable[[], httpx2.Client]]
) -> None:
    _, client = restricted
    with Tail(client()) as tail:
        theirs = in_workspace(http, "2", 1)
        ours = in_workspace(http, "1", 2)
        post(http, data={"n": 3})
        in_workspace(http, "1", 4)
        tail.wait(2)
        assert numbers(tail) == [2, 4]
        for event in (theirs, ours):
            http.post(f"/v1/events/{event['id']}/retract", json={"erase": True})
        gone = tail.wait(4)[2:]
        digests = {got.data.get("id_sha256") for got in gone}
        assert None not in digests
        assert not any(event["id"] in str(gone) for event in (theirs, ours))
    listed = client().get("/v1/events", params={"limit": 1000}).json()["events"]
    assert 4 in [event["data"].get("n") for event in listed]


def test_a_changed_grant_ends_a_tail_and_its_token_goes_on(
    server: LiveServer, http: httpx2.Client, restricted: tuple[str, Callable[[], httpx2.Client]]
) -> None:
    name, client = restricted
    with Tail(client()) as tail:
        in_workspace(http, "1", 1)
        tail.wait(1)
        server.grant(TENANT, name, "workspace:2", "Viewer")
        assert tail.ended.wait(2), "the tail goes on"
    in_workspace(http, "2", 2)
    with Tail(client(), tail.last_id) as tail:
        tail.wait(1)
        assert numbers(tail) == [2]
        server.change(User, TENANT, name, lambda user: acts.remove_grant(user, "workspace:2"))
        assert tail.ended.wait(2), "the tail goes on"


def test_a_revoked_key_ends_a_tail_within_two_seconds(
    server: LiveServer, http: httpx2.Client
) -> None:
    secret = server.create_key(TENANT, (Scope.READ,))
    principal = server.node.identity.principal_of_key(secret)
    assert principal is not None
    assert principal.key is not None
    key_id = principal.key
    with server.http(secret) as reader, Tail(reader) as tail:
        post(http, data={"n": 1})
        tail.wait(1)
        now_ms = server.node.clock.now_ms()
        server.change(ApiKey, TENANT, key_id, lambda key: acts.revoke_key(key, now_ms=now_ms))
        began_s = time.monotonic()
        assert tail.ended.wait(5), "the tail goes on"
        assert time.monotonic() - began_s < 2
        post(http, data={"n": 2})
        assert numbers(tail) == [1]
        assert reader.get("/v1/events/stream").status_code == 401


@pytest.mark.parametrize("name", ["key", "api_key", "access_token", "token", "Authorization"])
def test_a_key_in_the_url_is_refused(server: LiveServer, name: str) -> None:
    with server.plain_http() as nobody:
        assert nobody.get("/v1/events/stream", params={name: "x"}).status_code == 401
    with server.http() as http:
        answer = http.get("/v1/events/stream", params={name: server.admin_key})
        assert answer.status_code == 400
        assert "Authorization" in answer.json()["hint"]
        assert server.admin_key not in answer.text


def test_what_is_not_understood_is_refused(http: httpx2.Client) -> None:
    for params in (
        {"cursor": "x"}, {"sort": "index"}, {"order": "asc"}, {"offset": "1"}, {"limit": "5"},
        {"q": "((("}, {"actor": "nobody"}, {"since": "yesterday"}, {"view": "all"},
    ):  # fmt: skip
        assert http.get("/v1/events/stream", params=params).status_code == 400, params
    answer = http.get("/v1/events/stream", headers={"Last-Event-ID": "x"})
    assert answer.status_code == 400


def test_a_head_request_ends(http: httpx2.Client) -> None:
    answer = http.head("/v1/events/stream")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_a_tail_goes_on_from_a_time(http: httpx2.Client) -> None:
    first = post(http, data={"n": 1})
    time.sleep(0.01)
    second = post(http, data={"n": 2})
    with Tail(http, since=second["recorded_at"]) as tail:
        tail.wait(1)
        assert tail.received[0].data["index"] > first["index"]
        assert tail.received[0].data["id"] == second["id"]


def write(server: LiveServer, count: int, batch: int = 50) -> None:
    """Store events in batches, as one of several writers."""
    with server.http() as http:
        for at in range(0, count, batch):
            lines = [{"kind": "bulk", "data": {"n": n}} for n in range(at, at + batch)]
            assert http.post("/v1/events", json=lines).status_code < 300


def test_readers_that_come_and_go_miss_nothing_and_see_nothing_twice(
    server: LiveServer, http: httpx2.Client
) -> None:
    """Four writers, one reader from far behind that hangs up all the time, one that stays."""
    write(server, 5000, 1000)
    page = http.get("/v1/events", params={"follow": "true", "limit": 1}).json()
    start, before = page["next"], [event["kind"] for event in page["events"]].count("bulk")
    writers = [threading.Thread(target=write, args=(server, 500)) for _ in range(4)]
    for writer in writers:
        writer.start()
    with Tail(http, cursor=start, kind="bulk") as steady:
        indexes: list[int] = []
        last_id: str | None = start
        while any(writer.is_alive() for writer in writers):
            with Tail(http, last_id, kind="bulk") as brief:
                time.sleep(0.2)
                seen = list(brief.received)
            indexes += [got.data["index"] for got in seen]
            last_id = seen[-1].id if seen else last_id
        total = http.get("/v1/events", params={"kind": "bulk", "total": "true"}).json()["total"]
        total -= before
        with Tail(http, last_id, kind="bulk") as rest:
            indexes += [got.data["index"] for got in rest.wait(total - len(indexes))]
        stayed = [got.data["index"] for got in steady.wait(total)]
    assert stayed == sorted(set(stayed))
    assert indexes == stayed


def test_a_reader_that_takes_nothing_is_closed_and_can_go_on(
    server: LiveServer, http: httpx2.Client
) -> None:
    """What waits for it is bounded; others are not held up; its last id goes on without a gap."""
    wide = {"kind": "wide", "data": {"text": "x" * 60_000}}
    host, port = server.url.removeprefix("http://").split(":")
    wait_for_readers(server, 0)
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.connect((host, int(port)))
    lazy.sendall(
        b"GET /v1/events/stream?kind=wide HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\n\r\n"
        % (host.encode(), server.admin_key.encode())
    )
    with Tail(http, kind="wide") as quick:
        count = 0
        until_s = time.monotonic() + 50
        wait_for_readers(server, 2)
        while len(server.app.live.readers) == 2:
            assert time.monotonic() < until_s, "the lazy reader is still there"
            assert http.post("/v1/events", json=[wide] * 20).status_code < 300
            count += 20
        quick.wait(count)
    lazy.settimeout(10)
    got = b""
    while piece := lazy.recv(1 << 20):
        got += piece
    lazy.close()
    ids = [line[4:] for line in got.splitlines() if line.startswith(b"id: ")]
    whole = got.count(b'"kind":"wide"')
    assert whole < count
    last = ids[-2].strip().decode()  # the last event may be cut
    with Tail(http, last, kind="wide") as again:
        again.wait(1)


def wait_for_readers(server: LiveServer, count: int) -> None:
    """Wait until a server has so many readers."""
    until_s = time.monotonic() + 20
    while len(server.app.live.readers) != count:
        assert time.monotonic() < until_s, "readers came or stayed"
        time.sleep(0.01)


def test_heartbeats_move_a_quiet_filter_to_the_head(
    server: LiveServer, http: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.app.live, "heartbeat_s", 0.3)
    with Tail(http, kind="never.seen") as tail:
        begin = tail.last_id
        post(http, data={"n": 1})
        tail.wait_for_ids(4)
        assert tail.last_id != begin
        assert tail.received == []
    with Tail(http, tail.last_id) as again:
        post(http, data={"n": 2})
        again.wait(1)
        assert numbers(again) == [2]


def test_a_server_that_stops_ends_its_tails_at_once(tmp_path: Path) -> None:
    """The last id is that of the head, also of a reader whose filter let nothing pass."""
    with ExitStack() as clients:
        with open_server(tmp_path / "data") as live:
            http = clients.enter_context(live.http())
            busy, quiet = Tail(http), Tail(http, kind="never.seen")
            clients.enter_context(busy)
            clients.enter_context(quiet)
            post(http, data={"n": 1})
            busy.wait(1)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 8
        assert busy.ended.wait(1)
        assert quiet.ended.wait(1)
        assert busy.last_id == quiet.last_id
    with open_server(tmp_path / "data", tenant=None) as live:
        live.admin_key = live.create_key(TENANT, (Scope.ADMIN,))
        with live.http() as http, Tail(http, quiet.last_id) as again:
            post(http, data={"n": 2})
            again.wait(1)
            assert numbers(again) == [2]
