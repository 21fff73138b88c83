"""Lists on PostgreSQL say what `matches` over a plain list says, as those on SQLite do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.query.expr import Eq
from tallystick.query.question import Find
from tests.index.log_strategies import any_exprs, play, questions, steps
from tests.index.postgres_world import PostgresWorld, contents, empty
from tests.index.test_lists import check_pages
from tests.index.world import TENANT

pytestmark = pytest.mark.needs("postgres")

QUESTIONS = 6


@settings(max_examples=10)
@given(script=steps(), with_batch=st.booleans(), data=st.data())
def test_lists_and_totals_equal_a_plain_list(
    database: str, script: list[tuple[Any, ...]], with_batch: bool, data: st.DataObject
) -> None:
    with PostgresWorld(empty(database), with_batch=with_batch) as world:
        play(world, script)
        model = world.model()
        for _ in range(QUESTIONS):
            question = data.draw(questions(model.views))
            expected = model.find(question)
            check_pages(world, question, expected, data.draw(st.integers(3, 30)))
            if question.over == "events":
                count = world.reader.count(TENANT, question.where, dialect=question.dialect)
                assert count == len(expected)
        for key, summary in model.resources().items():
            assert world.reader.resource(TENANT, *key) == summary


@settings(max_examples=5)
@given(script=steps(), data=st.data())
def test_whatever_lists_accept_they_answer_rightly(
    database: str, script: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    with PostgresWorld(empty(database)) as world:
        play(world, script)
        model = world.model()
        for _ in range(2 * QUESTIONS):
            question = Find(where=data.draw(any_exprs(model.views)), limit=1_000, total=True)
            if world.reader.explain(TENANT, question).index == "views":
                found = world.reader.find(TENANT, question)
                assert [hit.index for hit in found.hits] == model.find(question)


@settings(max_examples=6)
@given(script=steps())
def test_listing_with_the_batch_and_rebuilding_lead_to_the_same(
    database: str, script: list[tuple[Any, ...]]
) -> None:
    with PostgresWorld(empty(database)) as world:
        play(world, script)
        world.follow()
        if not world.size():
            return
        before = contents(database)
        world.lists.rebuild(world.store, TENANT)
        assert contents(database) == before


@settings(max_examples=8)
@given(first=steps(), second=steps())
def test_kept_counts_move_with_every_batch(
    database: str, first: list[tuple[Any, ...]], second: list[tuple[Any, ...]]
) -> None:
    """Counts that were asked for, and are kept from then on, are right after all that follows."""
    with PostgresWorld(empty(database)) as world:
        play(world, first)
        check_counts(world)
        play(world, second)
        check_counts(world)
        world.lists.rebuild(world.store, TENANT)
        check_counts(world)


def check_counts(world: PostgresWorld) -> None:
    """Check the count of every term that entries have of who, what and where."""
    model = world.model()
    events = [view.event for view in model.views]
    terms = {("trail", trail) for event in events for trail in event.trails}
    for event in events:
        named = {"actor": (event.actor,), "target": (event.target,), "scope": event.scopes}
        for role, resources in named.items():
            for type, id in (each.key for each in resources if each is not None):
                terms |= {(role, f"{type}:{id}"), (f"{role}.id", id), (f"{role}.type", type)}
    for field, value in sorted(terms):
        for dialect in ("native", "echo"):
            question = Find(where=Eq(field, value), dialect=dialect)
            counted = world.reader.count(TENANT, question.where, dialect=dialect)
            assert counted == len(model.find(question)), (field, value, dialect)
