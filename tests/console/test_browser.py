"""The console in a browser: search, list, chart, proof, administration, without scripts, narrow."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from tallystick.identity.access import Scope
from tests.console.browser import NARROW, chromium, visiting
from tests.console.people import SIGN_IN
from tests.support import needs, npm
from tests.support.live_server import TENANT, LiveServer

pytestmark = pytest.mark.needs("chromium")

Json = dict[str, Any]

START_MS = 1_767_225_600_000
LONG = "n" * 1000
HOSTILE = (
    '<img src=x onerror="document.title=1">',
    "</script><script>document.title=1</script>",
    "\u202e\u2067gnorw\u0000\u0007\x9b",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)//\"'`",
    LONG + "\u05d0",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def events(server: LiveServer) -> list[Json]:
    """Record 130 ordinary events, and some whose every field is hostile."""
    ordinary = [
        {
            "kind": f"order.{'created' if n % 3 else 'updated'}",
            "occurred_at": START_MS + n * 3_600_000,
            "actor": {"type": "user", "id": f"u-{n % 4}", "name": f"Person {n % 4}"},
            "target": {"type": "order", "id": str(n), "name": f"Order {n}"},
            "data": {"total": n},
            "previous": {"total": n - 1},
        }
        for n in range(130)
    ]
    hostile = [
        {
            "kind": text,
            "occurred_at": START_MS - 1000,
            "actor": {"type": text, "id": text, "name": text, "attributes": {text: text}},
            "target": {"type": text, "id": text, "name": text},
            "scopes": [{"type": text, "id": text, "name": text}],
            "trails": [text],
            "data": {text: text, "deep": {text: [text]}},
            "previous": {text: "before " + text},
            "original": {text: text},
        }
        for text in HOSTILE
    ]
    with server.http() as client:
        made: list[Json] = client.post("/v1/events", json=[*ordinary, *hostile]).json()
    return made


@pytest.fixture(scope="module")
def axe() -> str:
    """Return the script of axe-core."""
    folder = npm.installed(Path(__file__).parent / "axe")
    return (folder / "axe-core" / "axe.min.js").read_text("utf-8")


def violations(page: Page, axe: str) -> list[str]:
    """Return what axe-core finds wrong with a page."""
    page.evaluate(axe)
    found = page.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map("
        "v => v.id + ': ' + v.nodes.map(n => n.target + ' ' + n.failureSummary).join(' | ')))"
    )
    return list(found)


def pages_of(events: list[Json]) -> list[str]:
    """Return an address of every page."""
    first = events[5]["id"]
    return [
        "/console",
        "/console?q=kind%3Aorder.*&columns=actor,data.total&group=kind",
        "/console?q=nothing",
        "/console?q=kindd:x",
        "/console?view=log",
        f"/console/events/{first}",
        f"/console/events/{first}/erase",
        f"/console/events/around?index={events[60]['index']}",
        "/console/events/overview",
        "/console/resource?type=order&id=5",
        "/console/resource?type=order&id=5&then=2020-01-01",
        "/console/log",
        "/console/admin",
        "/console/admin/keys",
        "/console/admin/users",
        "/console/admin/clients",
        "/console/admin/keysets",
        "/console/admin/holds",
        "/console/admin/streams",
        "/console/admin/erasures",
        "/console/admin/retention",
        "/console/exports?q=kind%3Aorder.*",
        "/console/confirm",
        "/console/nowhere",
    ]


@pytest.mark.needs("node")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong_with_any_page(
    server: LiveServer, browser: Browser, events: list[Json], axe: str, scheme: str
) -> None:
    if server.node.identity.user_by_login("axe") is None:
        server.create_user(TENANT, "axe", login="axe", name="Axe")
        server.grant(TENANT, "axe", "workspace:1", "Viewer")
        server.create_key(TENANT, [Scope.READ], label="axe")
    wrong: dict[str, list[str]] = {}
    with visiting(browser, server, color_scheme=scheme) as page:
        for address in pages_of(events):
            page.goto(address, wait_until="networkidle")
            page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
            if found := violations(page, axe):
                wrong[address] = found
    with visiting(browser, server, signed_in=False, color_scheme=scheme) as page:
        page.goto(SIGN_IN)
        if found := violations(page, axe):
            wrong[SIGN_IN] = found
    assert wrong == {}


def test_signing_in_with_the_keyboard(server: LiveServer, browser: Browser) -> None:
    server.create_user(TENANT, "kay", login="kay", name="Kay", password="correct horse")
    with visiting(browser, server, signed_in=False) as page:
        page.goto("/console")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.get_by_label("Login").focus()
        page.keyboard.type("kay")
        page.keyboard.press("Tab")
        page.keyboard.type("wrong horse")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("Login or password is wrong.")
        expect(page.get_by_label("Login")).to_have_value("kay")
        page.get_by_label("Password").fill("correct horse")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Kay")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in to Tallystick")).to_be_visible()


def test_searching_with_completion(
    server: LiveServer, browser: Browser, events: list[Json]
) -> None:
    with visiting(browser, server) as page:
        page.goto("/console")
        box = page.get_by_role("combobox", name="Search events")
        box.click()
        box.press_sequentially("kin")
        option = page.get_by_role("option").filter(has_text="kind:")
        expect(option).to_be_visible()
        box.press("ArrowDown")
        box.press("Enter")
        box.press_sequentially("order.u")
        expect(page.locator("#suggestions [role=option]")).to_have_count(1)
        box.press("ArrowDown")
        box.press("Tab")
        box.press("Enter")
        page.wait_for_url("**/console?q=kind%3Aorder.updated")
        expect(page.locator("figure.chart figcaption strong")).to_have_text("44")
        page.get_by_role("link", name="Leave out Person 1").click()
        expect(page.locator("figure.chart figcaption strong")).to_have_text("33")


def test_the_list_goes_on_and_the_chart_zooms(
    server: LiveServer, browser: Browser, events: list[Json]
) -> None:
    with visiting(browser, server) as page:
        page.goto("/console?q=kind%3Aorder.*")
        expect(page.locator("tbody tr[data-index]")).to_have_count(50)
        for _ in range(4):
            page.mouse.wheel(0, 20_000)
            page.wait_for_timeout(150)
        expect(page.locator("tbody tr[data-index]")).to_have_count(130)
        expect(page.get_by_text("These are all events.")).to_be_visible()
        page.evaluate("scrollTo(0, 0)")
        plot = page.locator(".plot")
        expect(plot).to_be_visible()
        box = plot.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40, steps=4)
        page.mouse.up()
        page.wait_for_url(re.compile("from=.*to="))
        total = page.locator("figure.chart figcaption strong")
        expect(total).not_to_have_text("130")
        assert 25 <= int(total.inner_text()) <= 40
        page.get_by_label("Group by").select_option("actor")
        page.wait_for_url(re.compile("group=actor"))
        expect(page.locator(".legend li")).to_have_count(4)
        page.locator("summary", has_text="Chart").click()
        page.reload()
        expect(page.locator("figure.chart")).to_have_count(0)


def test_the_theme_is_kept(server: LiveServer, browser: Browser) -> None:
    with visiting(browser, server, color_scheme="light") as page:
        page.goto("/console/log")
        before = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        page.get_by_role("button", name="Switch between dark and light").click()
        after = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert before != after
        page.reload()
        assert after == page.evaluate("getComputedStyle(document.documentElement).backgroundColor")


def test_a_proof_is_checked_without_the_network(
    server: LiveServer, browser: Browser, events: list[Json]
) -> None:
    with visiting(browser, server) as page:
        for event in (events[0], events[77], events[-1], events[-4]):
            page.context.set_offline(False)
            page.goto(f"/console/events/{event['id']}", wait_until="networkidle")
            page.context.set_offline(True)
            page.get_by_role("button", name="Verify").click()
            expect(page.locator(".verdict")).to_contain_text("Verified: this entry")
            steps = page.locator(".path [data-step]").count()
            expect(page.locator(".path .proven")).to_have_count(steps)


def test_a_changed_receipt_is_found_out(
    server: LiveServer, browser: Browser, events: list[Json]
) -> None:
    with server.http() as client:
        receipt: Json = client.get(f"/v1/events/{events[9]['id']}/receipt").json()

    def changed(**members: Any) -> bytes:
        return json.dumps({**receipt, **members}).encode()

    data = receipt["sections"]["data"]
    size = receipt["checkpoint"].split("\n")[1]
    wrong = [
        changed(entry=receipt["entry"].replace("order", "0rder")),
        changed(index=receipt["index"] + 1),
        changed(inclusion_proof=receipt["inclusion_proof"][1:]),
        changed(checkpoint=receipt["checkpoint"].replace(f"\n{size}\n", f"\n{size}0\n", 1)),
        changed(sections={**receipt["sections"], "data": {**data, "bytes": '{"total":9999}'}}),
        changed(sections={}),
        b"{}",
        b"not JSON",
    ]
    with visiting(browser, server) as page:
        page.goto("/console/log")
        verdict = page.locator(".drop .verdict")
        chooser = page.locator("#receipt-file")

        def check(body: bytes) -> None:
            page.evaluate("document.querySelector('.drop .verdict').replaceChildren()")
            chooser.set_input_files(
                {"name": "r.json", "mimeType": "application/json", "buffer": body}
            )

        check(json.dumps(receipt).encode())
        expect(verdict).to_contain_text("Verified")
        expect(verdict).to_contain_text("Signed by the key that you gave.")
        for body in wrong:
            check(body)
            expect(verdict).to_contain_text("not verified")
        page.evaluate("document.querySelector('[name=pinned]').value = 'x+00000000+AAAA'")
        check(json.dumps(receipt).encode())
        expect(verdict).to_contain_text("not verified")


def test_a_browser_that_cannot_check_says_so(
    server: LiveServer, browser: Browser, events: list[Json]
) -> None:
    with visiting(browser, server) as page:
        page.add_init_script("Object.defineProperty(globalThis, 'isSecureContext', {value: false})")
        page.goto(f"/console/events/{events[0]['id']}")
        page.get_by_role("button", name="Verify").click()
        expect(page.locator(".verdict")).to_contain_text("tallystick verify")


def test_everything_can_be_read_without_scripts(
    server: LiveServer, browser: Browser, events: list[Json]
) -> None:
    with visiting(browser, server, java_script_enabled=False) as page:
        page.goto("/console?q=kind%3Aorder.*")
        assert page.locator("tbody tr[data-index]").count() == 50
        page.get_by_role("link", name="Earlier events").click()
        assert page.locator("tbody tr[data-index]").count() == 50
        page.goto("/console")
        page.get_by_role("link", name="Show facets and chart").click()
        assert page.locator("figure.chart svg").count() == 1
        assert page.locator("section.facet").count() >= 3
        page.goto("/console")
        page.locator("input[name=q]").fill("data.total:7")
        page.get_by_role("button", name="Search").click()
        page.locator("a.told").first.click()
        assert "Receipt" in page.locator("main").inner_text()
        expect(page.locator("noscript p").first).to_contain_text("Checking here needs scripts.")
        page.goto("/console/admin/keys")
        page.get_by_label("Label").fill("no scripts")
        page.get_by_role("button", name="Make the key").click()
        assert "tlk_" in page.locator("code.secret").inner_text()


def test_no_page_is_wider_than_a_narrow_screen(
    server: LiveServer, browser: Browser, events: list[Json]
) -> None:
    wide: dict[str, int] = {}
    with visiting(browser, server, viewport=NARROW) as page:
        hostile = [f"/console/events/{event['id']}" for event in events[-6:]]
        for address in [*pages_of(events), *hostile]:
            page.goto(address, wait_until="networkidle")
            width = page.evaluate("document.documentElement.scrollWidth")
            if width > NARROW["width"]:
                wide[address] = width
    assert wide == {}


def test_hostile_content_stays_text(
    server: LiveServer, browser: Browser, events: list[Json]
) -> None:
    with visiting(browser, server) as page:
        addresses = ["/console?from=2025-12-31&to=2026-01-01&group=kind&columns=actor,target,trail"]
        addresses.append("/console/events/overview?to=2026-01-01&group=kind")
        for event, text in zip(events[-6:], HOSTILE, strict=True):
            addresses += [
                f"/console/events/{event['id']}",
                "/console/resource?" + urlencode({"type": text, "id": text}),
                "/console/trail?" + urlencode({"name": text}),
                "/console?" + urlencode({"q": f'kind:"{text[:20]}"'}),
            ]
        for address in addresses:
            answer = page.goto(address, wait_until="networkidle")
            assert answer is not None
            assert answer.status in (200, 400), address
            assert page.title().endswith("· Tallystick")
            assert page.locator("main img, main script:not([type='application/json'])").count() == 0
            assert page.locator("[onerror], [href^='javascript']").count() == 0
            assert "\u0000" not in page.content()


def test_acts_of_administration_in_the_browser(server: LiveServer, browser: Browser) -> None:
    with visiting(browser, server) as page:
        page.goto("/console/admin/holds")
        page.get_by_label("What a search finds").fill("kind:order.*")
        page.get_by_label("Reason").fill("Case 7")
        page.get_by_role("button", name="Place the hold").click()
        expect(page.get_by_role("heading", name="Case 7")).to_be_visible()
        expect(page.locator("#acts + ol li").first).to_contain_text("placed")
        page.locator("summary", has_text="Lift").first.click()
        page.get_by_label("Reason").first.fill("Closed")
        page.get_by_role("button", name="Lift this hold").click()
        expect(page.get_by_text("lifted", exact=True).first).to_be_visible()


class _Pages(http.server.BaseHTTPRequestHandler):
    """A web site of somebody else, with a strict policy of its own."""

    body = b""
    policy = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", type(self).policy)
        self.end_headers()
        self.wfile.write(type(self).body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(server: LiveServer) -> Iterator[str]:
    """Serve the page of the documentation from another origin."""
    text = (needs.ROOT / "docs" / "embed.md").read_text("utf-8")
    found = re.search(r"```html\n(.*?)```", text, re.S)
    assert found is not None
    assert len(found[1].strip().splitlines()) == 2
    with server.http() as client:
        made = client.post("/v1/viewer-tokens", json={"actor": "user:u-1"}).json()
    lines = found[1].replace("http://localhost:8080", server.url).replace("TOKEN", made["token"])
    page = f"<!doctype html><html lang=en><title>Shop</title><main><h1>Shop</h1>{lines}</main>"
    _Pages.body = page.encode()
    _Pages.policy = f"default-src 'self' {server.url}"
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    thread = threading.Thread(target=other.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{other.server_port}"
    other.shutdown()
    thread.join()
    other.server_close()


@pytest.mark.needs("node")
def test_two_lines_show_people_their_own_activity(
    server: LiveServer, browser: Browser, events: list[Json], site: str, axe: str
) -> None:
    page = browser.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(site)
    articles = page.get_by_role("article")
    expect(articles).to_have_count(20)
    assert all("Person 1" in text for text in articles.all_inner_texts())
    assert page.get_by_role("feed").count() == 1
    page.get_by_role("button", name="Show earlier activity").click()
    expect(articles).to_have_count(33)
    expect(articles.last).to_have_attribute("aria-setsize", "33")
    articles.first.focus()
    page.keyboard.press("PageDown")
    expect(articles.nth(1)).to_be_focused()
    assert problems == []
    _Pages.policy = ""
    page.goto(site)
    expect(articles).to_have_count(20)
    assert violations(page, axe) == []
    page.close()


def test_names_in_an_embedded_feed_are_inert(
    server: LiveServer, browser: Browser, events: list[Json], site: str
) -> None:
    page = browser.new_page()
    for text in HOSTILE:
        target = f"{text.replace('%', '%25').replace(':', '%3A')}:{text}"
        with server.http() as client:
            made = client.post("/v1/viewer-tokens", json={"target": target})
        assert made.status_code == 201, made.text
        page.goto(site)
        token = made.json()["token"]
        page.evaluate("t => document.querySelector('tally-feed').setAttribute('token', t)", token)
        expect(page.get_by_role("article")).to_have_count(1)
        inside = "document.querySelector('tally-feed').shadowRoot.querySelectorAll('img, script')"
        assert page.evaluate(f"{inside}.length") == 0
        assert page.title() == "Shop"
    page.evaluate("document.querySelector('tally-feed').setAttribute('token', 'tlv_x.y')")
    expect(page.get_by_text("This list can no longer be shown.")).to_be_visible()
    page.close()


def test_the_feed_is_one_small_file(server: LiveServer) -> None:
    with server.plain_http() as client:
        answer = client.get("/console/static/tally-feed.js")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert len(answer.content) < 15 * 1024
    assert not re.search(r"^\s*import\s", answer.text, re.M)


def test_live_mode_pauses_and_resumes_without_a_gap(
    server: LiveServer, browser: Browser, events: list[Json]
) -> None:
    with server.http() as client, visiting(browser, server) as page:

        def record(*numbers: int) -> list[Json]:
            made = [{"kind": "live.test", "data": {"n": number}} for number in numbers]
            answer: list[Json] = client.post("/v1/events", json=made).json()
            return answer

        record(0)
        page.goto("/console?q=kind%3Alive.test")
        rows = page.locator("tbody tr[data-index]")
        expect(rows).to_have_count(1)
        # What is recorded before live mode begins is not lost either.
        record(1, 2)
        client.post("/v1/events", json={"kind": "other.kind"})
        page.get_by_role("button", name="Live").click()
        expect(rows).to_have_count(3)
        record(3)
        expect(rows).to_have_count(4)
        page.get_by_role("button", name="Pause").click()
        record(*range(4, 160))
        expect(page.locator(".live [data-state]")).to_have_text("Paused, 156 waiting")
        expect(rows).to_have_count(4)
        page.get_by_role("button", name="Pause").click()
        expect(rows).to_have_count(160)
        seen = rows.evaluate_all("rows => rows.map(row => +row.dataset.index)")
        assert seen == sorted(seen, reverse=True)
        [last] = record(160)
        expect(rows).to_have_count(161)
        client.post(f"/v1/events/{last['id']}/retract", json={})
        expect(page.locator("tr.gone")).to_have_count(1)
        # The address keeps it: a reload goes on, and shows what came meanwhile.
        assert "live=1" in page.url
        page.reload()
        [newest] = record(161)
        expect(page.locator(f'tr[data-id="{newest["id"]}"]')).to_be_visible(timeout=20_000)
        expect(page.locator(".live [data-state]")).to_have_text("Live")
        page.get_by_role("button", name="Live").click()
        expect(page.locator(".live [data-state]")).to_have_text("")
        assert "live=1" not in page.url
