"""The same events in a plain SQLite database: ordinary indexes, FTS5 for words.

It is filled from the log, so that it holds exactly what the product holds, and asked within this
process: no HTTP, no access rules, nothing to wait for. That favours it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw

from bench.scale.filling import TENANT
from tallystick.events.event import Op, Resource, View
from tallystick.log.views import LogReader
from tallystick.store.sqlite.store import open_sqlite

NUMBER_PATH = "requestParameters.maxResults"

_AT_ONCE = 5_000
_TABLES = """
    CREATE TABLE IF NOT EXISTS events (
        idx INTEGER PRIMARY KEY, ms INTEGER NOT NULL, kind TEXT NOT NULL, actor TEXT, target TEXT,
        target_type TEXT, body TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS scopes (scope TEXT, idx INTEGER, PRIMARY KEY (scope, idx))
        WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS progress (size INTEGER NOT NULL, raw_bytes INTEGER NOT NULL);
    CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(text, content='');
"""
_INDEXES = f"""
    CREATE INDEX IF NOT EXISTS by_time ON events (ms, idx);
    CREATE INDEX IF NOT EXISTS by_kind ON events (kind, ms, idx);
    CREATE INDEX IF NOT EXISTS by_actor ON events (actor, ms, idx);
    CREATE INDEX IF NOT EXISTS by_target ON events (target, ms, idx);
    CREATE INDEX IF NOT EXISTS by_target_type ON events (target_type);
    CREATE INDEX IF NOT EXISTS by_number ON events (
        json_extract(body, '$.data.{NUMBER_PATH}')
    ) WHERE json_extract(body, '$.data.{NUMBER_PATH}') IS NOT NULL;
    CREATE INDEX IF NOT EXISTS by_scope ON scopes (idx, scope);
    ANALYZE;
"""


class Rival:
    """A database of its own beside the product's folder."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("PRAGMA cache_size = -262144")
        self._connection.execute("PRAGMA mmap_size = 68719476736")
        self._connection.execute(_TABLES)
        (row,) = self._connection.execute("SELECT max(size), max(raw_bytes) FROM progress")
        self.size: int = row[0] or 0
        self.raw_bytes: int = row[1] or 0

    def follow(self, ledger: Path, tell: Callable[[str], None]) -> None:
        """Take in all of the log that is not here yet."""
        store = open_sqlite(ledger)
        reader = LogReader(store)
        size, first = reader.size(TENANT), self.size
        started_s = told_s = time.perf_counter()
        while self.size < size:
            views = [recorded.view for recorded in reader.read(TENANT, self.size, size)]
            with self._connection:
                self._add(view for view in views if view.first.op is Op.RECORD)
                self.size += len(views)
                self._connection.execute(
                    "INSERT INTO progress VALUES (?, ?)", (self.size, self.raw_bytes)
                )
            now_s = time.perf_counter()
            if now_s - told_s > 30:
                told_s = now_s
                rate = (self.size - first) / (now_s - started_s)
                tell(f"{self.size:,} events in SQLite, {rate:,.0f} a second")
        store.close()
        if self.size > first:
            self._connection.execute(_INDEXES)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        return list(self._connection.execute(sql, values))

    def took_ms(self, sql: str, values: Sequence[Any]) -> float:
        """Return how long a statement took, its rows read."""
        started_s = time.perf_counter()
        self.rows(sql, values)
        return (time.perf_counter() - started_s) * 1000

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _add(self, views: Iterable[View]) -> None:
        events, scopes, words = [], [], []
        for view in views:
            event = view.first
            body = _body(view)
            self.raw_bytes += len(body.encode())
            events.append(
                (event.index, event.occurred_ms, event.kind, _text(event.actor),
                 _text(event.target), event.target and event.target.type, body)
            )  # fmt: skip
            scopes += [(_text(scope), event.index) for scope in event.scopes]
            words.append((event.index, " ".join(_strings(event.data))))
        self._connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", events)
        self._connection.executemany("INSERT OR IGNORE INTO scopes VALUES (?, ?)", scopes)
        self._connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", words)


def _body(view: View) -> str:
    event = view.first
    told: dict[str, Any] = {"kind": event.kind, "occurred_at": event.occurred_ms}
    for name, resource in (("actor", event.actor), ("target", event.target)):
        if resource is not None:
            told[name] = _told(resource)
    told["scopes"] = [_told(scope) for scope in event.scopes]
    told["data"] = event.data
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False)


def _told(resource: Resource) -> dict[str, str]:
    told = {"type": resource.type, "id": resource.id}
    return told if resource.name is None else {**told, "name": resource.name}


def _text(resource: Resource | None) -> str | None:
    return None if resource is None else f"{resource.type}:{resource.id}"


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from _strings(member)
