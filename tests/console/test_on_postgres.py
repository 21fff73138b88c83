"""The console over a PostgreSQL: reading pages, acts, an export and an erasure."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.console.people import administering, csrf_in, signed_in
from tests.support.live_server import TENANT, open_server

pytestmark = pytest.mark.needs("postgres")


def test_pages_and_acts_are_the_same_on_postgres(tmp_path: Path, postgres_tables: str) -> None:
    with open_server(tmp_path / "data", database=postgres_tables) as server, server.http() as http:
        events = [
            {"kind": "visit", "actor": {"type": "user", "id": str(n % 2), "name": f"P{n % 2}"}}
            for n in range(8)
        ]
        ids = [event["id"] for event in http.post("/v1/events", json=events).json()]
        with signed_in(server) as person:
            act = administering(person)
            assert person.get("/console?q=kind%3Avisit").text.count("data-index=") == 8
            fragment = {"X-Tallystick-Fragment": "1"}
            chart = person.get("/console/events/chart?group=actor", headers=fragment).text
            assert "<strong>8</strong>" in chart
            assert "P1" in person.get("/console/events/facets", headers=fragment).text
            assert "Signed root" in person.get(f"/console/events/{ids[3]}").text
            assert person.get("/console/resource?type=user&id=1").status_code == 200
            assert "Checkpoint" in person.get("/console/log").text
            stream = {"name": "s", "sink": "webhook", "to": "https://r.example/", "mode": "ordered"}
            assert act("streams/create", **stream).status_code == 200
            assert "behind" in person.get("/console/admin/streams/s").text.lower()
            assert act("streams/s/delete", confirm="s").status_code == 303
            csrf = csrf_in(person.get("/console/exports").text)
            form = {"csrf": csrf, "query": "q=kind%3Avisit", "format": "csv"}
            assert person.post("/console/exports", data=form).status_code == 303
            assert _ready(lambda: person.get("/console/exports").text)
            plan = {"subject": "user:1", "reason": "asked"}
            assert "Erase" in act("erasures/plan", **plan).text
            done = act("erasures/erase", **plan, events="4", confirm="user:1")
            assert ">done<" in person.get(done.headers["location"]).text
        assert "actor" not in http.get(f"/v1/events/{ids[1]}").json()
        assert server.node.ledger.proofs.head(TENANT).size > 8


def _ready(page: Callable[[], str]) -> bool:
    for _ in range(200):
        if ">ready<" in page():
            return True
        time.sleep(0.05)
    return False
