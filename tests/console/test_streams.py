"""Streams in the console: made, looked at, paused, moved and ended; each act is an entry."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator

import httpx2
import msgspec
import pytest

from tallystick.identity.access import Scope
from tallystick.identity.streams import Stream
from tallystick.store.stream_states import Letter, Save
from tallystick.subscriptions.streams.progress import Delivery, StoredPosition, StreamProgress
from tests.console.people import administering, csrf_in, signed_in
from tests.subscriptions.streams.receivers import FAILS, receiving
from tests.support.live_server import TENANT, LiveServer

Act = Callable[..., httpx2.Response]

PAGE = "/console/admin/streams"
HOOK = {"sink": "webhook", "to": "https://receiver.example/in", "mode": "ordered"}


@pytest.fixture(scope="module")
def person(server: LiveServer) -> Iterator[httpx2.Client]:
    """Return an administrator with a key."""
    with signed_in(server) as person:
        yield person


@pytest.fixture
def act(person: httpx2.Client) -> Act:
    return administering(person)


def stream(server: LiveServer, name: str) -> Stream:
    found = server.node.identity.get(Stream, TENANT, name)
    assert found is not None
    return found


def secret_in(page: str) -> str:
    found = re.search(r'id="secret" class="secret">(whsec_[^<]+)<', page)
    assert found is not None
    return found[1]


def test_tenant_without_streams_says_so(server: LiveServer) -> None:
    with signed_in(server, server.create_tenant("streamless")) as other:
        assert "No streams yet" in other.get(PAGE).text


def test_every_act_on_a_stream_is_carried_out_and_is_an_entry(
    server: LiveServer, person: httpx2.Client, act: Act
) -> None:
    filters = {"kind": "order.*, user.login", "q": "data.total:>100", "headers": "X-Team: audit\n"}
    made = act("streams/create", name="siem", **HOOK, **filters, start="start")
    assert made.status_code == 200, made.text
    secret = secret_in(made.text)
    assert secret not in person.get(f"{PAGE}/siem").text
    known = stream(server, "siem")
    assert (known.filter.kind, known.filter.q) == (("order.*", "user.login"), "data.total:>100")
    assert (known.start, known.maker.key is not None) == (0, True)
    assert "siem" in person.get(PAGE).text
    assert act("streams/siem/pause", reason="night <b>").status_code == 303
    page = person.get(f"{PAGE}/siem").text
    assert "night &lt;b&gt;" in page
    assert act("streams/siem/pause").status_code == 400
    assert act("streams/siem/resume").status_code == 303
    assert act("streams/siem/replay", **{"from": "0", "to": "2"}).status_code == 303
    assert act("streams/siem/replay", **{"from": "2026-01-01T00:00"}).status_code == 303
    assert act("streams/siem/replay").status_code == 400
    stuck = act("streams/siem/skip")
    assert stuck.status_code == 400
    assert "not stuck" in stuck.text
    assert act("streams/siem/skip", to="now").status_code == 303
    assert secret_in(act("streams/siem/rotate").text) != secret
    assert act("streams/siem/delete", confirm="sien").status_code == 400
    assert act("streams/siem/delete", confirm="siem").status_code == 303
    assert person.get(f"{PAGE}/siem").status_code == 404
    with server.http() as http:
        entries = http.get("/v1/events?view=log&order=asc&limit=1000&kind=stream.*").json()
    told = [
        (entry["kind"], entry["actor"]["type"])
        for entry in entries["events"]
        if entry["target"]["id"] == "siem"
    ]
    assert told == [
        (f"stream.{what}", "key")
        for what in (
            "created", "paused", "resumed", "replayed", "replayed", "skipped", "secret_rotated",
            "deleted",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "a b"}, "letters, digits"),
        ({"to": "ftp://x"}, ""),
        ({"sink": "pigeon"}, "Choose"),
        ({"sink": "hec"}, "token"),
        ({"headers": "no colon"}, "NAME:VALUE"),
        ({"headers": "Host: x"}, "Host"),
        ({"q": "kind:("}, ""),
        ({"start": "soon"}, "not a time"),
        ({"start": "99999999"}, "positions"),
    ],
)
def test_what_cannot_be_sent_is_refused_and_what_was_typed_stays(
    person: httpx2.Client, act: Act, wrong: dict[str, str], told: str
) -> None:
    answer = act("streams/create", **{"name": "wrong", **HOOK, **wrong})
    assert answer.status_code == 400
    page = html.unescape(answer.text)
    assert 'role="alert"' in page
    assert told in page
    assert f'value="{wrong.get("name", "wrong")}"' in page
    assert person.get(f"{PAGE}/wrong").status_code == 404


def test_a_test_message_says_what_the_receiver_answered(person: httpx2.Client, act: Act) -> None:
    with receiving() as receiver:
        act("streams/create", name="probe", **{**HOOK, "to": receiver.url})
        good = act("streams/probe/test").text
        assert "took the test message and answered 200" in good
        receiver.decide = lambda *_: FAILS
        assert "was not taken" in act("streams/probe/test").text
    assert "was not taken" in act("streams/probe/test").text
    act("streams/probe/delete", confirm="probe")


def test_the_delivery_log_and_dead_letters_are_shown(
    server: LiveServer, person: httpx2.Client, act: Act
) -> None:
    act("streams/create", name="slow", **{**HOOK, "mode": "parallel"})
    known, states = stream(server, "slow"), server.app._stream_states
    progress = StreamProgress(
        salt=known.salt, epoch=known.epoch, at=StoredPosition(1), attempts=3, total=7,
        problem="the receiver took too long", failing_since_ms=1_790_000_000_000,
        retry_ms=1_790_000_100_000,
    )  # fmt: skip
    attempt = Delivery(
        id="a", at_ms=1_790_000_000_000, start=0, stop=1, events=1, attempt=3, took_ms=1234,
        problem="the receiver took too long <b>",
    )  # fmt: skip
    assert states.acquire(TENANT, "slow")
    letter = Letter(0, 0, 1, 0, 12, None, "gave up")
    save = Save(msgspec.json.encode(progress), [msgspec.json.encode(attempt)], [letter])
    assert states.save(TENANT, "slow", save)
    page = person.get(f"{PAGE}/slow").text
    for text in ("took too long", "1,234 ms", "attempt 3", "Dead letters", "gave up", "1 dead"):
        assert text in page, text
    assert "<b>" not in page
    assert "failing" in person.get(PAGE).text
    assert "slow" in person.get("/console/log").text
    assert act("streams/slow/revive").status_code == 303
    act("streams/slow/delete", confirm="slow")


def test_streams_are_for_administrators(server: LiveServer) -> None:
    with signed_in(server, server.create_key(TENANT, [Scope.READ, Scope.PURGE])) as reader:
        assert reader.get(PAGE).status_code == 403
        csrf = csrf_in(reader.get("/console").text)
        form = {"csrf": csrf, "name": "x", **HOOK}
        assert reader.post(f"{PAGE}/create", data=form).status_code == 403
        assert "Streams" not in reader.get("/console/log").text
