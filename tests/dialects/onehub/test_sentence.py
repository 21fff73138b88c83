"""The display sentence: every verb on every thing, hostile names, and reading it back."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.dialects.onehub import markup, sentence, wire
from tallystick.errors import Malformed
from tallystick.events.event import Event, Resource
from tests.dialects.onehub.samples import SEED_UPLOAD, SEED_VIEW, event_of

FILE = '<object><a href="/workspaces/4137/files/849607">x.png</a> File</object>'
FOLDER = '<object><a href="/workspaces/4137/folders/12">Plans</a> Folder</object>'
WORKSPACE = '<object><a href="/workspaces/4137">Testing the API</a> Workspace</object>'
SIZE = "<complement>(7 KB)</complement>"

names = st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40
) | st.sampled_from(
    ["</object><script>alert(1)</script>", "a & b", "&amp;", '"><x', "'", "\x00", "\r\n", "\u202e"]
)


def detail_of(event: Event) -> str:
    facts = wire.facts_of(event)
    assert facts is not None
    return sentence.detail(facts, event)


def target_of(type: str) -> Resource:
    return {
        "file": Resource("file", "849607", "x.png"),
        "folder": Resource("folder", "12", "Plans"),
        "workspace": Resource("workspace", "4137", "Testing the API"),
    }[type]


@pytest.mark.row("H-16")
@pytest.mark.resolution("onehub-O9")
def test_the_seeds_sentences_are_made_to_the_letter() -> None:
    assert detail_of(event_of("file.upload")) == SEED_UPLOAD
    viewed = event_of("file.read", target=Resource("file", "849607", "onehub-logo.png"))
    assert detail_of(viewed) == SEED_VIEW


@pytest.mark.row("H-17")
@pytest.mark.parametrize(
    ("kind", "rest"),
    [
        ("file.create", f"created</predicate> the {FILE} in the {WORKSPACE}"),
        ("file.upload", f"uploaded</predicate> the {FILE} {SIZE} to the {WORKSPACE}"),
        ("file.read", f"viewed</predicate> the {FILE} {SIZE} in the {WORKSPACE}"),
        ("file.download", f"downloaded</predicate> the {FILE} {SIZE} from the {WORKSPACE}"),
        ("file.update", f"updated</predicate> the {FILE} {SIZE} in the {WORKSPACE}"),
        (
            "file.delete",
            f"deleted</predicate> the <object>x.png File</object> {SIZE} from the {WORKSPACE}",
        ),
        ("folder.create", f"created</predicate> the {FOLDER} in the {WORKSPACE}"),
        ("folder.upload", f"uploaded</predicate> the {FOLDER} to the {WORKSPACE}"),
        ("folder.read", f"viewed</predicate> the {FOLDER} in the {WORKSPACE}"),
        (
            "folder.delete",
            f"deleted</predicate> the <object>Plans Folder</object> from the {WORKSPACE}",
        ),
        ("workspace.create", f"created</predicate> the {WORKSPACE}"),
        ("workspace.update", f"updated</predicate> the {WORKSPACE}"),
        (
            "workspace.delete",
            "deleted</predicate> the <object>Testing the API Workspace</object>",
        ),
        (
            "workspace.invite",
            "invited</predicate> <object>b@x.org</object> <complement>(Creator)</complement>"
            f" to the {WORKSPACE}",
        ),
        (
            "folder.invite",
            "invited</predicate> <object>b@x.org</object> <complement>(Creator)</complement>"
            f" to the {FOLDER}",
        ),
    ],
)
def test_every_verb_has_its_words(kind: str, rest: str) -> None:
    data = {"size": 6736, "email": "b@x.org", "role": "Creator"}
    event = event_of(kind, target=target_of(kind.partition(".")[0]), data=data)
    assert detail_of(event) == f"<subject>Matthew Anderson</subject> <predicate>{rest}"


@pytest.mark.row("H-18")
@pytest.mark.parametrize(
    ("data", "complement"),
    [
        ({"size": 6736}, "<complement>(7 KB)</complement>"),
        ({"size": 1}, "<complement>(1 Byte)</complement>"),
        ({"size": 0}, "<complement>(0 Bytes)</complement>"),
        ({"size_text": "about 7 <KB>"}, "<complement>(about 7 &lt;KB&gt;)</complement>"),
        ({}, ""),
        ({"size": -1}, ""),
        ({"size": True}, ""),
        ({"size": "7"}, ""),
        ({"size": 7.5}, ""),
    ],
)
def test_a_file_has_its_size_where_it_is_known(data: dict[str, Any], complement: str) -> None:
    without = detail_of(event_of(data={}))
    told = f"</object> {complement} to the" if complement else "</object> to the"
    assert detail_of(event_of(data=data)) == without.replace("</object> to the", told)


@pytest.mark.row("H-20")
def test_a_sentence_is_made_of_frozen_facts_alone() -> None:
    renamed = event_of("file.read", target=Resource("file", "849607", "onehub-logo.png"))
    assert "Onehub_Med_RGB.png" in detail_of(event_of("file.upload"))
    assert "onehub-logo.png" in detail_of(renamed)


def test_unknown_template_versions_are_refused() -> None:
    facts = wire.facts_of(event_of())
    assert facts is not None
    with pytest.raises(ValueError, match="version 2"):
        sentence.detail(facts, event_of(), 2)


@pytest.mark.parametrize(
    ("actor", "shown"),
    [
        (Resource("user", "1", "Ann", {"email": "a@x.org"}), "Ann"),
        (Resource("user", "1", None, {"email": "a@x.org"}), "a@x.org"),
        (Resource("user", "1", "", {"email": 5}), "1"),
        (Resource("user", "1"), "1"),
    ],
)
def test_who_has_no_name_is_called_by_the_address(actor: Resource, shown: str) -> None:
    assert detail_of(event_of(actor=actor)).startswith(f"<subject>{shown}</subject>")


@pytest.mark.row("H-19")
@given(
    verb=st.sampled_from(wire.VERBS),
    type=st.sampled_from(wire.TYPES),
    user=names,
    target=names,
    workspace=names,
    email=names,
    role=names,
)
def test_two_parsers_agree_on_every_sentence(
    verb: str, type: str, user: str, target: str, workspace: str, email: str, role: str
) -> None:
    """An HTML and an XML parser see the same elements, attributes and texts: ours, no others."""
    ids = {"file": "5", "folder": "6", "workspace": "7"}
    event = event_of(
        f"{type}.{verb}",
        actor=Resource("user", "1", user),
        target=Resource(type, ids[type], target),
        scopes=(Resource("workspace", "7", workspace),),
        data={"email": email, "role": role},
    )
    detail = detail_of(event)
    seen = seen_by_xml(detail)
    assert seen == seen_by_html(detail)
    tags = [what[0] for what in seen if what[0] != "text"]
    assert set(tags) <= {"subject", "predicate", "object", "complement", "a"}
    assert tags[:2] == ["subject", "predicate"]
    links = [what[1] for what in seen if what[0] == "a"]
    assert all(link.startswith("/workspaces/7") for link in links)
    texts = "".join(what[1] for what in seen if what[0] == "text")
    assert cleaned(user) in texts
    assert cleaned(email if verb == "invite" else target) in texts


@given(
    verb=st.sampled_from([verb for verb in wire.VERBS if verb != "delete"]),
    type=st.sampled_from(wire.TYPES),
    user=names,
    target=names,
    workspace=names,
    text=names,
)
def test_a_printed_sentence_reads_back(
    verb: str, type: str, user: str, target: str, workspace: str, text: str
) -> None:
    ids = {"file": "5", "folder": "6", "workspace": "7"}
    named = workspace if type == "workspace" else target
    event = event_of(
        f"{type}.{verb}",
        actor=Resource("user", "1", user),
        target=Resource(type, ids[type], named),
        scopes=(Resource("workspace", "7", workspace),),
        data={"email": text, "role": "Viewer", "size_text": text},
    )
    printed = markup.parse(detail_of(event))
    assert (printed.verb, printed.type, printed.workspace_id) == (verb, type, 7)
    assert str(printed.target_id) == ids[type]
    assert (printed.user, printed.target) == (cleaned(user), cleaned(named))
    assert printed.email == (cleaned(text) if verb == "invite" else None)
    if verb == "invite":
        assert printed.complement == "Viewer"
    elif type == "file" and verb != "create":
        assert printed.complement == cleaned(text)
    else:
        assert printed.complement is None


@pytest.mark.parametrize(
    "detail",
    [
        "",
        "Matthew uploaded a file",
        SEED_UPLOAD + " ",
        SEED_UPLOAD.replace("uploaded", "ate"),
        SEED_UPLOAD.replace("uploaded", "invited"),
        SEED_UPLOAD.replace(" to the ", " in the "),
        SEED_UPLOAD.replace("/files/", "/folders/"),
        SEED_UPLOAD.replace('"/workspaces/4137">', '"/workspaces/4138">'),
        SEED_UPLOAD.replace("Onehub_Med", "<b>Onehub_Med</b>"),
        SEED_UPLOAD.replace("uploaded", "deleted")
        .replace(" to the ", " from the ")
        .replace(
            '<a href="/workspaces/4137/files/849607">Onehub_Med_RGB.png</a>', "Onehub_Med_RGB.png"
        ),
    ],
)
def test_what_is_no_sentence_is_refused(detail: str) -> None:
    with pytest.raises(Malformed) as refusal:
        markup.parse(detail)
    assert refusal.value.path == "detail"


def cleaned(text: str) -> str:
    """Return text with U+FFFD for what no XML document can hold."""
    return "".join(
        "\ufffd" if (ord(one) < 0x20 and one not in "\t\n\r") or one in "\ufffe\uffff" else one
        for one in text
    )


def seen_by_xml(markup: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    def walk(element: ElementTree.Element) -> None:
        for child in element:
            found.append((child.tag, child.get("href", "")))
            assert set(child.attrib) <= {"href"}
            found.append(("text", child.text or ""))
            walk(child)
            found.append(("text", child.tail or ""))

    root = ElementTree.fromstring(f"<root>{markup}</root>")  # noqa: S314  # our own markup
    found.append(("text", root.text or ""))
    walk(root)
    return joined(found)


def seen_by_html(markup: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs).get("href") or ""))

        def handle_data(self, data: str) -> None:
            found.append(("text", data))

    reader = Reader()
    reader.feed(markup)
    reader.close()
    return joined(found)


def joined(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what was seen with neighbouring texts as one, and without empty ones."""
    kept: list[tuple[str, str]] = []
    for kind, text in found:
        if kind == "text" and kept and kept[-1][0] == "text":
            kept[-1] = ("text", kept[-1][1] + text)
        elif kind != "text" or text:
            kept.append((kind, text))
    return kept
