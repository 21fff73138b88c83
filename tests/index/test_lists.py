"""Lists and totals say what `matches` over a plain list says, whatever happened to the log."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.query.question import Find
from tests.index.log_strategies import any_exprs, play, questions, steps
from tests.index.world import TENANT, World

QUESTIONS = 12


def check_pages(world: World, question: Find, expected: list[int], step: int) -> None:
    """Check one question: whole, by cursor, by offset, with and without its total."""
    whole = world.reader.find(TENANT, msgspec.structs.replace(question, limit=1_000))
    assert [hit.index for hit in whole.hits] == expected
    assert whole.total == len(expected)
    assert not whole.more
    found: list[int] = []
    asked = msgspec.structs.replace(question, limit=step, total=False)
    while True:
        page = world.reader.find(TENANT, asked)
        found += [hit.index for hit in page.hits]
        assert len(page.hits) == min(step, len(expected) - len(found) + len(page.hits))
        if not page.more:
            break
        asked = msgspec.structs.replace(asked, after=page.hits[-1].position)
    assert found == expected
    for offset in (step, len(expected) - 1, len(expected) + 3):
        asked = msgspec.structs.replace(question, limit=step, offset=max(offset, 0), after=None)
        page = world.reader.find(TENANT, asked)
        assert [hit.index for hit in page.hits] == expected[max(offset, 0) :][:step]


@settings(max_examples=40)
@given(script=steps(), data=st.data())
def test_lists_and_totals_equal_a_plain_list(
    script: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        play(world, script)
        model = world.model()
        for _ in range(QUESTIONS):
            question = data.draw(questions(model.views))
            expected = model.find(question)
            check_pages(world, question, expected, data.draw(st.integers(1, 9)))
            if question.over == "events":
                count = world.reader.count(TENANT, question.where, dialect=question.dialect)
                assert count == len(expected)


@settings(max_examples=15)
@given(script=steps(), data=st.data())
def test_whatever_lists_accept_they_answer_rightly(
    script: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        play(world, script)
        model = world.model()
        for _ in range(2 * QUESTIONS):
            question = Find(where=data.draw(any_exprs(model.views)), limit=1_000, total=True)
            if world.reader.explain(TENANT, question).index == "views":
                found = world.reader.find(TENANT, question)
                assert [hit.index for hit in found.hits] == model.find(question)


@settings(max_examples=40)
@given(script=steps(), data=st.data())
def test_following_and_rebuilding_lead_to_the_same(
    script: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        play(world, script)
        world.follow()
        model = world.model()
        twin = world.rebuilt()
        for _ in range(QUESTIONS):
            question = msgspec.structs.replace(data.draw(questions(model.views)), limit=1_000)
            assert twin.reader.find(TENANT, question) == world.reader.find(TENANT, question)
        for key, summary in model.resources().items():
            assert world.reader.resource(TENANT, *key) == summary
            assert twin.reader.resource(TENANT, *key) == summary
        twin.writer.close()
        twin.views().close()
