"""Ordered streams against receivers that fail in every way: all of it, and in order."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import apsw
import msgspec
import pytest

from tallystick.events.event import Resource
from tallystick.identity import access, acts
from tallystick.identity.access import Scope
from tallystick.identity.policies import RetentionPolicy
from tallystick.identity.records import User
from tallystick.subscriptions.streams import exchange, ordered, progress
from tests.subscriptions.streams.receivers import (
    CLOSES,
    FAILS,
    GARBAGE,
    GONE,
    HANGS_UP,
    OK,
    Answer,
    Received,
    Receiver,
    receiving,
)
from tests.subscriptions.streams.world import STREAMS, World, until
from tests.support.live_server import TENANT


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attempts follow each other quickly."""
    monkeypatch.setattr(ordered, "ordered_wait_s", lambda attempts, after: 0.01)


def numbers(receiver: Receiver) -> list[int]:
    """Return the numbers of all events taken, in the order they came."""
    return [event["data"]["number"] for event in receiver.events()]


def once(values: list[int]) -> list[int]:
    """Return values without what came again right after it came first."""
    return list(dict.fromkeys(values))


def test_events_come_in_order_and_batches_are_bounded(each_world: World) -> None:
    with receiving() as receiver, each_world.sending():
        each_world.create(receiver.url)
        each_world.append(230)
        each_world.append(3, first=230, data={"number": 7, "text": "x" * 200_000})
        receiver.wait(lambda: len(receiver.events()) == 233)
    sizes = [len(received.json["events"]) for received in receiver.taken]
    assert max(sizes) == 100
    assert max(len(received.body) for received in receiver.taken) < 256 * 1024 + 250_000
    assert numbers(receiver) == [*range(230), 7, 7, 7]
    assert receiver.most_under_way == 1
    stretches = [received.json["range"] for received in receiver.taken]
    assert all(a["to"] <= b["from"] for a, b in pairwise(stretches))


def test_a_receiver_that_fails_in_every_way_gets_everything_in_order(world: World) -> None:
    hang = threading.Event()
    failing = [FAILS, GARBAGE, HANGS_UP, CLOSES, FAILS, CLOSES, GARBAGE]

    def decide(number: int, received: Received) -> Answer:
        return failing[number // 2 % 8] if number % 2 == 0 and number // 2 % 8 < 7 else OK

    with receiving(decide) as receiver, world.sending():
        world.create(receiver.url)
        for first in range(0, 900, 90):
            world.append(90, first)
        receiver.wait(lambda: len(set(numbers(receiver))) == 900)
        hang.set()
    assert once(numbers(receiver)) == list(range(900))
    # What was tried again was the same batch under the same id.
    by_id: dict[str, set[tuple[int, ...]]] = {}
    for received in receiver.attempts:
        indexes = tuple(event["index"] for event in received.json["events"])
        by_id.setdefault(received.headers["webhook-id"], set()).add(indexes)
    assert all(len(batches) == 1 for batches in by_id.values())
    assert len(receiver.attempts) > len(by_id)


def test_a_receiver_that_hangs_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "REPLY_S", 0.2)
    released = threading.Event()

    def decide(number: int, received: Received) -> Answer:
        if number == 0:
            released.wait(20)
        return OK

    with receiving(decide) as receiver, world.sending():
        world.create(receiver.url)
        world.append(3)
        receiver.wait(lambda: len(receiver.attempts) >= 2)
        until(lambda: world.stream()["delivered"] == 3)
        log = world.http.get(f"{STREAMS}/s/deliveries").json()["deliveries"]
        released.set()
    assert [entry["delivered"] for entry in log] == [True, False]
    assert log[1]["problem"] == "the receiver took too long"


def test_a_stream_says_how_far_behind_it_is_and_why(world: World) -> None:
    with receiving(lambda number, received: FAILS) as receiver, world.sending():
        world.create(receiver.url)
        world.append(5)
        receiver.wait(lambda: len(receiver.attempts) >= 3)
        until(lambda: world.stream().get("attempts", 0) >= 3)
        stream = world.stream()
    assert stream["problem"] == "the receiver answered 500"
    assert stream["lag"] >= 5
    assert stream["state"] == "active"
    assert stream["failing_since"] is not None
    assert stream["next_attempt_at"] is not None


def test_retry_after_is_honoured(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered, "ordered_wait_s", progress.ordered_wait_s)
    answers = [Answer(429, b"", (("Retry-After", "2"),), keeps=False)]

    def decide(number: int, received: Received) -> Answer:
        return answers[number] if number < len(answers) else OK

    with receiving(decide) as receiver, world.sending():
        world.create(receiver.url)
        world.append(1)
        receiver.wait(lambda: len(receiver.taken) == 1)
        first, second = (int(each.headers["webhook-timestamp"]) for each in receiver.attempts)
    assert second - first >= 2


def test_waits_grow_to_five_minutes_and_no_longer() -> None:
    assert all(0.5 <= progress.ordered_wait_s(1, None) <= 1 for _ in range(50))
    assert all(150 <= progress.ordered_wait_s(10**6, None) <= 300 for _ in range(50))
    assert progress.ordered_wait_s(1, 100.0) == 100
    assert progress.ordered_wait_s(1, 10**9) == 24 * 3600


def test_410_disables_a_stream_and_resuming_goes_on_where_it_was(world: World) -> None:
    answers = [OK, GONE]

    def decide(number: int, received: Received) -> Answer:
        return answers[number] if number < len(answers) else OK

    with receiving(decide) as receiver, world.sending(), world.keeping():
        world.create(receiver.url)
        world.append(1)
        receiver.wait(lambda: len(receiver.taken) == 1)
        world.append(2, first=1)
        until(lambda: world.stream()["state"] == "disabled")
        assert world.stream()["reason"] == "the receiver answered 410: it accepts no more events"
        (entry,) = world.entries("stream.disabled")
        assert entry["op"] == "system"
        assert entry["target"]["id"] == "s"
        assert "actor" not in entry
        world.append(1, first=3)
        world.act("resume")
        receiver.wait(lambda: len(receiver.events()) == 4)
    assert numbers(receiver) == [0, 1, 2, 3]


def test_five_days_of_failure_disable_a_stream(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.subscriptions.streams.sender.DISABLE_AFTER_MS", 200)
    with receiving(lambda number, received: FAILS) as receiver, world.sending(), world.keeping():
        world.create(receiver.url)
        world.append(1)
        until(lambda: world.stream()["state"] == "disabled")
        stream = world.stream()
    assert stream["reason"] == "nothing was delivered for five days: the receiver answered 500"
    assert stream["lag"] >= 1


def test_a_paused_stream_sends_nothing_and_loses_nothing(world: World) -> None:
    with receiving() as receiver, world.sending():
        world.create(receiver.url)
        assert world.act("pause", {"reason": "maintenance"})["reason"] == "maintenance"
        assert world.act("pause", status=409)["status"] == 409
        world.append(120)
        until(lambda: world.stream()["lag"] >= 120)
        assert receiver.attempts == []
        world.act("resume")
        receiver.wait(lambda: len(receiver.events()) == 120)
    assert numbers(receiver) == list(range(120))


def test_filters_narrow_a_stream(world: World) -> None:
    with receiving() as receiver, world.sending():
        world.create(
            receiver.url,
            filter={"kind": ["order.*"], "actor": ["user:1", "user:2"], "q": "data.total:>10"},
        )
        for actor, total in (("1", 5), ("1", 50), ("2", 60), ("3", 70)):
            body = {"kind": "order.paid", "actor": {"type": "user", "id": actor}}
            world.http.post("/v1/events", json=body | {"data": {"total": total}})
        world.http.post("/v1/events", json={"kind": "other", "data": {"total": 99}})
        receiver.wait(lambda: len(receiver.events()) == 2)
        until(lambda: world.stream()["lag"] == 0)
    assert [event["data"]["total"] for event in receiver.events()] == [50, 60]


def test_what_happens_to_an_event_later_is_sent_too(world: World) -> None:
    with receiving() as receiver, world.sending():
        world.create(receiver.url)
        (id,) = world.append(1)
        receiver.wait(lambda: len(receiver.events()) == 1)
        world.http.post(f"/v1/events/{id}/revise", json={"data": {"number": 5}})
        receiver.wait(lambda: len(receiver.events()) == 2)
        world.http.post(f"/v1/events/{id}/retract", json={"erase": True})
        receiver.wait(lambda: len(receiver.events()) == 4)
    recorded, revised, retracted, erased = receiver.events()
    assert recorded["revision"] == recorded["index"]
    assert (revised["id"], revised["data"]) == (id, {"number": 5})
    assert (retracted["op"], retracted["id"]) == ("retract", id)
    assert (erased["op"], erased["id"]) == ("erase", id)
    assert "data" not in erased


def test_what_was_erased_before_it_was_sent_is_named_and_not_sent(world: World) -> None:
    with receiving() as receiver, world.sending():
        world.create(receiver.url, filter={"q": "data.secret:yes"})
        world.act("pause")
        ids = [world.append(1, data={"secret": "yes"})[0] for _ in range(3)]
        node = world.live.node
        indexes = [node.ledger.index_of(TENANT, id) for id in ids]
        node.ledger.erase(TENANT, [at for at in indexes[:2] if at is not None], subject="retention")
        world.act("resume")
        receiver.wait(lambda: len(receiver.taken) >= 1)
        until(lambda: world.stream()["lag"] == 0)
    first = receiver.taken[0].json
    assert first["notices"] == [
        {"notice": "removed", "from": indexes[0], "to": (indexes[1] or 0) + 1, "events": 2}
    ]
    assert [event["id"] for event in first["events"] if event["op"] == "record"] == [ids[2]]
    assert sum(each.body.count(b"yes") for each in receiver.taken) == 1


def test_what_retention_removed_before_it_was_sent_is_named_as_a_range(world: World) -> None:
    with receiving() as receiver, world.sending():
        world.create(receiver.url)
        world.act("pause")
        ids = [world.append(1, kind="old")[0] for _ in range(3)] + world.append(1)
        node = world.live.node
        [first, *_, last] = [node.ledger.index_of(TENANT, id) or 0 for id in ids]
        policy = RetentionPolicy(
            id="p", tenant=TENANT, query="kind:old", days=0, set_ms=0, set_by=Resource("u", "1")
        )
        node.retention.set_policy(policy, confirm=False)
        node.retention.run(TENANT, by=Resource("u", "1"), confirm=True)
        world.act("resume")
        receiver.wait(lambda: len(receiver.taken) >= 1)
        until(lambda: world.stream()["lag"] == 0)
    told = [each.json for each in receiver.taken]
    notices = [notice for each in told for notice in each.get("notices", ())]
    assert notices == [{"notice": "removed", "from": first, "to": last, "events": 3}]
    assert [event["id"] for event in receiver.events()] == [ids[3]]


def test_a_stream_ends_with_its_makers_right_to_read(world: World) -> None:
    key = world.live.create_key(TENANT, (Scope.ADMIN,))
    with receiving() as receiver, world.sending(), world.keeping():
        with world.live.http(key) as maker:
            body = {"name": "s", "sink": "webhook", "to": receiver.url}
            made = maker.post(STREAMS, json=body).json()
        world.append(1)
        receiver.wait(lambda: len(receiver.taken) == 1)
        key_id = made["created_by"]["id"]
        world.http.delete(f"/v1/admin/tenants/{TENANT}/keys/{key_id}")
        world.append(1)
        until(lambda: world.stream()["state"] == "paused")
        assert world.stream()["reason"] == f"its maker, the key '{key_id}', was revoked"
        assert len(receiver.taken) == 1
        # Who resumes it answers for it from here on.
        resumed = world.act("resume")
        assert resumed["created_by"]["id"] != key_id
        receiver.wait(lambda: len(receiver.taken) == 2)


def test_a_stream_sees_what_its_maker_sees_now(world: World) -> None:
    live = world.live
    live.create_user(TENANT, "ann")
    live.grant(TENANT, "ann", "tenant:*", "admin")
    user = live.user(TENANT, "ann")
    scopes = access.token_scopes(user.grants)
    token = live.node.issuer.issue_for_user(user, client="cf", scopes=scopes).access_token
    spaces = [{"scopes": [{"type": "space", "id": id}]} for id in ("9", "8")]
    with receiving() as receiver, world.sending(), world.keeping():
        with live.http(token) as maker:
            body = {"name": "s", "sink": "webhook", "to": receiver.url}
            made = maker.post(STREAMS, json=body)
        assert made.status_code == 201, made.text
        assert made.json()["created_by"] == {"type": "user", "id": "ann"}
        for at, space in enumerate(spaces):
            world.append(1, first=at, **space)
        receiver.wait(lambda: len(receiver.events()) == 2)
        live.grant(TENANT, "ann", "space:9", "space_auditor")
        live.change(User, TENANT, "ann", lambda known: acts.remove_grant(known, "tenant:*"))
        for at, space in enumerate(spaces * 2):
            world.append(1, first=10 + at, **space)
        receiver.wait(lambda: len(receiver.events()) == 4)
        until(lambda: world.stream()["lag"] == 0)
        assert numbers(receiver) == [0, 1, 10, 12]
        live.change(User, TENANT, "ann", lambda known: acts.remove_grant(known, "space:9"))
        world.append(1, first=20, **spaces[0])
        until(lambda: world.stream()["state"] == "paused")
        assert world.stream()["reason"] == "its maker may not read any more"
    assert numbers(receiver) == [0, 1, 10, 12]


def test_replay_sends_a_stretch_again_before_what_comes_next(world: World) -> None:
    with receiving() as receiver, world.sending():
        start = world.create(receiver.url)["position"]
        world.append(10)
        receiver.wait(lambda: len(receiver.events()) == 10)
        until(lambda: world.stream()["lag"] == 0)
        first = receiver.events()[0]["index"]
        world.act("replay", {"from": first + 2, "to": first + 5})
        receiver.wait(lambda: len(receiver.events()) == 13)
        until(lambda: "replay" not in world.stream())
        world.append(1, first=10)
        receiver.wait(lambda: len(receiver.events()) == 14)
        assert numbers(receiver) == [*range(10), 2, 3, 4, 10]
        # Sent again on purpose, so a receiver must not take it for a retry.
        assert len({each.headers["webhook-id"] for each in receiver.taken}) == len(receiver.taken)
        time = receiver.events()[0]["recorded_at"]
        world.act("replay", {"from": time})
        receiver.wait(lambda: len(receiver.events()) == 25)
        assert numbers(receiver)[14:] == list(range(11))
        assert start < first
        assert world.act("replay", {"from": 10**9}, status=400)["status"] == 400
        assert world.act("replay", {"from": 5, "to": 5}, status=400)["status"] == 400
        assert world.act("replay", status=400)["status"] == 400


def test_skip_goes_on_behind_what_is_not_taken(world: World) -> None:
    poison = 50

    def decide(number: int, received: Received) -> Answer:
        found = [event["data"]["number"] for event in received.json["events"]]
        return FAILS if poison in found else OK

    with receiving(decide) as receiver, world.sending():
        world.create(receiver.url)
        assert world.act("skip", status=409)["status"] == 409
        world.append(1, first=poison)
        receiver.wait(lambda: len(receiver.attempts) >= 2)
        until(lambda: world.stream().get("attempts", 0) >= 2)
        world.append(2)
        world.act("skip")
        receiver.wait(lambda: len(receiver.events()) == 2)
    assert numbers(receiver) == [0, 1]


def test_deliveries_are_told_to_the_log_and_to_no_stream(world: World) -> None:
    with receiving() as receiver, world.sending(), world.keeping() as keeper:
        world.create(receiver.url, **{"from": "start"})
        world.append(3)
        receiver.wait(lambda: len(receiver.events()) == 3)
        until(lambda: len(world.entries("stream.delivered")) == 1)
        world.append(2, first=3)
        receiver.wait(lambda: len(receiver.events()) == 5)
        keeper.look()
        # One for a stream and minute at most.
        (entry,) = world.entries("stream.delivered")
        until(lambda: world.stream()["lag"] == 0)
    assert entry["op"] == "system"
    told = entry["data"]
    assert (told["from"], told["events"], told["total"]) == (0, 3, 3)
    assert [event["kind"] for event in receiver.events()] == ["thing.done"] * 5


def test_a_lost_state_is_made_again_from_the_log(world: World) -> None:
    with receiving() as receiver:
        with world.sending(), world.keeping():
            world.create(receiver.url)
            world.append(5)
            receiver.wait(lambda: len(receiver.events()) == 5)
            until(lambda: len(world.entries("stream.delivered")) == 1)
        world.live.node.commit_listeners.clear()
        for file in world.folder.glob("streams.*"):
            file.unlink()
        world.append(2, first=5)
        with world.sending():
            receiver.wait(lambda: len(receiver.events()) >= 7)
    assert numbers(receiver) == list(range(7))


def test_states_hold_positions_and_never_content(world: World) -> None:
    quoting = Answer(500, b'{"error": "cannot take marmalade"}', keeps=False)
    with receiving(lambda number, received: quoting) as receiver, world.sending():
        world.create(receiver.url)
        world.append(1, data={"number": 1, "word": "marmalade"})
        until(lambda: world.stream().get("attempts", 0) >= 2)
    kept = b"".join(file.read_bytes() for file in world.folder.glob("streams.db*"))
    assert len(kept) > 1000
    assert b"marmalade" not in kept


def test_a_record_that_was_forged_in_the_database_sends_nothing(world: World) -> None:
    with receiving() as receiver, receiving() as stranger, world.sending():
        world.create(receiver.url)
        world.append(1)
        receiver.wait(lambda: len(receiver.taken) == 1)
        file = apsw.Connection(str(world.folder / "ledger.db"))
        file.set_busy_timeout(5000)
        doc = file.execute("SELECT doc FROM identity WHERE kind = 'stream'").get
        forged = bytes(doc).replace(receiver.url.encode(), stranger.url.encode())
        file.execute("UPDATE identity SET doc = ? WHERE kind = 'stream'", (forged,))
        world.append(3, first=1)
        time.sleep(1)
        file.execute("UPDATE identity SET doc = ? WHERE kind = 'stream'", (doc,))
        file.close()
        receiver.wait(lambda: len(receiver.events()) == 4)
    assert stranger.attempts == []


def test_another_stream_of_the_same_name_begins_anew(world: World) -> None:
    with receiving() as receiver, world.sending():
        old = world.create(receiver.url)
        world.append(1)
        receiver.wait(lambda: len(receiver.taken) == 1)
        assert world.http.delete(f"{STREAMS}/s").status_code == 204
        assert world.http.get(f"{STREAMS}/s").status_code == 404
        new = world.create(receiver.url)
        assert new["secret"] != old["secret"]
        assert "delivered" not in new
        world.append(1, first=1)
        receiver.wait(lambda: len(receiver.taken) == 2)
    assert numbers(receiver) == [0, 1]
    assert msgspec.json.decode(receiver.taken[1].body)["stream"] == "s"
