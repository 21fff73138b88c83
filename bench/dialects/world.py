"""A tenant with events of all five dialects, and everybody who asks about them.

Of twenty events seven are acts on files in 10,000 workspaces, five are business events, four are a
platform's audit events, two belong to a series under a key and two to trails. Actors and targets
are named, so that most events are shown by several dialects: DataTrails shows all of them, Cloud
Foundry all but those of Orchestrate and DataTrails. Half a minute lies between two events, and
they come in somewhat out of order.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path

from bench.servers import KEY
from tallystick.clock import ManualClock
from tallystick.dialects.kvass.kinds import KINDS
from tallystick.events.event import Draft, Resource
from tallystick.identity import acts, credentials
from tallystick.identity.access import Grant, Scope
from tallystick.identity.records import ClientSecret, OAuthClient, User
from tallystick.node.node import Node, open_node
from tallystick.settings import Settings

TENANT = "bench"
PASSWORD = "a password of the bench"  # noqa: S105  # of a user who reads made-up events
PLATFORM_ADMIN, SPACE_AUDITOR = "platform-admin", "space-auditor"

WORKSPACES, READ_WORKSPACES = 10_000, 20
READERS = [f"reader-{n}" for n in range(8)]
SPACES = [str(uuid.UUID(int=0x5 << 120 | n)) for n in range(2_000)]
ORGANIZATIONS = [str(uuid.UUID(int=0x7 << 120 | n)) for n in range(200)]
COLLECTION, SERIES = "visitors", ("visit", "comment")
KEYS = 5_000
EVENT_TYPES = [f"Inspection {n}" for n in range(40)]
TRAILS = 3_000

VERBS = ("read", "read", "read", "download", "upload", "update", "delete")
AUDITED = (
    "audit.app.update", "audit.app.update", "audit.app.update", "audit.app.create",
    "audit.app.delete-request", "app.crash", "audit.space.create", "audit.space.update",
)  # fmt: skip

START_MS = 1_700_000_000_000
STEP_MS = 30_000

_LATE_MS = 120_000
_USERS = 2_000
_BATCH = 1_000
_FILLED = "filled-by-bench"
_KINDS = sorted(KINDS)

Maker = Callable[[random.Random, int], Draft]


def drafts(seed: int = 1) -> Iterator[Draft]:
    """Yield events, for ever."""
    dice = random.Random(seed)  # noqa: S311  # the same events every time
    shares: list[tuple[Maker, int]] = [
        (_shared, 7), (_business, 5), (_audited, 4), (_series, 2), (_trail, 2)
    ]  # fmt: skip
    makers = [maker for maker, share in shares for _ in range(share)]
    for n in count():
        yield dice.choice(makers)(dice, START_MS + n * STEP_MS - dice.randrange(_LATE_MS))


def series_key(dice: random.Random) -> str:
    """Return a key as often as it has events: a few have very many."""
    return f"k{int(dice.paretovariate(0.5)) % KEYS}"


def workspaces_of(reader: int) -> list[int]:
    """Return the workspaces that a reader has a role in."""
    return [(reader * 997 + n * 17) % WORKSPACES for n in range(READ_WORKSPACES)]


def filled(folder: Path, events: int) -> None:
    """Make a folder with so many events, unless it is one already.

    Raises: SystemExit for a folder that holds anything else.
    """
    mark = folder / _FILLED
    if mark.exists():
        if mark.read_text() != str(events):
            raise SystemExit(f"{folder} holds {mark.read_text()} events, not {events}")
        return
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} was not filled by this bench")
    clock = ManualClock(START_MS)
    node = open_node(folder, Settings(), followers=False, clock=clock)
    try:
        people(node)
        source, started_s = drafts(), time.perf_counter()
        for first in range(0, events, _BATCH):
            clock.set(START_MS + first * STEP_MS)
            node.ledger.append(TENANT, list(islice(source, min(_BATCH, events - first))))
        rate = events / (time.perf_counter() - started_s)
    finally:
        node.close()
    mark.write_text(str(events))
    print(f"{events:,} events stored, {rate:,.0f} a second")


def people(node: Node) -> None:
    """Make the tenant, its programs, and the users who read."""
    account(node)
    for user in _users(node.clock.now_ms()):
        node.ledger.administer(TENANT, acts.create_user(user))


def account(node: Node, number: int = 0) -> None:
    """Make a tenant with a program's key and an application; the first is `TENANT`."""
    tenant, now_ms = TENANT if number == 0 else f"{TENANT}-{number}", node.clock.now_ms()
    _, act = acts.create_tenant(tenant, server_name="localhost", now_ms=now_ms)
    node.ledger.administer(tenant, act)
    if number == 0:
        scopes = (Scope.ADMIN,)
        _, _, act = acts.create_key(tenant, scopes, now_ms=now_ms, secret=KEY, service=True)
        node.ledger.administer(tenant, act)
    application = OAuthClient(
        id=application_id(number),
        tenant=tenant,
        created_ms=now_ms,
        name="bench",
        scopes=("read", "write"),
        secrets=(ClientSecret(credentials.digest_of_secret(KEY), now_ms),),
        attributes={"dialect": "datatrails"},
    )
    node.ledger.administer(tenant, acts.create_client(application))


def application_id(number: int) -> str:
    """Return the id of a tenant's application."""
    return str(uuid.UUID(int=0xA << 120 | number))


def _users(now_ms: int) -> Iterator[User]:
    grants = {
        PLATFORM_ADMIN: (Grant("tenant:*", "admin"),),
        SPACE_AUDITOR: tuple(Grant(f"space:{space}", "space_auditor") for space in SPACES[:20]),
    }
    for n, login in enumerate(READERS):
        grants[login] = tuple(Grant(f"workspace:{id}", "Viewer") for id in workspaces_of(n))
    password = credentials.hash_password(PASSWORD)
    for n, (login, granted) in enumerate(grants.items()):
        yield User(
            id=str(n),
            tenant=TENANT,
            created_ms=now_ms,
            login=login,
            password=password,
            grants=granted,
        )


def _user(dice: random.Random) -> Resource:
    id = dice.randrange(_USERS)
    return Resource("user", str(id), f"User {id}")


def _shared(dice: random.Random, at_ms: int) -> Draft:
    workspace, file = dice.randrange(WORKSPACES), dice.randrange(200_000)
    return Draft(
        kind=f"file.{dice.choice(VERBS)}",
        occurred_ms=at_ms,
        actor=_user(dice),
        target=Resource("file", str(file), f"report-{file}.pdf"),
        scopes=(Resource("workspace", str(workspace), f"Workspace {workspace}"),),
        data={"size": dice.randrange(10_000_000)},
        dialect="onehub",
    )


def _business(dice: random.Random, at_ms: int) -> Draft:
    kind = dice.choice(_KINDS)
    name, object_id = kind.partition(".")[0], f"{dice.randrange(100_000):024x}"
    previous = {"total_amount": 1.5, "note": "before"} if kind.endswith(".updated") else None
    return Draft(
        kind=kind,
        occurred_ms=at_ms,
        actor=_user(dice),
        target=Resource(name, object_id, f"{name} {object_id[-6:]}"),
        data={
            "_id": {"$oid": object_id},
            "created": {"$date": at_ms},
            "total_amount": dice.random() * 1000,
            "note": _text(dice, 100),
            "lines": [{"sku": dice.randrange(999), "quantity": dice.randrange(9)}] * 2,
        },
        previous=previous,
        dialect="kvass",
    )


def _audited(dice: random.Random, at_ms: int) -> Draft:
    app, space = dice.randrange(20_000), dice.randrange(len(SPACES))
    return Draft(
        kind=dice.choice(AUDITED),
        occurred_ms=at_ms,
        actor=_user(dice),
        target=Resource("app", str(uuid.UUID(int=0x3 << 120 | app)), f"app-{app}"),
        scopes=(
            Resource("space", SPACES[space], f"space-{space}"),
            Resource("organization", ORGANIZATIONS[space % 200], f"org-{space % 200}"),
        ),
        data={"request": {"name": f"app-{app}", "instances": 2, "memory": 1024, "state": "x"}},
        dialect="cloudfoundry",
    )


def _series(dice: random.Random, at_ms: int) -> Draft:
    return Draft(
        kind=dice.choice(SERIES),
        occurred_ms=at_ms,
        target=Resource(COLLECTION, series_key(dice)),
        data={"page": dice.randrange(500), "seconds": dice.random() * 90, "text": _text(dice, 200)},
        dialect="orchestrate",
    )


def _trail(dice: random.Random, at_ms: int) -> Draft:
    return Draft(
        kind=dice.choice(EVENT_TYPES),
        actor=Resource("application", application_id(0), "bench"),
        trails=(f"trail-{dice.randrange(TRAILS)}", f"site-{dice.randrange(30)}"),
        data={"inspector": f"Inspector {dice.randrange(50)}", "note": {"text": _text(dice, 150)}},
        dialect="datatrails",
    )


def _text(dice: random.Random, length: int) -> str:
    return "".join(dice.choices("abcdefghij klmno", k=length))
