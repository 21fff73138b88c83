"""The search in OpenSearch as a follower: which index a generation of it is.

A generation's folder holds nothing but the name of its index. The first one of a data folder goes
on with the index that is served already, by another server's; each further one has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tallystick import durable
from tallystick.events.dialect_rules import Rules
from tallystick.followers.follow import Follower
from tallystick.followers.kind import FollowerKind, FollowerReader
from tallystick.index.opensearch.connection import EngineTarget, target_of
from tallystick.index.opensearch.engine import Engine
from tallystick.index.opensearch.reader import OpenSearchReader
from tallystick.index.opensearch.writer import OpenSearchWriter
from tallystick.index.search.follower import SearchFollower
from tallystick.index.search.recall import Recall
from tallystick.index.search.tail import SearchTails
from tallystick.settings import Settings
from tallystick.store.base import Store

_FIRST = "1"
_NAME_FILE = "opensearch-index"


def in_opensearch(kind: FollowerKind, settings: Settings) -> FollowerKind:
    """Return the search as one that is kept in the OpenSearch of the settings.

    Raises: SettingsError.
    """
    assert settings.search is not None, "the settings say where"
    target = target_of(settings.search)
    return kind._replace(
        open=partial(_write, target),
        read=partial(_read, target),
        suspect=False,
        stored=_unknown,
        configure=None,
    )


def _unknown(folder: Path) -> Mapping[str, int]:
    # Others may have written to the index since: only the engine knows.
    return {}


def _write(target: EngineTarget, folder: Path, store: Store, rules: Rules) -> Follower:
    engine = _engine(target, folder)
    writer = OpenSearchWriter(engine, lambda: [head.tenant for head in store.log_heads()])
    return SearchFollower(writer, rules)


def _read(target: EngineTarget, folder: Path, store: Store, rules: Rules) -> FollowerReader:
    engine = _engine(target, folder)
    engine.serve()
    return OpenSearchReader(engine, Recall(store, rules), SearchTails(store, rules))


def _engine(target: EngineTarget, folder: Path) -> Engine:
    path = folder / _NAME_FILE
    if path.exists():
        return Engine(target, path.read_text("ascii"))
    engine = Engine(target)
    name = engine.name if folder.name == _FIRST else engine.make()
    durable.create_file(path, name.encode())
    engine.name = name
    return engine
