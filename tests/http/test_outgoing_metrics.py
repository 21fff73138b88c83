"""Metrics of tails, streams and exports."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
import pytest

from tests.http.native.test_export_jobs import made, until
from tests.subscriptions.streams.receivers import FAILS, OK, Answer, Received, receiving
from tests.support.live_server import TENANT, open_server


def metrics(http: httpx2.Client) -> dict[str, float]:
    """Return all samples by name and labels."""
    text = http.get("/metrics").text
    return {
        name: float(value) for name, value in re.findall(r"^(tallystick_\S+) (\S+)$", text, re.M)
    }


@pytest.mark.parametrize("key", ["scrape-me-0123456789", None], ids=["key", "open"])
def test_what_leaves_is_counted(tmp_path: Path, key: str | None) -> None:
    def decide(number: int, received: Received) -> Answer:
        return FAILS if number == 0 else OK

    with (
        receiving(decide) as receiver,
        open_server(
            tmp_path / "data", followers=True, metrics_key=key, streams_allow=("127.0.0.0/8",)
        ) as live,
        live.http() as http,
        live.http(key) as scraper,
    ):
        body = {"name": "s", "sink": "webhook", "to": receiver.url}
        http.post(f"/v1/admin/tenants/{TENANT}/streams", json=body).raise_for_status()
        http.post("/v1/events", json=[{"kind": "k"}] * 5)
        receiver.wait(lambda: len(receiver.events()) == 5)
        made(http)
        with http.stream("GET", "/v1/events/stream") as tail:
            pieces = tail.iter_bytes()
            next(pieces)
            assert metrics(scraper)["tallystick_tail_readers"] == 1
        until(lambda: metrics(scraper)["tallystick_tail_readers"] == 0)
        until(lambda: any(n.startswith("tallystick_stream_events") for n in metrics(scraper)))
        found = until(
            lambda: (
                (m := metrics(scraper))
                and sum(v for n, v in m.items() if n.startswith("tallystick_stream_events_t")) == 5
                and m
            )
        )
    streams = {name.partition("{")[0]: value for name, value in found.items() if 'stream="' in name}
    assert streams["tallystick_stream_failures_total"] == 1
    assert streams["tallystick_stream_requests_total"] >= 2
    assert streams["tallystick_stream_active"] == 1
    assert "tallystick_stream_lag_entries" in streams
    named = 'tallystick_stream_active{stream="s",tenant="default"}'
    assert (named in found) == (key is not None)
    assert found['tallystick_exports{state="done"}'] == 1
    assert found['tallystick_tails_ended_total{reason="gone"}'] == 1
