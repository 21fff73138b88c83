"""Adding a follower is one file and one reference: a toy one runs wherever the real ones do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tallystick.data_folder import INDEX_FOLDER
from tallystick.dialects import DIALECTS
from tallystick.errors import NotFound, SettingsError
from tallystick.events.event import Draft
from tallystick.followers.inline import InlineFollowers
from tallystick.followers.kind import load_kind, load_truth_kind
from tallystick.followers.process import Command, Setup
from tallystick.followers.supervisor import SupervisedFollowers
from tallystick.identity import acts
from tallystick.index.followers import KINDS
from tallystick.node.node import open_node
from tallystick.settings import Settings
from tallystick.store.base import Store
from tallystick.store.sqlite.store import open_sqlite
from tallystick.subscriptions.followers import FOLLOWERS
from tests.followers.toy_follower import CountReader
from tests.index.world import rules
from tests.store.transactions import KEY
from tests.support.recording import TENANT, Recorder, draft

TOY = "tests.followers.toy_follower:KIND"
TRUTH_TOY = "tests.followers.toy_follower:TRUTH_KIND"
RULES = "tests.index.world:rules"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Yield a store with an empty log."""
    store = open_sqlite(tmp_path / "ledger.db")
    yield store
    store.close()


@contextmanager
def recording(store: Store, followers: InlineFollowers | SupervisedFollowers) -> Iterator[Recorder]:
    """Yield a recorder whose commits the followers learn of; close both in the end."""
    recorder = Recorder(store, KEY, committed=lambda heads, stats: followers.committed(heads))
    try:
        yield recorder
    finally:
        recorder.close()
        followers.close()


def counted(followers: InlineFollowers | SupervisedFollowers) -> dict[str, int]:
    """Return the toy's counts, once it has all of the log."""
    followers.wait("counts", TENANT)
    reader = followers.reader_of("counts")
    assert isinstance(reader, CountReader)
    return reader.counts()


def test_toy_follower_runs_in_this_process(tmp_path: Path, store: Store) -> None:
    followers = InlineFollowers(tmp_path / INDEX_FOLDER, store, rules(), [TOY])
    with recording(store, followers) as recorder:
        recorder.append(TENANT, draft(kind="a"), draft(kind="b"), draft(kind="a"))
        assert counted(followers) == {"a": 2, "b": 1}
        assert followers.lag() == {"counts": 0}
        followers.rebuild("counts", lambda done, total: None)
        assert counted(followers) == {"a": 2, "b": 1}


def test_toy_follower_runs_in_a_process_of_its_own(tmp_path: Path, store: Store) -> None:
    followers = SupervisedFollowers(
        Command(tmp_path, Setup(Settings()), RULES), store, rules(), [TOY]
    )
    with recording(store, followers) as recorder:
        recorder.append(TENANT, draft(kind="a"), draft(kind="b"))
        assert counted(followers) == {"a": 1, "b": 1}
        for pid in followers.pids():
            os.kill(pid, signal.SIGKILL)
        recorder.append(TENANT, draft(kind="a"))
        assert counted(followers) == {"a": 2, "b": 1}, "it goes on from the cursor it left"
        followers.rebuild("counts", lambda done, total: None)
        assert counted(followers) == {"a": 2, "b": 1}, "following equals rebuilding"
        assert followers.lag() == {"counts": 0}
        with pytest.raises(NotFound):
            followers.rebuild("views", lambda done, total: None)


@pytest.mark.parametrize("child", [False, True], ids=["thread", "process"])
def test_toy_that_acts_on_the_log_runs_in_a_server_and_in_a_command(
    tmp_path: Path, *, child: bool
) -> None:
    """The node that runs it knows a reference and nothing else; the metric has it too."""
    node = open_node(tmp_path, Settings(), followers=child)
    with closing(node):
        tenant = "acme"
        _, act = acts.create_tenant(tenant, server_name="localhost", now_ms=1)
        node.ledger.administer(tenant, act)
        node.follow([TRUTH_TOY])
        node.ledger.append(tenant, [Draft(kind="a"), Draft(kind="b")])
        size = node.store.log_heads()[0].size
        written = tmp_path / "acme.kinds"
        eventually(lambda: node.lag().get("writer") == 0)
        assert written.read_text("utf-8").split() == ["tenant.created", "a", "b"]
        assert len(written.read_text("utf-8").split()) == size
        node.stop_following()
        node.stop_following()
        assert "writer" not in node.lag()


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.01)


@pytest.mark.parametrize("reference", [*FOLLOWERS, *(r for d in DIALECTS for r in d.followers)])
def test_reference_of_a_follower_that_acts_leads_to_its_kind(reference: str) -> None:
    assert load_truth_kind(reference).name in ("streams", "publiclog")


@pytest.mark.parametrize("name", KINDS)
def test_reference_leads_to_the_kind_of_its_name(name: str) -> None:
    assert load_kind(KINDS[name]).name == name


@pytest.mark.parametrize("reference", ["tallystick.nowhere:KIND", "tallystick.index.followers:NO"])
def test_reference_to_nothing_is_refused(reference: str) -> None:
    with pytest.raises(SettingsError, match="no such object"):
        load_kind(reference)
