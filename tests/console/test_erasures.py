"""Erasing a person in the console: shown first, confirmed by name, held parts wait."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import httpx2
import pytest

from tallystick.identity.access import Scope
from tests.console.people import administering, csrf_in, signed_in
from tests.support.live_server import TENANT, LiveServer

PAGE = "/console/admin/erasures"
Act = Callable[..., httpx2.Response]


def record(server: LiveServer, person: str, count: int = 3) -> list[str]:
    """Record events of a person; return their ids."""
    events = [
        {"kind": f"visit.v{n}", "actor": {"type": "user", "id": person, "name": f"Ada {person}"}}
        for n in range(count)
    ]
    with server.http() as http:
        return [event["id"] for event in http.post("/v1/events", json=events).json()]


def events_in(page: str) -> str:
    found = re.search(r'name="events" value="(\d+)"', page)
    assert found is not None
    return found[1]


def test_tenant_without_erasures_says_so(server: LiveServer) -> None:
    with signed_in(server, server.create_tenant("nobody-erased")) as other:
        assert "No erasures yet" in other.get(PAGE).text


def test_a_person_is_erased_in_two_steps(server: LiveServer) -> None:
    ids = record(server, "p-1")
    server.create_user(TENANT, "p-1", login="ada", name="Ada")
    with signed_in(server) as person:
        act = administering(person)
        form = {"subject": "user:p-1", "reason": "Request of 3 March"}
        planned = act("erasures/plan", **form)
        assert planned.status_code == 200
        text = html.unescape(re.sub(r"<[^>]+>", "", planned.text))
        for told in ("Erase Ada p-1?", "user:p-1", "visit.v2", "the account ada"):
            assert told in text
        form["events"] = events_in(planned.text)
        with server.http() as http:
            assert http.get(f"/v1/events/{ids[0]}").json()["actor"]["id"] == "p-1"
        wrong = act("erasures/erase", **form, confirm="user:p-2")
        assert wrong.status_code == 400
        assert "what you typed is not" in wrong.text
        ids += record(server, "p-1", 1)
        stale = act("erasures/erase", **form, confirm="user:p-1")
        assert stale.status_code == 400
        assert "other entries go now" in stale.text
        form["events"] = events_in(stale.text)
        done = act("erasures/erase", **form, confirm="user:p-1")
        assert done.status_code == 303
        page = person.get(done.headers["location"]).text
        assert ">done<" in page
        assert "Request of 3 March" in page
        certificate = person.get(f"{done.headers['location']}/certificate")
        assert "attachment" in certificate.headers["content-disposition"]
        assert certificate.json()["format"] == "tallystick-erasure-certificate/1"
        assert "p-1" not in certificate.text
        with server.http() as http:
            for id in ids:
                assert "actor" not in http.get(f"/v1/events/{id}").json()
        assert server.node.identity.user_by_login("ada") is None
        shown = html.unescape(person.get(f"/console/events/{ids[0]}").text)
        assert "Ada" not in shown
        again = act("erasures/plan", subject="user:nobody", reason="x")
        assert "Nothing of" in again.text


def test_a_held_part_waits_and_is_named(server: LiveServer) -> None:
    record(server, "p-3", 2)
    with signed_in(server) as person:
        act = administering(person)
        act("holds/place", query='kind:visit.v0 AND actor:"user:p-3"', reason="Case <9>")
        form = {"subject": "user:p-3", "reason": "asked"}
        planned = act("erasures/plan", **form).text
        assert "Case &lt;9&gt;" in planned
        form |= {"events": events_in(planned), "confirm": "user:p-3"}
        location = act("erasures/erase", **form).headers["location"]
        waiting = person.get(location).text
        assert "waits for a hold" in waiting
        assert "Case &lt;9&gt;" in waiting
        assert "1 of 2 erased" in waiting
        assert "Certificate" not in waiting
        assert person.get(f"{location}/certificate").status_code == 409
        (hold,) = [hold for hold in server.node.ledger.holds.all(TENANT) if hold.active]
        act("holds/lift", id=hold.id, reason="over")
        server.node.erasures.resume()
        assert ">done<" in person.get(location).text


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "p-1"},
        {"subject": "user:p-1", "paths": "data..x"},
        {"subject": "user:p-1", "from": "2026-02-01", "to": "2026-01-01"},
        {"subject": "user:p-1", "from": "soon"},
    ],
)
def test_what_means_nothing_is_refused(server: LiveServer, wrong: dict[str, str]) -> None:
    with signed_in(server) as person:
        answer = administering(person)("erasures/plan", reason="x", **wrong)
        assert answer.status_code == 400
        assert 'role="alert"' in answer.text
        assert person.get(f"{PAGE}/none").status_code == 404


def test_nobody_else_erases_a_person(server: LiveServer) -> None:
    form = {"subject": "user:p-1", "reason": "x", "events": "0", "confirm": "user:p-1"}
    with signed_in(server, server.create_key(TENANT, [Scope.READ, Scope.PURGE])) as reader:
        assert reader.get(PAGE).status_code == 403
        csrf = csrf_in(reader.get("/console").text)
        for step in ("plan", "erase"):
            answer = reader.post(f"{PAGE}/{step}", data={"csrf": csrf, **form})
            assert answer.status_code == 403
