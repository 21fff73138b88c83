"""A log with indexes on it, and what they should answer worked out from plain lists.

`World` writes to a real store through the sequencer and lets the real followers read it, with
blocks and slices so small that a few entries make many. `Model` says what every list, total and
resource is: one pass over all views, no index.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tallystick.clock import ManualClock
from tallystick.events import ids
from tallystick.events.dialect_rules import DialectRules, Rules, SomeTerms
from tallystick.events.event import Draft, Event, Op, Resource, View
from tallystick.followers.follow import Following
from tallystick.index.lists.reader import ViewsReader
from tallystick.index.lists.writer import ViewsWriter
from tallystick.index.reader import IndexReader
from tallystick.log.views import views_of
from tallystick.query.expr import Scalar
from tallystick.query.match import matches
from tallystick.query.order import sort_views
from tallystick.query.question import Find, Over, ResourceSummary
from tallystick.store.base import Erasure
from tallystick.store.sqlite.store import open_sqlite
from tests.store.transactions import KEY
from tests.support.recording import Recorder

TENANT = "acme"
ITEM_PUT, ITEM_DELETE = "item.put", "item.delete"

Terms = Mapping[str, Scalar | tuple[Scalar, ...]]


def rules() -> Rules:
    """Return three dialects: one without retracted events, one with all, one with a few."""
    return {
        "native": DialectRules(lambda view: not view.retracted, lambda view, uuid: {}),
        "echo": DialectRules(lambda view: True, _echo_terms, listed=_ECHO_LISTED),
        "orders": DialectRules(_is_order, _order_terms, listed=_ORDERS_LISTED),
    }


def _echo_terms(view: View, uuid: str) -> dict[str, Any]:
    return {
        "third": view.index % 3,
        "uuid": uuid,
        "half": view.index / 2,
        "odd": view.index % 2 == 1,
    }


def _is_order(view: View) -> bool:
    return view.first.kind.startswith("order.") and view.event.target is not None


def _order_terms(view: View, uuid: str) -> dict[str, Any]:
    # Taken from what a revision changes, so that lists have to follow it.
    return {"members": tuple(sorted(view.event.data)), "size": len(view.event.data)}


_ECHO_LISTED = SomeTerms(frozenset(("third", "half", "odd")), _echo_terms)
_ORDERS_LISTED = SomeTerms(frozenset(("members", "size", "unheard")), _order_terms)


class World:
    """One tenant's log on SQLite, with followers whose blocks hold `sealed_rows` rows."""

    def __init__(self, folder: Path, *, sealed_rows: int = 16, slice_rows: int = 7) -> None:
        self._folder = folder
        self._sealed_rows = sealed_rows
        self._slice_rows = slice_rows
        self.clock = ManualClock()
        # The same ids in every world: what is drawn from events must not depend on chance.
        self._urandom = os.urandom
        os.urandom = random.Random(7).randbytes  # noqa: S311  # test data, the same in every run
        self.store = open_sqlite(folder / "ledger.db")
        self.recorder = Recorder(self.store, KEY, self.clock)
        self.documents: dict[tuple[str, str], tuple[int, bool]] = {}
        self._views_folder = folder / "views"
        self._views_folder.mkdir()
        self._open()
        self.reader = IndexReader(self.store, rules(), self)

    def append(self, *drafts: Draft) -> list[int]:
        """Store drafts and return their indexes."""
        accepted = self.recorder.append(TENANT, *drafts)
        for draft, place in zip(drafts, accepted, strict=True):
            if draft.op is Op.DOCUMENT and draft.target is not None:
                self.documents[draft.target.key] = (place.index, draft.kind == ITEM_PUT)
        return [place.index for place in accepted]

    def change(self, op: Op, index: int, data: dict[str, Any]) -> None:
        """Revise or retract an event."""
        event = self.events()[index]
        if event.op is Op.RECORD:
            original = {"revision": index}
            self.append(
                Draft(kind=event.kind, op=op, subject=event.id, data=data, original=original)
            )

    def erase(self, index: int, sections: tuple[str, ...]) -> None:
        """Destroy sections of an entry."""
        told = {"entries": [{"index": index, "sections": sections}]}
        draft = Draft(kind="erase", op=Op.ERASE, data=told)
        self.recorder.append(TENANT, draft, erasures=[Erasure(index, sections)])

    def events(self) -> list[Event]:
        """Return every entry as recorded."""
        return [view.first for view in self.model().views]

    def size(self) -> int:
        """Return how many entries the log has."""
        head = self.store.log_head(TENANT)
        return 0 if head is None else head.size

    def model(self) -> Model:
        """Return what the indexes should say now."""
        rows = self.store.rows(TENANT, 0, self.size())
        return Model(views_of(self.store, TENANT, rows), self.documents)

    def follow(self) -> None:
        """Let the lists catch up, and tidy up all there is."""
        self.wait("views", TENANT)
        while self.writer.tidy():
            pass

    def reopen(self) -> None:
        """Open the lists again, as after a restart."""
        self.writer.close()
        self._views.close()
        self._open()

    def rebuilt(self) -> World:
        """Return a world with the same log and lists made from the beginning."""
        twin = World.__new__(World)
        twin.__dict__.update(self.__dict__)
        twin._views_folder = Path(tempfile.mkdtemp(dir=self._folder))
        twin._open()
        twin.reader = IndexReader(self.store, rules(), twin)
        return twin

    def close(self) -> None:
        """Release everything."""
        os.urandom = self._urandom
        self.recorder.close()
        self.writer.close()
        self._views.close()
        self.store.close()

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.close()

    # What the reader asks for

    def wait(
        self, follower: str, tenant: str, dialect: str | None = None, *, within: int = 0
    ) -> int:
        """Take in the log, in small slices."""
        assert follower == "views", "this world has lists only"
        self.following.learn_heads([(tenant, self.size())])
        self.following.catch_up()
        return self.size()

    def views(self) -> ViewsReader:
        """Return the lists."""
        return self._views

    def reader_of(self, follower: str) -> ViewsReader:
        """Return the lists; refuse what this world does not have."""
        assert follower == "views", "not a question for lists"
        return self._views

    def _open(self) -> None:
        self.writer = ViewsWriter(
            self._views_folder,
            self.store,
            rules(),
            sealed_rows=self._sealed_rows,
            merged_blocks=3,
            purge_after_s=0.0,
        )
        self.following = Following(self.store, self.writer, slice_rows=self._slice_rows)
        self._views = ViewsReader(self._views_folder)


class Model:
    """What every index says, from a plain list of all views."""

    def __init__(
        self, views: Sequence[View], documents: Mapping[tuple[str, str], tuple[int, bool]]
    ) -> None:
        self.views = views
        self._live = {
            index
            for index, put in documents.values()
            if put and index < len(views) and views[index].first.target is not None
        }
        self._documents = documents

    def seen(self, view: View) -> list[str]:
        """Return who sees a view."""
        if view.first.op is Op.DOCUMENT:
            return ["item"] if view.index in self._live else []
        if view.first.op is not Op.RECORD:
            return []
        return [name for name, rule in rules().items() if rule.shows(view)]

    def derived(self, view: View) -> Terms:
        """Return what the dialects that see a view derive from it."""
        uuid = str(ids.tenant_uuid(TENANT))
        return {
            f"{name}.{term}": value
            for seen in self.seen(view)
            for name in [view.first.dialect if seen == "item" else seen]
            for term, value in rules()[name].derived(view, uuid).items()
        }

    def find(self, question: Find) -> list[int]:
        """Return the indexes of everything that a question matches, in its order."""
        names = {
            Over.EVENTS: {question.dialect},
            Over.ITEMS: {"item"},
            Over.BOTH: {question.dialect, "item"},
            Over.LOG: None,
        }[question.over]
        found = [
            view
            for view in self.views
            if (names is None or names.intersection(self.seen(view)))
            and matches(question.where, view, self.derived(view))
        ]
        return [view.index for view in sort_views(found, question.sort, terms=self.derived)]

    def resources(self) -> dict[tuple[str, str], ResourceSummary]:
        """Return what is known of every resource."""
        keys = {resource.key for view in self.views for resource, _ in _mentions(view.event)}
        return {key: self._summary(key) for key in keys}

    def _summary(self, key: tuple[str, str]) -> ResourceSummary:
        name: str | None = None
        parents: tuple[tuple[str, str], ...] = ()
        sighted: list[View] = []
        for view in sorted(self.views, key=lambda view: (view.first.occurred_ms, view.index)):
            for resource, inside in _mentions(view.event):
                if resource.key == key:
                    name = name if resource.name is None else resource.name
                    parents = inside or parents
                    if not view.retracted and view not in sighted[-1:]:
                        sighted.append(view)
        times = [view.first.occurred_ms for view in sighted]
        index, _ = self._documents.get(key, (-1, False))
        return ResourceSummary(
            type=key[0],
            id=key[1],
            name=name,
            document=index if index in self._live else None,
            parents=parents,
            first_ms=min(times, default=0),
            last_ms=max(times, default=0),
            last_index=max((view.index for view in sighted), default=0),
            count=len(sighted),
        )


def _mentions(event: Event) -> list[tuple[Resource, tuple[tuple[str, str], ...]]]:
    if event.op not in (Op.RECORD, Op.DOCUMENT):
        return []
    scopes = tuple(scope.key for scope in event.scopes)
    target = [] if event.target is None else [(event.target, scopes)]
    actor = [] if event.actor is None else [(event.actor, ())]
    return [*target, *actor, *((scope, scopes[:at]) for at, scope in enumerate(event.scopes))]
