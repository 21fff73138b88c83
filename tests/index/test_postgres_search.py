"""The search beside a database: several servers on one log, each with a follower of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallystick import limits
from tallystick.errors import FollowerBehind
from tallystick.events.event import Draft, Op
from tallystick.followers.process import Command, Setup
from tallystick.followers.shared import SharedFollowers
from tallystick.index.followers import KINDS, SEARCH
from tallystick.index.open import Index, open_index
from tallystick.index.postgres.followers import open_lists
from tallystick.query.expr import Eq, Everything, Term
from tallystick.query.question import Find
from tallystick.settings import Settings
from tallystick.store.base import Erasure
from tallystick.store.postgres.store import open_postgres
from tests.followers.test_processes import TENANT, order
from tests.index.world import rules
from tests.store.transactions import KEY
from tests.support.recording import Recorder

pytestmark = pytest.mark.needs("postgres")

RULES = "tests.index.world:rules"
WITHIN_S = 60.0


class Server:
    """What a server on a database has: a pool, a sequencer, the lists there, a search here."""

    def __init__(self, folder: Path, url: str) -> None:
        self.store = open_postgres(url)
        command, loaded = Command(folder, Setup(Settings(database=url)), RULES), rules()
        self.followers = SharedFollowers(command, self.store, loaded, [KINDS[SEARCH]])
        self.index = Index(*open_lists(self.store, loaded, self.followers))
        self.recorder = Recorder(self.store, KEY, committed=self.index.committed)

    def write(self, count: int) -> None:
        """Write some events."""
        self.recorder.append(TENANT, *(order(number) for number in range(count)))

    def found(self, text: str) -> int:
        """Return how many events the search finds."""
        return self.index.reader.count(TENANT, Term("data.text", text))

    def total(self) -> int:
        """Return how many events the lists have."""
        return self.index.reader.count(TENANT, Everything())

    @property
    def pid(self) -> int:
        """The follower's process."""
        [pid] = self.followers.pids()
        return pid

    def close(self) -> None:
        """Stop everything."""
        self.recorder.close()
        self.index.close()
        self.store.close()


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reads wait for as long as a busy machine takes to start a process."""
    monkeypatch.setattr(limits, "READ_WAIT_S", WITHIN_S)


@contextmanager
def servers(folder: Path, url: str, count: int) -> Iterator[list[Server]]:
    """Run some servers on one database."""
    running = [Server(folder / f"node-{number}", url) for number in range(count)]
    try:
        yield running
    finally:
        for server in running:
            server.close()


def test_what_any_server_acknowledged_is_found_by_every_other(
    postgres_database: str, tmp_path: Path
) -> None:
    """Write to one after the other, and kill a follower now and then."""
    with servers(tmp_path, postgres_database, 2) as nodes:
        for number in range(20):
            writer, reader = nodes[number % 2], nodes[1 - number % 2]
            writer.write(5)
            if number % 7 == 6:
                os.kill(reader.pid, signal.SIGKILL)
            assert reader.found("brown") == (number + 1) * 5
            assert reader.found("w3") == number + 1


def test_a_server_that_comes_late_catches_up_before_anybody_searches(
    postgres_database: str, tmp_path: Path
) -> None:
    with servers(tmp_path / "first", postgres_database, 1) as [early]:
        early.write(3_000)
        with servers(tmp_path / "second", postgres_database, 1) as [late]:
            until_followed(late)
            assert late.found("brown") == 3_000


def test_a_follower_that_hangs_is_an_error_for_searches_and_for_nothing_else(
    postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with servers(tmp_path, postgres_database, 2) as [node, other]:
        node.write(5)
        assert node.found("brown") == 5
        until_followed(node)
        pid = node.pid
        monkeypatch.setitem(node.followers.lag_max, SEARCH, 0)
        os.kill(pid, signal.SIGSTOP)
        try:
            other.write(1)
            with monkeypatch.context() as impatient:
                impatient.setattr(limits, "READ_WAIT_S", 0.2)
                impatient.setattr(limits, "SEARCH_TAIL_ENTRIES", 0)
                with pytest.raises(FollowerBehind, match="search is behind the log by 1 entries"):
                    node.found("brown")
            assert node.index.lag() == {SEARCH: 1}
            assert node.total() == 6
            assert other.found("brown") == 6
            assert not node.index.overrun(), "its search is no reason to hold up the log"
        finally:
            os.kill(pid, signal.SIGCONT)
        assert node.found("brown") == 6


def test_lag_tells_of_what_other_servers_wrote(postgres_database: str, tmp_path: Path) -> None:
    """Without a search and without a commit of its own, a server learns that it is behind."""
    with servers(tmp_path, postgres_database, 2) as [node, other]:
        node.write(1)
        assert node.found("brown") == 1
        until_followed(node)
        pid = node.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            other.write(7)
            until(lambda: node.index.lag() == {SEARCH: 7})
        finally:
            os.kill(pid, signal.SIGCONT)
        until_followed(node)


def test_words_that_were_erased_elsewhere_are_not_found(
    postgres_database: str, tmp_path: Path
) -> None:
    with servers(tmp_path, postgres_database, 2) as [node, other]:
        secret = Draft(kind="order.created", data={"text": "Rumpelstiltskin"})
        node.recorder.append(TENANT, secret)
        assert other.found("rumpelstiltskin") == 1
        told = {"entries": [{"index": 0, "sections": ["data"]}]}
        erasure = Draft(kind="erase", op=Op.ERASE, data=told)
        node.recorder.append(TENANT, erasure, erasures=[Erasure(0, ("data",))])
        assert other.found("rumpelstiltskin") == 0


def test_the_url_of_the_database_is_no_argument_of_the_process(
    postgres_database: str, tmp_path: Path
) -> None:
    """Arguments can be read by everybody on the machine; a URL may hold a password."""
    with servers(tmp_path, postgres_database, 1) as [node]:
        node.write(1)
        assert node.found("brown") == 1
        arguments = Path(f"/proc/{node.pid}/cmdline").read_bytes()
        assert b"tallystick.followers.child" in arguments
        assert b"postgres" not in arguments


def test_an_index_made_by_a_command_is_gone_on_with(postgres_database: str, tmp_path: Path) -> None:
    """A command follows in its own process; a server takes the folder over, and back."""
    with servers(tmp_path, postgres_database, 1) as [node]:
        node.write(20)
        assert node.found("brown") == 20
        until_followed(node)
    store = open_postgres(postgres_database)
    command = open_index(
        tmp_path / "node-0", store, Settings(database=postgres_database), child=False, rules=RULES
    )
    assert command.lag() == {SEARCH: 0}
    found = command.reader.find(TENANT, Find(where=Term("data.text", "w7")))
    assert [hit.index for hit in found.hits] == [7]
    assert command.reader.count(TENANT, Eq("kind", "order.created")) == 20
    command.close()
    store.close()


def until_followed(server: Server) -> None:
    """Wait until a server's search has all of the log that the server knows of."""
    until(lambda: server.index.lag() == {SEARCH: 0})


def until(condition: Callable[[], bool], *, within_s: float = WITHIN_S) -> None:
    """Wait until something is so."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come to pass"
        time.sleep(0.02)
