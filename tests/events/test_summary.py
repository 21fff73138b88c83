"""The sentence of every event: templates, sizes, and markup that two parsers agree on."""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tallystick.events import summary
from tallystick.events.event import Draft, Event, Json, Op, Resource
from tallystick.events.summary import escape, human_size
from tests.support import strategies

ALICE = Resource("user", "1", "Alice")
ORDER = Resource("order", "51Q4LN")
APP = Resource("app", "guid", "dora")
FILE = Resource("file", "9", "logo.png")
WORKSPACE = Resource("workspace", "7", "Testing the API")


def event_of(
    kind: str,
    *,
    op: Op = Op.RECORD,
    actor: Resource | None = ALICE,
    target: Resource | None = ORDER,
    scopes: tuple[Resource, ...] = (),
    data: Json | None = None,
    subject: str | None = None,
    erased: tuple[str, ...] = (),
) -> Event:
    return Event(
        tenant="t",
        index=0,
        id="",
        kind=kind,
        op=op,
        occurred_ms=0,
        recorded_ms=0,
        dialect="native",
        actor=actor,
        target=target,
        scopes=scopes,
        data=data or {},
        subject=subject,
        erased=erased,
    )


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (event_of("order.created"), "Alice created order 51Q4LN"),
        (event_of("order.created", actor=None), "Order 51Q4LN was created"),
        (event_of("order.created", target=None), "Alice created order"),
        (event_of("order.created", actor=None, target=None), "Order was created"),
        (event_of("order.captured"), "Alice captured order 51Q4LN"),
        (event_of("payment.succeeded", actor=None), "Payment on order 51Q4LN succeeded"),
        (
            event_of("payment.failed", target=Resource("payment", "8")),
            "Payment 8 failed (Alice)",
        ),
        (
            event_of("subscription.non_renewing", target=Resource("subscription", "8")),
            "Subscription 8 will stop at the next cycle (Alice)",
        ),
        (event_of("comment.create"), "Alice created comment on order 51Q4LN"),
        (
            event_of("audit.app.update", target=APP, scopes=(Resource("space", "s", "dev"),)),
            "Alice updated app dora in space dev",
        ),
        (
            event_of("audit.app.deployment.create", target=APP),
            "Alice created deployment of app dora",
        ),
        (event_of("audit.app.map-route", target=APP), "Alice mapped a route to app dora"),
        (
            event_of("audit.app.delete-request", target=APP, actor=None),
            "Somebody requested deletion of app dora",
        ),
        (event_of("app.crash", target=APP, actor=None), "App dora crashed"),
        (
            event_of("file.upload", target=FILE, scopes=(WORKSPACE,), data={"size": 6736}),
            "Alice uploaded file logo.png (7 KB) to workspace Testing the API",
        ),
        (
            event_of("workspace.create", target=WORKSPACE, scopes=(WORKSPACE,)),
            "Alice created workspace Testing the API",
        ),
        (
            event_of(
                "workspace.invite", target=WORKSPACE, data={"email": "b@x.org", "role": "Viewer"}
            ),
            "Alice invited b@x.org (Viewer) to workspace Testing the API",
        ),
        (event_of("timeline"), "Alice recorded “timeline” on order 51Q4LN"),
        (event_of("Shipment arrived", target=None), "Alice recorded “Shipment arrived”"),
        (event_of("feed", actor=None), "“feed” on order 51Q4LN"),
        (event_of("", actor=None, target=None), "An event"),
        (event_of("", target=None), "Alice recorded an event"),
        (event_of("liked"), "Alice liked order 51Q4LN"),
        (
            event_of("item.put", op=Op.DOCUMENT, target=Resource("users", "kate")),
            "Alice stored users kate",
        ),
        (
            event_of("order.created", op=Op.RETRACT, target=None, subject="id-9"),
            "Alice retracted event id-9",
        ),
        (
            event_of("order.created", actor=None, target=None, erased=("actor", "data")),
            "Order was created (erased)",
        ),
        (
            event_of("order.created", actor=Resource("user", "9", None, {"email": "a@x.org"})),
            "A@x.org created order 51Q4LN".replace("A@", "a@"),
        ),
        (event_of("order.created", actor=Resource("user", "9", "")), "9 created order 51Q4LN"),
        (
            event_of("order.created", actor=Resource("user", "9", "Eve\nAlice")),
            "Eve\ufffdAlice created order 51Q4LN",
        ),
    ],
)
def test_sentences(event: Event, text: str) -> None:
    assert summary.of(event).text == text


def test_names_are_marked() -> None:
    sentence = summary.of(event_of("order.created", actor=Resource("user", "1", "<b>&'\"")))
    assert sentence.html == (
        '<bdi class="actor">&lt;b&gt;&amp;&#39;&quot;</bdi>'
        ' created order <bdi class="target">51Q4LN</bdi>'
    )


def test_unknown_template_versions_are_refused() -> None:
    with pytest.raises(ValueError, match="version 2"):
        summary.of(event_of("order.created"), 2)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 Bytes"),
        (1, "1 Byte"),
        (2, "2 Bytes"),
        (1023, "1023 Bytes"),
        (1024, "1 KB"),
        (1535, "1 KB"),
        (1536, "2 KB"),
        (6736, "7 KB"),
        (1023 * 1024, "1023 KB"),
        (1024 * 1024 - 513, "1023 KB"),
        (1024 * 1024 - 512, "1 MB"),
        (1024 * 1024, "1 MB"),
        (1258291, "1.2 MB"),
        (1024**3 - 1, "1 GB"),
        (1024**3 * 3 // 2, "1.5 GB"),
        (1024**4, "1 TB"),
        (5000 * 1024**6, "5000 EB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert human_size(size) == text


@given(st.integers(1024, 2**70))
def test_a_size_is_told_within_its_rounding(size: int) -> None:
    number, unit = human_size(size).split()
    step = 1024 ** ("Bytes", "KB", "MB", "GB", "TB", "PB", "EB").index(unit)
    assert abs(float(number) - size / step) <= (0.5 if unit == "KB" else 0.05) + 1e-9
    assert float(number) < 1024 or unit == "EB"
    assert not number.endswith(".0")


kinds = st.sampled_from(sorted(summary.VERBS) + sorted(summary.HAPPENINGS)).flatmap(
    lambda verb: st.sampled_from([verb, f"order.{verb}", f"audit.app.x_y.{verb}"])
)


@given(strategies.drafts(), kinds | strategies.texts(), st.sampled_from(list(Op)))
def test_every_event_has_a_sentence_that_two_parsers_agree_on(
    draft: Draft, kind: str, op: Op
) -> None:
    event = strategies.event_of(structs.replace(draft, kind=kind, op=op), 3, strategies.NOW_MS)
    sentence = summary.of(event)
    assert sentence.text
    assert not any(ord(letter) < 0x20 for letter in sentence.text)
    assert text_by_xml(sentence.html) == sentence.text
    assert text_by_html(sentence.html) == sentence.text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_escaped_text_reads_back_from_markup(text: str) -> None:
    escaped = escape(text)
    assert text_by_xml(escaped) == text_by_html(escaped)
    kept = text_by_xml(escaped)
    assert len(kept) == len(text)
    assert all(a == b or b == "\ufffd" for a, b in zip(text, kept, strict=True))
    assert escape("") == ""


def text_by_xml(markup: str) -> str:
    """Return the text of a fragment as an XML parser reads it."""
    root = ElementTree.fromstring(f"<root>{markup}</root>")  # noqa: S314  # our own markup
    return "".join(root.itertext())


def text_by_html(markup: str) -> str:
    """Return the text of a fragment as an HTML parser reads it."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            found.append(data)

    reader = Reader()
    reader.feed(markup)
    reader.close()
    return "".join(found)


@given(strategies.drafts(), strategies.drafts())
def test_a_kept_sentence_is_the_one_that_would_be_made(draft: Draft, another: Draft) -> None:
    one, other = (strategies.event_of(each, 3, strategies.NOW_MS) for each in (draft, another))
    for event in (one, other, structs.replace(one, target=other.target), one):
        assert summary.of(event) == summary.of(event) == summary._made(event)


def test_sentences_tell_apart_whatever_is_in_them() -> None:
    first = event_of("file.invite", target=FILE, data={"email": "a@b.c", "role": "viewer"})
    others = [
        structs.replace(first, data={"email": "d@e.f", "role": "viewer"}),
        structs.replace(first, data={"email": "a@b.c", "role": "owner"}),
        structs.replace(first, data={"email": ["a@b.c"], "role": {}}),
        structs.replace(first, actor=None),
        structs.replace(first, actor=Resource("user", "1", None, {"email": "x@y.z"})),
        structs.replace(first, target=ORDER),
        structs.replace(first, erased=("data",)),
    ]
    upload = event_of("file.upload", target=FILE, data={"size": 1})
    sized = [
        upload,
        structs.replace(upload, data={"size": 2}),
        structs.replace(upload, data={"size": True}),
        structs.replace(upload, data={"size": 1}, scopes=(WORKSPACE,)),
    ]
    texts = [summary.of(event).text for event in (first, *others, *sized)]
    assert len(set(texts)) == len(texts)
    assert texts == [summary.of(event).text for event in (first, *others, *sized)]


def test_long_texts_are_not_kept() -> None:
    summary._sentences.clear()
    told = summary.of(event_of("file.invite", data={"email": "a" * 2_000}))
    assert "a" * 2_000 in told.text
    assert not summary._sentences
