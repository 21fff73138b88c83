"""Adding a follower is one file and one reference: a toy one runs wherever the real ones do."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallystick.data_folder import INDEX_FOLDER
from tallystick.errors import NotFound, SettingsError
from tallystick.followers.inline import InlineFollowers
from tallystick.followers.kind import load_kind
from tallystick.followers.supervisor import Command, SupervisedFollowers
from tallystick.index.followers import KINDS
from tallystick.store.base import Store
from tallystick.store.sqlite.store import open_sqlite
from tests.followers.toy_follower import CountReader
from tests.index.world import rules
from tests.store.transactions import KEY
from tests.support.recording import TENANT, Recorder, draft

TOY = "tests.followers.toy_follower:KIND"
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
    followers = SupervisedFollowers(Command(tmp_path, None, RULES), store, rules(), [TOY])
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


@pytest.mark.parametrize("name", KINDS)
def test_reference_leads_to_the_kind_of_its_name(name: str) -> None:
    assert load_kind(KINDS[name]).name == name


@pytest.mark.parametrize("reference", ["tallystick.nowhere:KIND", "tallystick.index.followers:NO"])
def test_reference_to_nothing_is_refused(reference: str) -> None:
    with pytest.raises(SettingsError, match="nothing is defined at"):
        load_kind(reference)
