"""Retention in the console: policies, what would go, and a run that is confirmed by name."""

from __future__ import annotations

import re
from pathlib import Path

from tallystick.identity.access import Scope
from tests.console.people import administering, csrf_in, signed_in
from tests.console.test_sign_in import Hand
from tests.support.live_server import TENANT, open_server

PAGE = "/console/admin/retention"
DAY_MS = 86_400_000


def test_policies_are_set_run_and_deleted(tmp_path: Path) -> None:
    clock = Hand()
    with open_server(tmp_path / "data", clock=clock) as server, server.http() as http:
        events = [{"kind": "visit"}, {"kind": "visit"}, {"kind": "order"}]
        ids = [event["id"] for event in http.post("/v1/events", json=events).json()]
        for _ in range(5):
            # The log's own clock goes a day at most from one entry to the next.
            clock.ms += DAY_MS
            http.post("/v1/events", json={"kind": "order"})
        with signed_in(server) as person:
            assert "No policies yet" in person.get(PAGE).text
            act = administering(person)
            wanted = {"id": "visits", "query": "kind:visit", "days": "3", "reason": "law <1>"}
            assert act("retention/set", **wanted).status_code == 303
            page = person.get(PAGE).text
            assert "law &lt;1&gt;" in page
            assert "after 3 days" in page
            shorter = act("retention/set", **{**wanted, "days": "2"})
            assert shorter.status_code == 400
            assert act("retention/set", **{**wanted, "days": "x"}).status_code == 400
            assert act("retention/set", **{**wanted, "query": "kind:("}).status_code == 400
            planned = act("retention/plan", policy="visits", all="1").text
            assert "Remove 2 events?" in planned
            count = re.search(r'name="events" value="(\d+)"', planned)
            assert count is not None
            run = {"policy": "visits", "all": "1", "events": count[1]}
            assert act("retention/run", **run, confirm="other").status_code == 400
            assert act("retention/run", **{**run, "events": "9"}, confirm=TENANT).status_code == 400
            assert http.get(f"/v1/events/{ids[0]}").status_code == 200
            assert act("retention/run", **run, confirm=TENANT).status_code == 303
            assert "2 removed" in person.get(PAGE).text
            assert http.get("/v1/events").json()["events"][-1]["id"] == ids[2]
            assert "Nothing is due" in act("retention/plan").text
            assert act("retention/delete", id="visits", confirm="1").status_code == 303
            assert "No policies yet" in person.get(PAGE).text
        with signed_in(server, server.create_key(TENANT, [Scope.READ, Scope.PURGE])) as reader:
            assert reader.get(PAGE).status_code == 403
            form = {"csrf": csrf_in(reader.get("/console").text), **run, "confirm": TENANT}
            assert reader.post(f"{PAGE}/run", data=form).status_code == 403
