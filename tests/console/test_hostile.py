"""Hostile text in every field that administration takes: it stays text on every page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from urllib.parse import urlencode

import httpx2
import pytest

from tallystick.console.questions import clause
from tests.console.people import administering, csrf_in, show, signed_in
from tests.console.test_browser import HOSTILE
from tests.support.live_server import LiveServer

PAGES = (
    "/console", "/console/log", "/console/exports", "/console/confirm", "/console?view=log",
    "/console/admin", "/console/admin/keys", "/console/admin/users", "/console/admin/clients",
    "/console/admin/keysets", "/console/admin/streams", "/console/admin/streams/s",
    "/console/admin/holds", "/console/admin/retention", "/console/admin/erasures",
)  # fmt: skip
_ELEMENTS = """
    html head meta title link script body a header span nav div button form input main h1 h2 h3
    section p label select option textarea fieldset legend details summary table thead tbody tr th
    td ul ol li dl dt dd svg path rect g bdi strong small code pre time i br figure figcaption aside
    noscript datalist progress del ins em mark
"""


class Page(HTMLParser):
    """What a page is made of: elements, attributes that run something, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.wrong: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.add(tag)
        for name, value in attrs:
            is_address = name in ("href", "src", "action")
            runs = name.startswith("on") or name == "style" or (
                is_address and not (value or "").startswith(("/", "#"))
            )  # fmt: skip
            if runs:
                self.wrong.append(f"<{tag} {name}={(value or '')[:60]!r}>")
        if tag == "script" and not any(name in ("src", "type") for name, _ in attrs):
            self.wrong.append("<script>")


@pytest.fixture(scope="module")
def person(server: LiveServer) -> Iterator[httpx2.Client]:
    """Return an administrator of a tenant whose records are hostile as far as they are taken."""
    with signed_in(server) as person:
        act = administering(person)
        taken = 0
        for n, text in enumerate(HOSTILE):
            taken += _fill(act, n, text)
            form = {"csrf": csrf_in(person.get("/console").text), "query": text, "name": text[:80]}
            person.post("/console/searches", data=form)
        assert taken > 40, taken
        yield person


def _fill(act: Callable[..., httpx2.Response], n: int, text: str) -> int:
    """Fill in every form with a text; return how many were taken."""
    stream = {"name": f"s{n}" if n else "s", "sink": "webhook", "mode": "ordered"}
    stream |= {"to": "https://r.example/" + "x" * n, "q": clause("data.x", text[:20])}
    sent = [
        act("keys/create", label=text, **{"scope-read": "1"}),
        act("users/create", id=text, login=text, name=text, email=text, time_zone="UTC"),
        act("users/create", id=f"u-{n}", name=text, email=text, login=f"{n}{text}"),
        act("users/grant", id=f"u-{n}", scope=f"workspace:{text}", role="Viewer"),
        act("clients/create", name=text, **{"scope-read": "1"}),
        act("keysets/save", id=text, secret="s" * 40, issuer=text, audience=text, user_claim=text),
        act("keysets/save", id=f"k-{n}", secret="s" * 40, issuer=text, audience=text,
            user_claim=text, admin_claim=text),
        act("holds/place", query="kind:never", reason=text),
        act("retention/set", id=text, query="*", days="9", reason=text, confirm="1"),
        act("retention/set", id=f"r-{n}", query="*", days="9", reason=text, confirm="1"),
        act("streams/create", **stream),
        act(f"streams/{stream['name']}/pause", reason=text),
        act("erasures/plan", subject=f"user:{text}", reason=text, paths=text),
        act("tenants/create", id=text, name=text),
    ]  # fmt: skip
    for answer in sent:
        assert answer.status_code in (200, 303, 400, 403, 404), answer.text
        assert looks_safe(answer.text) == []
    return sum(answer.status_code in (200, 303) for answer in sent)


def looks_safe(text: str) -> list[str]:
    """Return what in a page must not be there."""
    page = Page(text)
    foreign = page.elements - {*_ELEMENTS.split()}
    found = [*page.wrong, *(f"<{tag}>" for tag in foreign)]
    if "\u0000" in text:
        found.append("NUL")
    return found


def test_records_stay_text_on_every_page(person: httpx2.Client) -> None:
    for address in PAGES:
        answer = person.get(address)
        assert answer.status_code == 200, address
        assert looks_safe(answer.text) == [], address
    users = person.get("/console/admin/users").text
    assert "&lt;img src=x onerror" in users
    assert "{{ 7 * 7 }}" in users


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_addresses_and_forms_stay_text(
    server: LiveServer, person: httpx2.Client, text: str
) -> None:
    csrf = csrf_in(person.get("/console/admin").text)
    for name in ("q", "range", "from", "to", "order", "view", "columns", "group", "tz", "cursor"):
        for path in ("/console", "/console/events/overview", "/console/exports"):
            answer = person.get(f"{path}?{urlencode({name: text})}")
            assert answer.status_code in (200, 400), answer.text
            assert looks_safe(answer.text) == []
    for path in ("streams", "erasures", "events", "exports", "nowhere"):
        answer = person.get(f"/console/admin/{path}/{httpx2.QueryParams({'x': text})}")
        assert looks_safe(answer.text) == []
    for step in ("streams/s/skip", "streams/s/replay", "erasures/erase", "retention/run"):
        form = {"csrf": csrf, "to": text, "from": text, "subject": text, "confirm": text}
        answer = person.post(f"/console/admin/{step}", data=form)
        assert answer.status_code in (200, 400), answer.text
        assert looks_safe(answer.text) == []
    with server.plain_http() as stranger:
        answer = show(stranger, login=text, password=text, next=text)
        assert answer.status_code in (401, 429)
        assert looks_safe(answer.text) == []


def test_the_check_finds_what_it_looks_for() -> None:
    assert looks_safe('<p onclick="x">') == ["<p onclick='x'>"]
    assert looks_safe('<a href="javascript:x">') == ["<a href='javascript:x'>"]
    assert looks_safe("<img src=/x>") == ["<img>"]
    assert looks_safe("<script>x</script>") == ["<script>"]
