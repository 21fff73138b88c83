"""Followers that keep indexes in processes of their own, started and watched by the server.

What this server commits is told to the followers at once, and their cursors
are kept here, so that a read only waits when it has to.
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from tallystick.errors import (
    FollowerBehind,
    NotFound,
    StoreFailed,
    TallystickError,
    for_operator,
)
from tallystick.events.dialect_rules import Rules
from tallystick.followers.channel import Channel
from tallystick.followers.damage import Health, IndexDamaged
from tallystick.followers.generations import Generations
from tallystick.followers.inline import Progress
from tallystick.followers.kind import FollowerKind, FollowerReader, load_index_kind
from tallystick.followers.known_heads import KnownHeads
from tallystick.followers.messages import FollowerReport, Lines, receive
from tallystick.followers.process import Command, Process
from tallystick.store.base import LogHead, Store

RESIDUE_S = 600.0
"""How long erased words may stay in the files of the search index before it is made again."""

_RESIDUE_SHARE = 10
_STARTING_OVER = 8
_MOVING_S = 2.0
_SWAP_S = 60.0
_RETRY_S = 5.0
_log = structlog.get_logger("tallystick.followers")


class SupervisedFollowers:
    """Runs each follower in a child process; safe to share between threads."""

    def __init__(
        self,
        command: Command,
        store: Store,
        rules: Rules,
        kinds: Sequence[str],
        *,
        residue_s: float = RESIDUE_S,
    ) -> None:
        """Start; `kinds` are the references of the followers to run."""
        self._command = command
        settings = command.setup.settings
        loaded = [(load_index_kind(reference, settings), reference) for reference in kinds]
        self._references = {kind.name: reference for kind, reference in loaded}
        self._kinds = {kind.name: kind for kind, _ in loaded}
        self.lag_max = {name: kind.lag_max for name, kind in self._kinds.items()}
        """Entries each follower may be behind before commits wait for it."""
        self._residue_s = residue_s
        self._store = store
        self._rules = rules
        found = store.log_heads()
        self._heads = KnownHeads(store, found)
        heads = {head.tenant: head.size for head in found}
        self._channels = {
            name: Channel(
                name,
                Generations(command.root / name, rules),
                heads,
                commits=kind.commits,
                near=kind.lag_max // 2,
                cursors=_stored(Generations(command.root / name, rules), kind),
            )
            for name, kind in self._kinds.items()
        }
        # Guards the readers; a generation is opened for reading once.
        self._lock = threading.Lock()
        self._readers: dict[str, tuple[str, FollowerReader]] = {}
        # One rebuild at a time; `close` ends the one under way.
        self._rebuild_lock = threading.Lock()
        self._builder: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        outdated = [name for name in self._channels if self._clear(name)]
        self._processes = [
            Process(command, self._references[name], channel)
            for name, channel in self._channels.items()
        ]
        self._keeper = threading.Thread(
            target=self._keep, args=(outdated,), name="rebuilds", daemon=True
        )
        self._keeper.start()

    def committed(self, heads: Sequence[LogHead]) -> None:
        """Tell the followers how far logs have come, and of those that were set back."""
        gone = self._heads.learn(heads)
        told = [(head.tenant, head.size) for head in heads]
        for channel in self._channels.values():
            for head in gone:
                channel.doubt(head.tenant, head.size)
            channel.tell(told)

    def damaged(self, error: IndexDamaged) -> FollowerBehind:
        """Have an index made again that a read found damaged; return what the read is told."""
        for name, (generation, _) in list(self._readers.items()):
            if error.follower in (name, None):
                self._channels[name].distrust(generation, for_operator(error))
        return FollowerBehind(f"{error.follower or 'an index'} is being rebuilt")

    def suspected(self) -> None:
        """Have checksums compared, after a failure that damage would explain."""
        for name, kind in self._kinds.items():
            if kind.suspect:
                self._channels[name].suspect()

    def health(self) -> Mapping[str, Health]:
        """Return how each index is."""
        return {name: channel.health() for name, channel in self._channels.items()}

    def wait(
        self, follower: str, tenant: str, dialect: str | None = None, *, within: int = 0
    ) -> int:
        """Wait until a follower has a tenant's log as of now but for some entries; return its size.

        Raises: FollowerBehind.
        """
        return self._channels[follower].wait(tenant, dialect, within=within)

    def reader_of(self, follower: str) -> FollowerReader:
        """Return what reads the generation that a follower serves now.

        Raises: FollowerBehind, IndexDamaged.
        """
        channel = self._channels[follower]
        name = channel.folder()
        with self._lock:
            opened = self._readers.get(follower)
            if opened is None or opened[0] != name:
                # A thread that still reads the old one keeps it until it is done.
                folder = channel.generations.folder(name)
                with self._distrusting(channel, name):
                    reader = self._kinds[follower].read(folder, self._store, self._rules)
                opened = self._readers[follower] = (name, reader)
            return opened[1]

    @contextmanager
    def _distrusting(self, channel: Channel, generation: str) -> Iterator[None]:
        """Have a generation made again that cannot be opened for reading."""
        try:
            yield
        except IndexDamaged as error:
            channel.distrust(generation, for_operator(error))
            raise

    def wait_for_generation(self, name: str, generation: str, timeout_s: float) -> bool:
        """Wait until a follower serves a generation; tell whether it does."""
        return self._channels[name].wait_for_generation(generation, timeout_s)

    def lag(self) -> Mapping[str, int]:
        """Return by how many entries each follower is behind, over all tenants."""
        return {name: channel.lag() for name, channel in self._channels.items()}

    def late(self) -> Sequence[str]:
        """Return the followers that do not answer reads yet."""
        return [name for name, channel in self._channels.items() if not channel.answers()]

    def overrun(self) -> bool:
        """Tell whether commits should wait so that followers keep up.

        A follower that does not come on slows nobody down, nor does one that is so far behind that
        it must be starting over: reads say that they are behind.
        """
        for name, channel in self._channels.items():
            lag = channel.lag()
            if self.lag_max[name] < lag < _STARTING_OVER * self.lag_max[name] and channel.is_moving(
                _MOVING_S
            ):
                return True
        return False

    def pids(self) -> list[int]:
        """Return the ids of the processes that run."""
        return [process.pid for process in self._processes if process.pid is not None]

    def rebuild(self, name: str, progress: Progress) -> None:
        """Make what a follower keeps from the beginning beside what is served, then serve it.

        Raises: NotFound, StoreFailed when the rebuild came to nothing.
        """
        channel = self._channels.get(name)
        if channel is None:
            raise NotFound(f"no such follower: {name!r}")
        with self._rebuild_lock:
            folder = channel.generations.begin()
            built = self._build(name, folder, progress)
            if not built:
                channel.generations.remove(folder)
            if not built or not channel.swap(folder.name, _SWAP_S):
                raise StoreFailed(f"the rebuild of {name} failed", hint="see the server log")

    def close(self) -> None:
        """Stop every process and release files; idempotent."""
        self._closing.set()
        for channel in self._channels.values():
            channel.close()
        if self._builder is not None:
            self._builder.kill()
        self._keeper.join()
        for process in self._processes:
            process.close()
        with self._lock:
            for _, reader in self._readers.values():
                reader.close()
            self._readers = {}

    def _clear(self, name: str) -> bool:
        """Remove what is left over of a follower; tell whether it was made with other rules."""
        generations = self._channels[name].generations
        current = generations.current()
        generations.remove_others(current)
        return generations.is_outdated(current)

    def _build(self, name: str, folder: Path, progress: Progress) -> bool:
        """Fill a generation in a process of its own; tell whether it got to the end."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._builder = self._command.start(self._references[name], theirs, folder.name)
            if self._closing.is_set():
                self._builder.kill()
            lines = Lines(FollowerReport)
            finished = False
            while data := receive(ours):
                for report in lines.feed(data):
                    progress(report.done, report.total)
                    finished = finished or report.folder is not None
        return self._builder.wait() == 0 and finished

    def _keep(self, outdated: Sequence[str]) -> None:
        """Rebuild what was made with other rules, and from time to time what holds residue."""
        waiting, pause_s = set(outdated), 0.0
        while not self._closing.wait(pause_s):
            started_s = time.monotonic()
            for name, channel in self._channels.items():
                if (name in waiting or channel.has_residue()) and self._try_rebuild(name):
                    waiting.discard(name)
            # Rebuilding must not become all there is to do.
            took_s = time.monotonic() - started_s
            pause_s = max(self._residue_s, _RESIDUE_SHARE * took_s)
            if waiting:
                pause_s = _RETRY_S

    def _try_rebuild(self, name: str) -> bool:
        try:
            self.rebuild(name, lambda done, total: None)
        except TallystickError as error:
            if not self._closing.is_set():
                _log.error("rebuild_failed", follower=name, reason=for_operator(error))
            return False
        return True


def _stored(generations: Generations, kind: FollowerKind) -> Mapping[str, int]:
    """Return how far the generation that will be served had come, where it was made so."""
    folder = generations.current()
    return {} if generations.is_outdated(folder) else kind.stored(folder)
