"""Followers in processes of their own: killed, stopped, rebuilt, left behind by their server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tallystick import limits
from tallystick.errors import FollowerBehind, NotFound
from tallystick.events.dialect_rules import Rules
from tallystick.events.event import Draft, Op, Resource
from tallystick.followers import supervisor
from tallystick.followers.generations import Generations
from tallystick.followers.inline import Progress
from tallystick.followers.process import Command, Setup
from tallystick.followers.supervisor import SupervisedFollowers
from tallystick.index.followers import KINDS, SEARCH, VIEWS
from tallystick.index.reader import IndexReader
from tallystick.index.reader_common import committed
from tallystick.index.search import SearchWriter
from tallystick.query.expr import Eq, Term
from tallystick.query.question import Find
from tallystick.settings import Settings
from tallystick.store.base import Erasure
from tallystick.store.sqlite.store import open_sqlite
from tests.index import world
from tests.store.transactions import KEY
from tests.support.recording import Recorder

TENANT = "acme"
RULES = "tests.index.world:rules"
FEWER_RULES = "tests.followers.test_processes:fewer_rules"


def fewer_rules() -> Rules:
    """Return the rules without one dialect, as a version before it had them."""
    return {name: rule for name, rule in world.rules().items() if name != "echo"}


class Server:
    """What a server has: a store, a sequencer, and followers in a process of their own."""

    def __init__(
        self,
        folder: Path,
        reference: str = RULES,
        *,
        names: Sequence[str] = (VIEWS,),
        residue_s: float = 600,
    ) -> None:
        self.folder = folder
        self.store = open_sqlite(folder / "ledger.db")
        rules = world.rules() if reference == RULES else fewer_rules()
        command = Command(folder, Setup(Settings()), reference)
        self.followers = SupervisedFollowers(
            command, self.store, rules, [KINDS[name] for name in names], residue_s=residue_s
        )
        self.recorder = Recorder(
            self.store, KEY, committed=lambda heads, stats: self.followers.committed(heads)
        )
        self.reader = IndexReader(self.store, rules, self.followers)

    def write(self, count: int) -> int:
        """Write some events and return how many there are."""
        self.recorder.append(TENANT, *(order(number) for number in range(count)))
        return self.size()

    def size(self) -> int:
        """Return how many events there are."""
        head = self.store.log_head(TENANT)
        return 0 if head is None else head.size

    def total(self, dialect: str = "native") -> int:
        """Return how many events a list has."""
        found = self.reader.find(TENANT, Find(limit=1, total=True, dialect=dialect))
        assert found.total is not None
        assert found.total <= self.reader.count(TENANT, Eq("class", "order"), dialect=dialect)
        return found.total

    def found(self, text: str) -> int:
        """Return how many events the search finds."""
        return self.reader.count(TENANT, Term("data.text", text))

    def signal(self, number: int) -> None:
        """Send a signal to the followers' processes."""
        for pid in self.followers.pids():
            # One that was killed before may have been buried since.
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        """Stop everything."""
        self.recorder.close()
        self.followers.close()
        self.store.close()


def order(number: int) -> Draft:
    """Return an event about one of a few orders."""
    target = Resource("order", str(number % 50))
    data = {"number": number, "text": f"quick brown w{number}"}
    return Draft(kind="order.created", target=target, data=data)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reads wait for as long as a busy machine takes to start a process."""
    monkeypatch.setattr(limits, "READ_WAIT_S", 60.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Yield a running server."""
    server = Server(tmp_path)
    yield server
    server.close()


def test_every_write_is_in_the_list_asked_for_after_it(server: Server) -> None:
    for _ in range(100):
        assert server.write(1) == server.total()


def test_a_killed_follower_goes_on_where_it_was(server: Server) -> None:
    """Kill it again and again while events come in; nothing is ever missing or listed twice."""
    written = threading.Event()

    def write() -> None:
        for _ in range(60):
            server.write(97)
        written.set()

    writer = threading.Thread(target=write)
    writer.start()
    kills = 0
    while not written.is_set() or kills < 5:
        size = server.size()
        assert server.total() >= size
        server.signal(signal.SIGKILL)
        kills += 1
    writer.join()
    assert server.total() == server.size() == 60 * 97
    indexes = [hit.index for hit in server.reader.find(TENANT, Find(limit=10_000)).hits]
    assert indexes == list(range(server.size() - 1, -1, -1))


def test_a_follower_that_hangs_is_an_error_and_no_stale_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.write(5) == server.total()
    server.signal(signal.SIGSTOP)
    try:
        server.write(1)
        with monkeypatch.context() as impatient:
            impatient.setattr(limits, "READ_WAIT_S", 0.2)
            with pytest.raises(FollowerBehind):
                server.total()
        assert server.followers.lag() == {VIEWS: 1}
        assert not server.followers.overrun()
    finally:
        server.signal(signal.SIGCONT)
    assert server.total() == 6


def test_commits_wait_for_a_follower_that_comes_on_and_for_no_other(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_MOVING_S", 60.0)
    assert server.write(5) == server.total()
    server.signal(signal.SIGSTOP)
    try:
        server.write(30)
        assert not server.followers.overrun()
        monkeypatch.setitem(server.followers.lag_max, VIEWS, 20)
        assert server.followers.overrun()
        monkeypatch.setitem(server.followers.lag_max, VIEWS, 2)
        assert not server.followers.overrun(), "one that starts over is not waited for"
        monkeypatch.setitem(server.followers.lag_max, VIEWS, 20)
        monkeypatch.setattr(supervisor, "_MOVING_S", 0.0)
        assert not server.followers.overrun(), "one that does not come on is not waited for"
    finally:
        server.signal(signal.SIGCONT)
    assert server.total() == 35
    assert not server.followers.overrun()


def test_a_rebuild_is_served_once_it_is_done_and_disturbs_nobody(server: Server) -> None:
    server.write(3_000)
    before = server.total()
    reading = threading.Event()
    done = threading.Event()
    totals: list[int] = []

    def read() -> None:
        while not done.is_set():
            server.write(1)
            totals.append(server.total())
            reading.set()

    reader = threading.Thread(target=read)
    reader.start()
    reading.wait()
    told: list[tuple[int, int]] = []
    server.followers.rebuild(VIEWS, lambda at, of: told.append((at, of)))
    done.set()
    reader.join()
    assert totals == list(range(before + 1, before + 1 + len(totals)))
    assert told[-1][0] == told[-1][1] >= before
    # The follower removes the old one after saying that it serves the new one, before it goes on.
    assert server.write(1) == server.total()
    assert [path.name for path in (server.folder / "index" / VIEWS).iterdir() if path.is_dir()] == [
        "2"
    ]
    assert server.total() == server.size()


def test_a_follower_nobody_has_cannot_be_rebuilt(server: Server) -> None:
    with pytest.raises(NotFound):
        server.followers.rebuild("unheard", lambda at, of: None)


def test_new_rules_are_followed_from_the_first_event_on(tmp_path: Path) -> None:
    server = Server(tmp_path, FEWER_RULES)
    server.write(200)
    assert server.total() == 200
    server.close()
    server = Server(tmp_path)
    server.write(1)
    assert server.total() == 201
    assert server.followers.wait_for_generation(VIEWS, "2", 60)
    assert server.total("echo") == 201
    generations = Generations(tmp_path / "index" / VIEWS, world.rules())
    assert not generations.is_outdated(generations.current())
    server.close()


def test_a_rebuild_that_came_to_nothing_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of which the database was away: until it is done, its dialects cannot be read."""
    server = Server(tmp_path, FEWER_RULES)
    server.write(200)
    assert server.total() == 200
    server.close()
    build, tried = SupervisedFollowers._build, []

    def fails_first(
        followers: SupervisedFollowers, name: str, folder: Path, progress: Progress
    ) -> bool:
        tried.append(folder)
        return len(tried) > 1 and build(followers, name, folder, progress)

    monkeypatch.setattr(SupervisedFollowers, "_build", fails_first)
    monkeypatch.setattr(supervisor, "_RETRY_S", 0.05)
    server = Server(tmp_path)
    assert server.followers.wait_for_generation(VIEWS, "2", 60)
    assert server.total("echo") == 200
    assert len(tried) == 2
    server.close()


def test_a_search_waits_for_the_generation_that_it_reads() -> None:
    """One that is swapped in while a search waits may not have come as far as the one before."""
    waited: list[str] = []

    class Swapping:
        """Whoever follows, and goes on with another generation while somebody waits."""

        def __init__(self) -> None:
            self.reader = Reader("old")

        def wait(
            self, follower: str, tenant: str, dialect: str | None = None, *, within: int = 0
        ) -> int:
            waited.append(self.reader.name)
            self.reader = new
            return 0

        def reader_of(self, follower: str) -> Any:
            return self.reader

    class Reader:
        """The search index of a generation."""

        def __init__(self, name: str) -> None:
            self.name = name

        def refresh(self) -> None:
            """Read what was committed last."""

    new = Reader("new")
    found: object = committed(Swapping(), TENANT)
    assert found is new
    assert waited == ["old", "new"]


def test_lists_of_another_log_are_made_anew(tmp_path: Path) -> None:
    """Put an older log in the place of the one that was followed, as a careless restore does."""
    server = Server(tmp_path)
    server.write(10)
    server.store.close()
    (tmp_path / "backup").mkdir()
    for path in tmp_path.glob("ledger.db*"):
        (tmp_path / "backup" / path.name).write_bytes(path.read_bytes())
    server.close()
    server = Server(tmp_path)
    server.write(500)
    assert server.total() == 510
    server.close()
    for path in tmp_path.glob("ledger.db*"):
        path.unlink()
    for path in (tmp_path / "backup").iterdir():
        path.rename(tmp_path / path.name)
    server = Server(tmp_path)
    assert server.total() == 10
    server.close()


@pytest.mark.parametrize("damage", [b"", b"not a database at all", b"\0" * 100_000])
def test_damaged_lists_are_made_anew(tmp_path: Path, damage: bytes) -> None:
    server = Server(tmp_path)
    server.write(5_000)
    assert server.total() == 5_000
    server.close()
    folder = Generations(tmp_path / "index" / VIEWS, world.rules()).current()
    for path in folder.glob("*.block"):
        path.write_bytes(damage)
    for path in folder.glob("views.db*"):
        path.write_bytes(damage)
    server = Server(tmp_path)
    assert server.total() == 5_000
    server.close()


def test_followers_end_with_their_server(tmp_path: Path) -> None:
    """Kill a server: its follower's hold on the pipe they share ends too."""
    script = (
        "import pathlib, sys, time\n"
        "from tallystick import limits\n"
        "from tests.followers.test_processes import Server\n"
        "limits.READ_WAIT_S = 60\n"
        f"server = Server(pathlib.Path({str(tmp_path)!r}))\n"
        "server.write(10)\n"
        "print(server.total(), flush=True)\n"
        "time.sleep(600)\n"
    )
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"10\n"
    process.kill()
    assert process.stdout.read() == b""
    process.stdout.close()
    process.wait()


def test_every_write_is_found_by_a_search_after_it(tmp_path: Path) -> None:
    """Kill the followers now and then."""
    server = Server(tmp_path, names=tuple(KINDS))
    for number in range(20):
        size = server.write(7)
        if number % 6 == 5:
            server.signal(signal.SIGKILL)
        assert server.found("brown") == size
        assert server.total() == size
    server.close()


def test_words_that_were_erased_are_destroyed_by_a_rebuild(tmp_path: Path) -> None:
    server = Server(tmp_path, names=tuple(KINDS), residue_s=0.05)
    secret = Draft(kind="order.created", data={"text": "Rumpelstiltskin"})
    server.recorder.append(TENANT, secret, *map(order, range(50)))
    assert server.found("rumpelstiltskin") == 1
    told = {"entries": [{"index": 0, "sections": ["data"]}]}
    erasure = Draft(kind="erase", op=Op.ERASE, data=told)
    server.recorder.append(TENANT, erasure, erasures=[Erasure(0, ("data",))])
    assert server.found("rumpelstiltskin") == 0
    assert server.found("brown") == 50
    assert server.followers.wait_for_generation(SEARCH, "2", 60)
    assert server.found("rumpelstiltskin") == 0
    assert server.found("brown") == 50
    server.close()
    folder = Generations(tmp_path / "index" / SEARCH, world.rules()).current()
    assert folder.name == "2"
    writer = SearchWriter(folder)
    assert not writer.residue()
    writer.close()
