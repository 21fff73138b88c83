"""The worked example of a dialect's README does what it says, on a real server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tallystick import dialects
from tallystick.dialects import DIALECTS, transcript
from tests.dialects.test_transcripts import variables_of
from tests.support.live_server import LiveServer

READMES = {
    path.parent.name: path
    for path in sorted(Path(dialects.__file__).parent.glob("*/README.md"))
    if "```http\n" in path.read_text("utf-8")
}


@pytest.mark.parametrize("name", READMES)
def test_the_worked_example_runs(server: LiveServer, name: str) -> None:
    text = READMES[name].read_text("utf-8")
    variables = variables_of(server)
    for example in re.findall(r"```http\n(.*?)```", text, re.DOTALL):
        exchanges = transcript.parse(example, name)
        assert exchanges
        failures = [one for one in transcript.run(exchanges, server.url, variables) if one]
        assert not failures, "\n\n".join(map(str, failures))


@pytest.mark.parametrize("name", [dialect.name for dialect in DIALECTS])
def test_every_dialect_has_one_and_says_how_to_move_in(name: str) -> None:
    assert name in READMES
    headings = re.findall(r"^## (.*)$", READMES[name].read_text("utf-8"), re.MULTILINE)
    assert {"Worked example", "Differences from the original", "Moving in"} <= set(headings)
