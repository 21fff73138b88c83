"""Generated events with the shapes and the skew of the real ones.

Every real record is a mold: its kind, resources and payload are kept, the payload cut down so that
events have the wanted mean size. What identifies things in it (UUIDs, digests, numbers, addresses)
is drawn anew for every event, and so are some words of its sentences, frequent ones most often.
Actors, targets and scopes are each a crowd with a few busy members. The n-th event is always the
same one.
"""

from __future__ import annotations

import json
import os
import random
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tallystick.events.event import Draft, Resource
from tallystick.imports import cloudtrail, github

MEAN_BYTES = 640
CHUNK = 10_000
START_MS = 1_700_000_000_000
STEP_MS = 1_000

Json = dict[str, Any]

_LATE_SHARE = 0.01
_LATE_MS = 7 * 24 * 3600 * 1000
_JITTER_MS = 5 * STEP_MS
_WORD_SHARE = 0.3
_SENTENCE_WORDS = 4
_ACTORS, _TARGETS, _SCOPES = (1.0, 20_000), (0.5, 200_000), (0.7, 500)
_TOLD_ELSEWHERE = frozenset(
    {
        "userIdentity", "eventTime", "eventSource", "eventName", "awsRegion", "eventID",
        "recipientAccountId", "resources", "repository", "organization", "installation", "sender",
    }
)  # fmt: skip
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_DRAWN = re.compile(
    rf"(?P<uuid>{_UUID})|(?P<hex>[0-9a-f]{{12,}})|(?P<address>\b\d+\.\d+\.\d+\.\d+\b)"
    r"|(?P<digits>\d{6,})|(?P<number>(?<=:)\d{2,5}(?=[,}\]]))"
)
_WORD = re.compile(r"(?<![\\\w])[A-Za-z]{3,}\b")
_SENTENCE = re.compile(r'"(?:[^"\\ ]+ ){3,}[^"\\]+"')


class Mold(NamedTuple):
    """A real record: what is kept, and the payload as JSON text between what is drawn."""

    kind: str
    actor: Resource | None
    target: Resource | None
    scopes: tuple[Resource, ...]
    pieces: tuple[str, ...]
    drawn: tuple[Callable[[random.Random], str], ...]
    bytes: int


class Event(NamedTuple):
    """A generated event: its payload as JSON text, for whoever sends it or stores it."""

    kind: str
    occurred_ms: int
    actor: Resource | None
    target: Resource | None
    scopes: tuple[Resource, ...]
    data: str

    def draft(self) -> Draft:
        """Return the event as the ledger takes it."""
        return Draft(
            kind=self.kind,
            occurred_ms=self.occurred_ms,
            actor=self.actor,
            target=self.target,
            scopes=self.scopes,
            data=json.loads(self.data),
        )

    def body(self, *, dated: bool = True) -> str:
        """Return the event as the native API takes it; one without a date happens now."""
        told: Json = {"kind": self.kind}
        if dated:
            told["occurred_at"] = self.occurred_ms
        for name, resource in (("actor", self.actor), ("target", self.target)):
            if resource is not None:
                told[name] = _told(resource)
        told["scopes"] = [_told(scope) for scope in self.scopes]
        return f'{_compact(told)[:-1]},"data":{self.data}}}'


class Generator:
    """Makes events after the records in a folder of real data."""

    def __init__(self, data: Path) -> None:
        records = list(_records(data))
        words = Counter(
            word
            for _, text in _payloads(records)
            for sentence in _SENTENCE.findall(text)
            for word in _WORD.findall(sentence)
        )
        self._words: list[str] = [word for word, _ in words.most_common()]
        self._molds = self._cut(records)

    def events(self, first: int, count: int) -> Iterator[Event]:
        """Yield `count` events from the one numbered `first` on, a multiple of `CHUNK`."""
        for chunk in range(first // CHUNK, -(-(first + count) // CHUNK)):
            chance = random.Random(f"tallystick {chunk}")  # noqa: S311  # the same every time
            start = chunk * CHUNK
            for number in range(start, min(start + CHUNK, first + count)):
                yield self._event(chance, number)

    def _event(self, chance: random.Random, number: int) -> Event:
        mold = chance.choice(self._molds)
        ms = START_MS + number * STEP_MS - chance.randrange(_JITTER_MS)
        if chance.random() < _LATE_SHARE:
            ms -= chance.randrange(_LATE_MS)
        parts = [mold.pieces[0]]
        for draw, piece in zip(mold.drawn, mold.pieces[1:], strict=True):
            parts.append(draw(chance))
            parts.append(piece)
        return Event(
            mold.kind,
            ms,
            _member(chance, mold.actor, _ACTORS),
            _member(chance, mold.target, _TARGETS),
            tuple(filter(None, (_member(chance, scope, _SCOPES) for scope in mold.scopes))),
            "".join(parts),
        )

    def _cut(self, records: list[Json]) -> list[Mold]:
        """Return molds of the wanted mean size: each record gives up the same share."""
        low, high = 0.1, 0.5
        for _ in range(8):
            share = (low + high) / 2
            molds = [self._mold(record, share) for record in records]
            if sum(mold.bytes for mold in molds) > MEAN_BYTES * len(molds):
                high = share
            else:
                low = share
        return molds

    def _mold(self, record: Json, share: float) -> Mold:
        data = {name: v for name, v in record["data"].items() if name not in _TOLD_ELSEWHERE}
        text = _compact(_trimmed(data, int(share * len(_compact(record)))))
        pieces, drawn = self._slots(text)
        actor, target = (_resource(record.get(role)) for role in ("actor", "target"))
        scopes = tuple(filter(None, map(_resource, record["scopes"])))
        mold = Mold(record["kind"], actor, target, scopes, pieces, drawn, 0)
        body = Event(mold.kind, START_MS, actor, target, scopes, text).body()
        return mold._replace(bytes=len(body.encode()))

    def _slots(
        self, text: str
    ) -> tuple[tuple[str, ...], tuple[Callable[[random.Random], str], ...]]:
        found: list[tuple[int, int, Callable[[random.Random], str]]] = [
            (match.start(), match.end(), _draw(match)) for match in _DRAWN.finditer(text)
        ]
        for sentence in _SENTENCE.finditer(text):
            for word in _WORD.finditer(text, *sentence.span()):
                found.append((word.start(), word.end(), self._draw_word(word.group())))
        found.sort(key=lambda slot: slot[:2])
        pieces: list[str] = []
        drawn: list[Callable[[random.Random], str]] = []
        at = 0
        for start, end, draw in found:
            if start >= at:
                pieces.append(text[at:start])
                drawn.append(draw)
                at = end
        return (*pieces, text[at:]), tuple(drawn)

    def _draw_word(self, word: str) -> Callable[[random.Random], str]:
        words = self._words

        def draw(chance: random.Random) -> str:
            if chance.random() > _WORD_SHARE:
                return word
            rank: float = len(words) ** chance.random()
            return words[int(rank) - 1]

        return draw


def data_folder() -> Path:
    """Return the folder of real data that tests use too."""
    shared = os.environ.get("TALLYSTICK_TEST_DATA")
    root = Path(__file__).resolve().parents[2]
    return (Path(shared) if shared else root.parent / "shared") / "data"


def _records(folder: Path) -> Iterator[Json]:
    trail = sorted((folder / "aws-cloudtrail-invictus" / "CloudTrail").glob("*.json"))
    for path in trail:
        yield from map(cloudtrail.to_event, json.loads(path.read_bytes())["Records"])
    for path in sorted((folder / "github-webhooks-octokit").rglob("*.payload.json")):
        yield github.to_event(path.parent.name, json.loads(path.read_bytes()))
    if not trail:
        raise SystemExit(f"{folder} has no real data; TALLYSTICK_TEST_DATA names another place")


def _payloads(records: list[Json]) -> Iterator[tuple[str, str]]:
    for record in records:
        yield record["kind"], _compact(record["data"])


def _trimmed(value: Json, budget: int) -> Json:
    """Return the members of an object, in order, that fit into some bytes of JSON."""
    kept: Json = {}
    for name, member in value.items():
        left = budget - len(name) - 4
        whole = len(_compact(member))
        if whole <= left:
            kept[name] = member
        elif isinstance(member, dict) and left > 30:
            kept[name] = member = _trimmed(member, left)
            whole = len(_compact(member))
        elif isinstance(member, str) and left > 30:
            kept[name] = member = member[: left - 2]
            whole = left
        else:
            continue
        budget = left - whole
    return kept


def _draw(match: re.Match[str]) -> Callable[[random.Random], str]:
    kind, text = match.lastgroup, match.group()
    if kind == "uuid":
        return lambda chance: str(uuid.UUID(int=chance.getrandbits(128)))
    if kind == "hex":
        return lambda chance: f"{chance.getrandbits(4 * len(text)):0{len(text)}x}"
    if kind == "address":
        return lambda chance: f"192.168.{chance.randrange(256)}.{chance.randrange(256)}"
    low = 10 ** (len(text) - 1)
    if kind == "digits":
        return lambda chance: str(chance.randrange(low, 10 * low))
    return lambda chance: str(int(int(text) * 10 ** chance.uniform(-1, 1)))


def _resource(told: Mapping[str, Any] | None) -> Resource | None:
    return None if told is None else Resource(told["type"], told["id"], told.get("name"))


def _member(
    chance: random.Random, resource: Resource | None, crowd: tuple[float, int]
) -> Resource | None:
    """Return one of the crowd that a real resource stands for: the lower its number, the busier."""
    if resource is None:
        return None
    skew, size = crowd
    number = min(int(chance.paretovariate(skew)), size)
    return Resource(resource.type, f"{resource.id}-{number}", resource.name)


def _told(resource: Resource) -> Json:
    told = {"type": resource.type, "id": resource.id}
    return told if resource.name is None else {**told, "name": resource.name}


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
