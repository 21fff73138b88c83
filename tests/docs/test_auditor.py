"""The pages for auditors: every command on them is run, and prints what the page says."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tallystick.cli import main
from tests.cli.program import run
from tests.support.needs import ROOT

PAGES = sorted((ROOT / "docs" / "auditor").glob("*.md"))
EVENT = (
    '{"id": "018f6b5e-7a00-7000-8000-000000000481", "kind": "login.failed", "actor": {"type": '
    '"user", "id": "481", "name": "Alice"}, "target": {"type": "account", "id": "17"}, '
    '"data": {"address": "192.0.2.7"}}\n'
)
_FILE = re.compile(r"\$\(cat (\S+)\)")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a log, its key, a receipt, and a receipt that somebody changed."""
    folder = tmp_path_factory.mktemp("auditor")
    data = ("--data", str(folder / "tallystick-data"))
    run("tenants", "create", "default", *data)
    run("append", *data, stdin=EVENT)
    (folder / "log.vkey").write_text(run("keys", "log", *data).stdout)
    receipt = folder / "receipt.json"
    run("receipt", "018f6b5e-7a00-7000-8000-000000000481", "--out", str(receipt), *data)
    forged = receipt.read_text().replace("login.failed", "login.worked")
    (folder / "forged.json").write_text(forged)
    return folder


def steps(page: Path) -> list[tuple[str, list[str]]]:
    """Return the commands of a page, each with the lines that it is said to print."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_print_what_the_page_says(
    page: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "auditor"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TALLYSTICK_DATA", "tallystick-data")
    assert steps(page)
    for command, expected in steps(page):
        filled = _FILE.sub(lambda match: Path(match[1]).read_text().strip(), command)
        program, *words = shlex.split(filled)
        assert program == "tallystick"
        done = CliRunner().invoke(main, words, prog_name="tallystick", catch_exceptions=False)
        output = done.stdout.rstrip("\n")
        if done.exit_code:
            output = f"exit {done.exit_code}: {done.stderr.strip().removeprefix('tallystick: ')}"
        assert re.fullmatch(pattern(expected), squeezed(output)), (command, output)


def pattern(lines: list[str]) -> str:
    """Return what matches the lines; `...` stands for anything."""
    return re.escape(squeezed("\n".join(lines))).replace(r"\.\.\.", r"[\s\S]*")


def squeezed(text: str) -> str:
    """Return a text with blanks in runs of one: columns are as wide as what is in them."""
    return re.sub(r" +", " ", re.sub(r" +$", "", text, flags=re.M))


def test_every_page_says_what_is_not_claimed() -> None:
    index = (ROOT / "docs" / "auditor" / "README.md").read_text("utf-8")
    for page in PAGES:
        if page.name != "README.md":
            assert "## What is not claimed\n" in page.read_text("utf-8")
            assert f"({page.name})" in index
