"""The documents keep up with the program: settings, errors, metrics, commands, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tallystick import errors, limits
from tallystick.cli import main
from tallystick.dialects import DIALECTS
from tallystick.dialects.kvass.kinds import KINDS
from tallystick.settings import Settings
from tests.support.needs import ROOT

DOCS = ROOT / "docs"
PAGES = [
    *sorted(DOCS.rglob("*.md")),
    ROOT / "README.md",
    *sorted((ROOT / "src").rglob("README.md")),
]


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def error_codes() -> Iterator[str]:
    found = [errors.TallystickError]
    for cls in found:
        found += cls.__subclasses__()
        if cls.__module__ == errors.__name__:
            yield cls.code


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None, name
            yield from commands(child, f"{path} {name}")
    else:
        yield path, command


@pytest.mark.parametrize("code", sorted(set(error_codes())))
def test_every_error_code_is_documented(code: str) -> None:
    assert f"`{code}`" in page("errors.md")


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in page("operations.md")


DIALECT_SETTINGS = [
    f"{dialect.name}.{name}" for dialect in DIALECTS for name in dialect.settings.__struct_fields__
]


@pytest.mark.parametrize("name", DIALECT_SETTINGS)
def test_every_setting_of_a_dialect_is_documented(name: str) -> None:
    assert f"`{name}`" in page("operations.md")


def test_every_metric_is_documented() -> None:
    source = (ROOT / "src/tallystick/http/metrics.py").read_text("utf-8")
    names = set(re.findall(r'"(tallystick_[a-z_]+)"', source))
    assert len(names) >= 7
    for name in names:
        assert f"`{name}" in page("operations.md"), name


def test_the_limits_in_the_documents_are_those_of_the_program() -> None:
    text = page("operations.md")
    assert (limits.EVENT_BYTES, limits.BATCH_BYTES) == (2**20, 16 * 2**20)
    for number in (
        limits.BATCH_EVENTS, limits.NAME_BYTES, limits.SCOPES, limits.TRAILS, limits.JSON_DEPTH,
        limits.LIST_LIMIT, limits.LIST_LIMIT_MAX, limits.QUERY_DEPTH, limits.QUERY_CLAUSES,
        limits.QUEUE_EVENTS,
    ):  # fmt: skip
        assert f"{number:,}" in text, number


@pytest.mark.parametrize(("path", "command"), list(commands(main, "tallystick")))
def test_every_command_explains_itself(path: str, command: click.Command) -> None:
    assert command.help, path
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name in ("folder", "url", "key"):
            assert parameter.help, (path, parameter.name)


def test_the_kinds_of_kvass_are_documented_with_their_meaning() -> None:
    text = (ROOT / "src/tallystick/dialects/kvass/README.md").read_text("utf-8")
    section = text.split("## The 31 kinds", 1)[1].split("\n## ", 1)[0]
    assert dict(re.findall(r"^\| `(.+)` \| (.+) \|$", section, re.MULTILINE)) == KINDS


@pytest.mark.parametrize("path", [path for path, _ in commands(main, "tallystick")])
def test_every_command_is_in_a_document(path: str) -> None:
    assert any(path in one.read_text("utf-8") for one in PAGES)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target
