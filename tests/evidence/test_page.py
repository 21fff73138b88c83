"""The page and the script agree on one corpus of good and bad bundles."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tallystick.evidence.bundle import VERIFIERS, verifier_source
from tallystick.node.node import Node, open_node
from tallystick.query.expr import Eq
from tallystick.settings import Settings
from tests.evidence.corpus import bundle, fill
from tests.evidence.test_bundle import fails, holds, members, packed
from tests.support import needs

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a node with the log of the corpus."""
    folder = tmp_path_factory.mktemp("page") / "data"
    with closing(open_node(folder, Settings(), followers=False)) as node:
        fill(node)
        yield node


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page as a file."""
    path = tmp_path_factory.mktemp("page") / "verify.html"
    path.write_bytes(verifier_source("verify.html"))
    return path


def by_page(page: Path, bundles: list[Path]) -> list[Any]:
    """Return what the page's own code says of bundles, run by Node."""
    command = ["node", str(HERE / "page.mjs"), str(page), *map(str, bundles)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.needs("node")
def test_page_and_script_agree_on_good_bundles(node: Node, page: Path, tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = [
        {}, {"size": 0}, {"size": 1}, {"size": 255}, {"size": 256}, {"size": 257}, {"size": 300},
        {"span": (5, 290), "where": Eq("kind", "order.k1")}, {"where": Eq("kind", "order.k1")},
        {"span": (3, 290), "visible": Eq("kind", "order.k2")},
    ]  # fmt: skip
    paths = [tmp_path / f"{n}.zip" for n in range(len(asked))]
    for path, question in zip(paths, asked, strict=True):
        bundle(node, path, **question)
    for path, told in zip(paths, by_page(page, paths), strict=True):
        assert told["holds"], told
        found = holds(path.read_bytes())
        assert told["events"] == found.events
        assert told["entries"] == found.changes.entries
        assert (told["erased"], told["unproven"]) == (found.erased, found.unproven)
        assert told["omitted"] == found.omitted


@pytest.mark.needs("node")
def test_page_and_script_agree_on_bad_bundles(node: Node, page: Path, tmp_path: Path) -> None:
    """A byte of each member changed under mended checksums; bits of the file flipped."""
    target = tmp_path / "b.zip"
    bundle(node, target, span=(5, 40), where=Eq("kind", "order.k1"))
    whole = target.read_bytes()
    parts = members(whole)
    bad: list[bytes] = [whole + b"\0", whole[:-1], b"", whole[1:]]
    question = parts["manifest.json"].index(b'"question"')
    for name, content in parts.items():
        for at in range(0, len(content), max(1, len(content) // 6)):
            if name == "manifest.json" and question <= at < question + 60:
                continue
            changed = bytearray(content)
            changed[at] ^= 1
            bad.append(packed({**parts, name: bytes(changed)}))
        bad.append(packed({key: value for key, value in parts.items() if key != name}))
    for at in range(0, len(whole), len(whole) // 60):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        bad.append(bytes(changed))
    paths = [tmp_path / f"{n}.zip" for n in range(len(bad))]
    for path, data in zip(paths, bad, strict=True):
        path.write_bytes(data)
        assert fails(data), path
    accepted = [path.name for path, told in zip(paths, by_page(page, paths), strict=True)
                if told["holds"]]  # fmt: skip
    assert accepted == []


@pytest.mark.needs("chromium")
def test_the_page_in_a_browser(node: Node, page: Path, tmp_path: Path) -> None:
    """Opened from disk, without a network, with its own policy."""
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    bundle(node, good)
    data = bytearray(good.read_bytes())
    data[len(data) // 3] ^= 4
    bad.write_bytes(data)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=needs.chromium(), args=["--no-sandbox"])
        tab = browser.new_page()
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(page.as_uri())
        verdict = tab.locator("#verdict")
        tab.set_input_files("#file", good)
        tab.wait_for_selector("#verdict.holds, #verdict.fails", timeout=60_000)
        assert "The bundle holds." in (verdict.text_content() or ""), verdict.text_content()
        tab.fill("#key", "another+00000000+key")
        tab.set_input_files("#file", [])
        tab.set_input_files("#file", good)
        tab.wait_for_selector("#verdict.fails", timeout=60_000)
        tab.fill("#key", "")
        tab.set_input_files("#file", [])
        tab.set_input_files("#file", good)
        tab.wait_for_selector("#verdict.holds", timeout=60_000)
        tab.set_input_files("#file", bad)
        tab.wait_for_selector("#verdict.fails", timeout=60_000)
        assert asked == [page.as_uri()]
        browser.close()


def test_the_verifiers_share_nothing_with_the_server() -> None:
    script, html = (verifier_source(name).decode() for name in sorted(VERIFIERS, reverse=True))
    assert "import tallystick" not in script
    assert "from tallystick" not in script
    assert "default-src 'none'" in html
    assert "fetch(" not in html
    assert "XMLHttpRequest" not in html
