"""The search in OpenSearch answers as plain values do, on a real node.

The same questions are put to it as to the index in a data folder. What it answers otherwise is
named in `docs/operations.md`: bounds on what has to be read, and aggregates of many events.
"""

from __future__ import annotations

import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.errors import SettingsError, StoreBusy
from tallystick.index.opensearch.connection import client_of, target_of
from tallystick.index.opensearch.engine import Engine
from tallystick.index.opensearch.reader import OpenSearchReader
from tallystick.index.opensearch.writer import OpenSearchWriter
from tallystick.query.expr import And, Boost, Everything, Expr, Not, Or, Phrase, Sort, Term
from tallystick.query.values import Terms
from tests.faults.conftest import is_soaking
from tests.index.search_world import SEEN, TENANT, Searched, assert_same, at, document, event, item
from tests.index.test_postgres_search import until
from tests.index.test_search_equivalence import AGGREGATES, SORTS, questions
from tests.support import strategies
from tests.support.live_server import open_server
from tests.support.opensearch import OpenSearchNode, opensearch_node

pytestmark = pytest.mark.needs("opensearch")

FEW = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[
        HealthCheck.data_too_large,
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
    ],
)


@pytest.fixture(scope="module")
def node() -> Iterator[OpenSearchNode]:
    """Yield an OpenSearch."""
    with opensearch_node() as node:
        yield node


def url_of(node: OpenSearchNode) -> str:
    """Return what a setting says of the node, with a name of its own for indexes."""
    return f"opensearch://{node.address}/t{secrets.token_hex(4)}"


@contextmanager
def fresh(node: OpenSearchNode) -> Iterator[Engine]:
    """Yield an empty index, and remove it."""
    engine = Engine(target_of(url_of(node)))
    try:
        yield engine
    finally:
        engine.remove()
        engine.close()


@contextmanager
def drawn(data: st.DataObject, node: OpenSearchNode) -> Iterator[Searched]:
    """Draw events, with something derived from each, and index them."""
    views = data.draw(strategies.views(max_size=12))
    terms: dict[int, Terms] = {
        view.index: {"native.size": len(view.event.data), "native.name": f"N {view.index % 3}"}
        for view in views
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        fresh(node) as engine,
        Searched(Path(folder), views, terms=terms, engine=engine) as searched,
    ):
        yield searched


@FEW
@given(st.data())
def test_answers_are_those_of_plain_values(node: OpenSearchNode, data: st.DataObject) -> None:
    """Pages, counts, orders and aggregates, each of several questions about the same events."""
    with drawn(data, node) as searched:
        for where in questions(data, searched, 12):
            wanted = [view.index for view in searched.matching(where)]
            found = searched.find(where)
            assert [hit.index for hit in found.hits] == wanted
            assert found.total == len(wanted)
        for where in (Everything(), *questions(data, searched, 2)):
            sort = data.draw(SORTS)
            offset, limit = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 6))
            ordered = searched.sorted(where, sort)
            page = searched.find(where, sort=sort, offset=offset, limit=limit)
            rows = ordered[offset : offset + limit]
            assert [hit.index for hit in page.hits] == [view.index for view in rows]
            assert [hit.position for hit in page.hits] == searched.positions(rows, sort)
            assert page.more == (len(ordered) > offset + limit)
            assert searched.walk(where, sort, limit) == [view.index for view in ordered]
            request = data.draw(AGGREGATES)
            assert_same(searched.aggregate(request, where), searched.worked_out(request, where))


WORDS = ("apple", "big apple", "big", "an apple and a big apple pie", "pie", "nothing here")
BY_RELEVANCE = (Sort("relevance", descending=True),)


@pytest.mark.parametrize(
    "where",
    [
        Term("data.text", "apple"),
        Or((Term("data.text", "apple"), Term("data.text", "big"))),
        Or((Phrase(None, "big apple"), Boost(Term("data.text", "pie"), 3.0))),
        And((Term("data.text", "apple"), Not(Term("data.text", "pie")))),
    ],
    ids=["term", "or", "phrase and boost", "and not"],
)
def test_relevance_is_that_of_the_index_in_a_folder(
    node: OpenSearchNode, tmp_path: Path, where: Expr
) -> None:
    views = [event(n, {"text": text}) for n, text in enumerate(WORDS)]
    with fresh(node) as engine, Searched(tmp_path, views) as own:
        theirs = Searched(tmp_path, views, engine=engine)
        wanted, found = own.find(where, sort=BY_RELEVANCE), theirs.find(where, sort=BY_RELEVANCE)
    assert [hit.index for hit in found.hits] == [hit.index for hit in wanted.hits]
    scores = [hit.score for hit in wanted.hits]
    assert [hit.score for hit in found.hits] == pytest.approx(scores, rel=1e-5)


def test_late_writer_changes_nothing(node: OpenSearchNode) -> None:
    """A server that was paused goes on with what it has read long ago."""
    with fresh(node) as engine:
        new, old = event(0, {"text": "new"}), event(0, {"text": "old"})
        for view, position in ((new, 9), (old, 5)):
            writer = OpenSearchWriter(engine, lambda: [TENANT])
            writer.apply(TENANT, [document(view, fresh=False)], [], at(position))
            writer.commit()
        reader = OpenSearchReader(engine, lambda tenant, indexes: [(new, {})])
        assert reader.count(TENANT, Term("data.text", "new"), SEEN) == 1
        assert reader.count(TENANT, Term("data.text", "old"), SEEN) == 0
        assert OpenSearchWriter(engine, lambda: [TENANT]).cursors()[TENANT].next == 9


def test_items_are_overwritten_and_removed(node: OpenSearchNode) -> None:
    with fresh(node) as engine:
        writer = OpenSearchWriter(engine, lambda: [TENANT])
        reader = OpenSearchReader(engine, lambda tenant, indexes: [])

        def items() -> int:
            return reader.count(TENANT, Everything(), ("item",))

        writer.apply(TENANT, [item(0, "a", {}), item(1, "b", {})], [], at(2))
        writer.commit()
        assert items() == 2
        writer.apply(TENANT, [item(2, "a", {"text": "again"})], ["ithings\0b"], at(4))
        writer.commit()
        assert items() == 1
        writer.apply(TENANT, [], ["2"], at(5))
        writer.commit()
        assert items() == 0


def test_server_searches_there_at_once_and_erases_for_good(
    node: OpenSearchNode, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whether the words have left the disk is looked at by `make soak`: that takes a while."""
    needle = secrets.token_hex(12)
    url = url_of(node)
    with open_server(tmp_path / "data", search=url) as live, live.http() as http:
        made = http.post("/v1/events", json={"kind": "note", "data": {"text": f"secret {needle}"}})
        assert made.status_code == 201
        for n in range(3):
            http.post("/v1/events", json={"kind": "note", "data": {"text": f"pebble {n}"}})
        asked = {"q": f"data.text:{needle}"}
        assert len(http.get("/v1/events", params=asked).json()["events"]) == 1
        live.node.index.rebuild("search", lambda done, total: None)
        assert len(http.get("/v1/events", params=asked).json()["events"]) == 1
        assert len(http.get("/v1/events", params={"q": "data.text:pebble"}).json()["events"]) == 3
        assert node.occurrences(needle.encode()) > 0
        erased = http.post(f"/v1/events/{made.json()['id']}/retract", json={"erase": True})
        assert erased.status_code == 200
        assert http.get("/v1/events", params=asked).json()["events"] == []
        until(lambda: live.node.index.lag()["search"] == 0)
        if is_soaking(request.config):
            # The engine keeps it for half a minute, in case that a copy needs it.
            until(lambda: node.occurrences(needle.encode()) == 0, within_s=120)
    # What was served before the rebuild is gone, the other one has the name.
    names = list(client_of(target_of(url)).indices.get_alias(name="*"))
    assert len([name for name in names if name.startswith(target_of(url).alias)]) == 1


def test_engine_that_cannot_be_reached_is_said_to_be_busy() -> None:
    """A read is told to come again, and the follower tries again by itself."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(StoreBusy):
        Engine(target_of(f"opensearch://127.0.0.1:{port}"))


@pytest.mark.parametrize(
    "url",
    [
        "elastic://host/",
        "opensearch://",
        "opensearch://host/UPPER",
        "opensearch://host/a,b",
        "opensearch://host/?shard=1",
        "opensearch://someone:hush-hush@host:port/",
    ],
)
def test_setting_that_cannot_be_read_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        target_of(url)
    assert "hush" not in str(raised.value)
    assert "opensearch://" in (raised.value.hint or "")


def test_setting_names_everything() -> None:
    target = target_of("opensearchs://me:p%40ss@engine.example/audit?shards=4&replicas=1")
    assert target.user == ("me", "p@ss")
    assert (target.port, target.has_tls, target.shards, target.replicas) == (9200, True, 4, 1)
    assert target.alias == "audit-v1"
