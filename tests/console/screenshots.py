"""Pictures of the console's pages, light and dark: `make screenshots` writes them to a folder.

All are kept in `docs/images`; the documentation shows a few.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import msgspec

from tallystick.cli.sample_events import sample_drafts
from tallystick.events.event import Resource
from tallystick.exports.jobs.jobs import ExportRequest
from tallystick.http.native.append import prepare_events
from tallystick.identity import makers
from tallystick.identity.access import Scope
from tallystick.identity.policies import RetentionPolicy
from tallystick.ledger import holds
from tallystick.ledger.person import PersonQuery
from tallystick.query.expr import Everything
from tallystick.query.question import Find
from tallystick.store.stream_states import Save
from tallystick.subscriptions.streams.administration import WantedStream
from tallystick.subscriptions.streams.progress import Delivery, StoredPosition, StreamProgress
from tests.console.browser import chromium, visiting
from tests.support.live_server import TENANT, LiveServer, open_server

SIZE = {"width": 1100, "height": 715}
QUALITY = 70


def main() -> None:
    """Write the pictures into the folder that is named, else `docs/images`."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    target.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_server(Path(folder) / "data") as server,
        chromium() as browser,
    ):
        pages = _pages(server)
        for scheme in ("light", "dark"):
            with visiting(browser, server, viewport=SIZE, color_scheme=scheme) as page:
                for name, address in pages.items():
                    page.goto(address, wait_until="networkidle", timeout=90_000)
                    if name == "event":
                        page.get_by_role("button", name="Verify").click()
                        page.locator(".verdict .notice").wait_for()
                    file = target / f"console-{name}-{scheme}.jpg"
                    page.screenshot(path=file, animations="disabled", type="jpeg", quality=QUALITY)
                    print(f"{file} {file.stat().st_size // 1024} KiB")


def _pages(server: LiveServer) -> dict[str, str]:
    """Fill the log, and return the addresses of the pages by name."""
    node, now_ms = server.node, int(time.time() * 1000)
    drafts = sample_drafts(900, now_ms)
    node.ledger.append_each(TENANT, prepare_events(drafts), atomic=True)
    server.create_user(TENANT, "u-101", login="alice", name="Alice Okafor", time_zone="Europe/Oslo")
    server.grant(TENANT, "u-101", "workspace:4137", "Viewer")
    server.create_key(TENANT, [Scope.READ], label="Dashboard")
    server.create_key(TENANT, [Scope.WRITE], label="Shop")
    _make_streams(server)
    for id, query, days, floor in (
        ("default", "*", 730, None),
        ("payments", "kind:payment.*", None, 3650),
    ):
        policy = RetentionPolicy(
            id=id, tenant=TENANT, query=query, days=days, floor=floor, reason="Records schedule 4",
            set_ms=now_ms, set_by=Resource("user", "u-9", "Dana Kowalska"),
        )  # fmt: skip
        node.retention.set_policy(policy, confirm=True)
    for form, words in (("csv", {}), ("ocsf", {"q": ["kind:user.*"]})):
        wanted = ExportRequest(
            TENANT, "events", form, words, node.ledger.proofs.head(TENANT).size,
            makers.OPERATOR, Resource("operator", "console"),
        )  # fmt: skip
        server.app._exports.create(wanted)
    person = PersonQuery(subject="user:u-104")
    plan = node.erasures.plan(TENANT, person)
    by = Resource("user", "u-9", "Dana Kowalska")
    asked = node.erasures.request(TENANT, person, reason="Request of 3 March", by=by, plan=plan)
    node.erasures.run(TENANT, asked.id)
    _, act = holds.place(
        TENANT, 'actor:"user:u-101"', reason="Case 2026-114",
        by=Resource("user", "u-9", "Dana Kowalska"), now_ms=now_ms,
    )  # fmt: skip
    node.ledger.administer(TENANT, act)
    views = node.ledger.find(TENANT, Find(limit=50), Everything()).views
    changed = next(view.first for view in views if view.first.previous)
    assert changed.target is not None
    return {
        "events": "/console?group=kind&columns=data.total",
        "event": f"/console/events/{changed.id}",
        "resource": f"/console/resource?type={changed.target.type}&id={changed.target.id}",
        "log": "/console/log",
        "admin": "/console/admin/keys",
        "users": "/console/admin/users",
        "holds": "/console/admin/holds",
        "streams": "/console/admin/streams",
        "stream": "/console/admin/streams/siem",
        "retention": "/console/admin/retention",
        "exports": "/console/exports?q=kind%3Aorder.*",
        "erasures": "/console/admin/erasures",
        "erasure": f"/console/admin/erasures/{asked.id}",
        "sign-in": "/console/confirm",
    }


def _make_streams(server: LiveServer) -> None:
    """Make two streams as their sender would leave them: the receiver of one fails."""
    node, now_ms = server.node, int(time.time() * 1000)
    by = Resource("user", "u-9", "Dana Kowalska")
    streams, states = server.app._streams, server.app._stream_states
    for name, sink, to in (
        ("siem", "webhook", "https://siem.example/in"),
        ("warehouse", "cloudevents", "https://warehouse.example/events"),
    ):
        wanted = WantedStream(name, sink, to, start=0)  # type: ignore[arg-type]  # known names
        stream = streams.create(TENANT, wanted, makers.OPERATOR, by)
        problem = "the receiver took too long" if name == "siem" else None
        size = node.ledger.proofs.head(TENANT).size
        progress = StreamProgress(
            salt=stream.salt, epoch=stream.epoch, total=812, attempts=3 if problem else 0,
            at=StoredPosition(size - 41 if problem else size), problem=problem,
            delivered_ms=now_ms - 180_000, failing_since_ms=now_ms - 170_000 if problem else None,
            retry_ms=now_ms + 4_000 if problem else 0,
        )  # fmt: skip
        attempts = [
            msgspec.json.encode(
                Delivery(
                    id=f"{n}", at_ms=now_ms - (10 - n) * 20_000, start=700 + 12 * n,
                    stop=712 + 12 * n, events=12, attempt=max(1, n - 6), took_ms=40 + 7 * n,
                    status=None if problem and n > 6 else 200,
                    problem=problem if n > 6 else None,
                )
            )
            for n in range(10)
        ]  # fmt: skip
        states.acquire(TENANT, name)
        states.save(TENANT, name, Save(msgspec.json.encode(progress), attempts))


if __name__ == "__main__":
    main()
