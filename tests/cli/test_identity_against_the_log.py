"""Records of identity that were changed behind the program's back: `fsck` and the server say so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import apsw
import psycopg
import pytest

from tallystick.identity.access import Scope
from tests.cli.program import run
from tests.support.live_server import LiveServer, open_server

PLANTED = "tlk_planted-by-somebody-else"
_INSERT_LOOKUP = (
    "INSERT INTO lookups (tenant, namespace, text, owner, kind, id) VALUES ('', ?, ?, ?, ?, ?)"
)
PLACES = ["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))]


class Place:
    """A stopped store with some of everything, and a way to its identity records."""

    def __init__(self, folder: Path, database: str | None) -> None:
        self.folder = folder
        self.database = database
        self.read_key = self.admin_key = self.event = ""

    @property
    def options(self) -> list[str]:
        more = [] if self.database is None else ["--database", self.database]
        return ["--data", str(self.folder), *more]

    def run(self, statement: str, *values: str | bytes) -> None:
        """Run a statement written with `?`; texts are bytes where the store keeps them so."""
        if self.database is None:
            connection = apsw.Connection(str(self.folder / "ledger.db"))
            connection.execute(statement, values)
            assert connection.changes() > 0
            connection.close()
            return
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        with psycopg.connect(self.database) as connection_:
            cursor = connection_.execute(statement.replace("?", "%s").encode(), encoded)
            assert cursor.rowcount > 0

    def edit(self, kind: str, id: str, **changes: object) -> None:
        """Change members of a record."""
        with self.opened() as server:
            row = server.node.store.identity("default", kind, id)
        assert row is not None
        doc = json.dumps(json.loads(row.doc) | changes).encode()
        self.run("UPDATE identity SET doc = ? WHERE kind = ? AND id = ?", doc, kind, id)

    def opened(self) -> AbstractContextManager[LiveServer]:
        """Serve the store as it is."""
        return open_server(self.folder, tenant=None, checked=False, database=self.database)

    def id_of_key(self, scope: str) -> str:
        """Return the id of the key that has a scope."""
        with self.opened() as server:
            rows = server.node.store.identities("default", "key")
            return next(row.id for row in rows if scope in json.loads(row.doc)["scopes"])


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    sqlite = request.param == "sqlite"
    database = None if sqlite else request.getfixturevalue("postgres_database")
    place = Place(tmp_path / "data", database)
    with open_server(place.folder, database=database) as server:
        place.admin_key = server.admin_key
        place.read_key = server.create_key("default", (Scope.READ,), label="auditor")
        fill(place, server)
    assert "clean" in run("fsck", *place.options).stdout
    return place


def fill(place: Place, server: LiveServer) -> None:
    base = "/v1/admin/tenants/default"
    with server.http() as http:
        for path, body in (
            (f"{base}/users", {"id": "matt", "login": "matt", "name": "Matt"}),
            (f"{base}/users/matt/grants", {"scope": "workspace:1", "role": "Viewer"}),
            (f"{base}/holds", {"id": "h", "query": "kind:held", "reason": "Smith v. Acme"}),
        ):
            answer = http.post(path, json=body)
            assert answer.status_code == 201, answer.text
        place.event = http.post("/v1/events", json={"kind": "held"}).json()["id"]


def widen_a_key(place: Place) -> None:
    place.edit("key", place.id_of_key("read"), scopes=["admin"])


def plant_a_key(place: Place) -> None:
    digest = hashlib.sha256(PLANTED.encode()).hexdigest()
    key = {"id": "bad", "tenant": "default", "digest": digest, "scopes": ["admin"]}
    doc = json.dumps(key | {"created_ms": 1}).encode()
    place.run("INSERT INTO identity (tenant, kind, id, doc) VALUES (?, ?, ?, ?)",
              "default", "key", "bad", doc)  # fmt: skip
    if place.database is None:
        place.run("INSERT INTO lookups (namespace, text, tenant, kind, id) VALUES (?, ?, ?, ?, ?)",
                  "key", digest, "default", "key", "bad")  # fmt: skip
    else:
        place.run(_INSERT_LOOKUP, "key", digest, "default", "key", "bad")


def delete_all_keys(place: Place) -> None:
    place.run("DELETE FROM identity WHERE kind = ?", "key")
    place.run("DELETE FROM lookups WHERE kind = ?", "key")


def delete_the_hold(place: Place) -> None:
    place.run("DELETE FROM identity WHERE kind = ?", "hold")


def lift_the_hold(place: Place) -> None:
    place.edit("hold", "h", lifted_ms=1)


def narrow_the_hold(place: Place) -> None:
    place.edit("hold", "h", query="kind:nothing")


def raise_a_grant(place: Place) -> None:
    place.edit("user", "matt", grants=[{"scope": "tenant:*", "role": "admin"}])


def rename_a_user(place: Place) -> None:
    place.edit("user", "matt", email="thief@example.com")


def close_the_log(place: Place) -> None:
    place.edit("tenant", "default", public_log=False)


CHANGES: list[tuple[Callable[[Place], None], str]] = [
    (widen_a_key, "its scopes is ['admin'], and ['read'] by entry"),
    (plant_a_key, "key 'bad': no entry of the log tells of it"),
    (delete_all_keys, "it is gone, though entry"),
    (delete_the_hold, "hold 'h': it is gone, though entry"),
    (lift_the_hold, "hold 'h': its lifted is True, and False by entry"),
    (narrow_the_hold, "hold 'h': its query is 'kind:nothing', and 'kind:held' by entry"),
    (raise_a_grant, "user 'matt': its grants is"),
    (rename_a_user, "user 'matt': its email is 'thief@example.com', and None by entry"),
    (close_the_log, "tenant 'default': its public_log is False, and True by entry"),
]


@pytest.mark.parametrize(("change", "named"), CHANGES, ids=lambda v: getattr(v, "__name__", ""))
def test_changed_identity_is_named(
    place: Place, change: Callable[[Place], None], named: str
) -> None:
    change(place)
    found = run("fsck", *place.options, code=3).stdout
    assert named in found
    with place.opened() as server, server.plain_http() as http:
        ready = http.get("/readyz")
        assert ready.status_code == 503
        assert any(named in reason for reason in ready.json()["reasons"])


@pytest.mark.parametrize("change", [delete_the_hold, lift_the_hold, narrow_the_hold])
def test_nothing_is_taken_away_while_holds_contradict_the_log(
    place: Place, change: Callable[[Place], None]
) -> None:
    change(place)
    with place.opened() as server, server.http(place.admin_key) as http:
        answer = http.post(f"/v1/events/{place.event}/retract", json={})
        assert (answer.status_code, "nothing is taken away" in answer.text) == (503, True)
        assert http.get(f"/v1/events/{place.event}").status_code == 200
        # Whatever only adds goes on.
        assert http.post("/v1/events", json={"kind": "more"}).status_code == 201


def test_hold_that_is_deleted_while_serving_is_noticed(place: Place) -> None:
    with place.opened() as server, server.http(place.admin_key) as http:
        assert http.post(f"/v1/events/{place.event}/retract", json={}).status_code == 409
        delete_the_hold(place)
        assert http.post(f"/v1/events/{place.event}/retract", json={}).status_code == 503


def test_planted_and_widened_keys_are_of_no_use(place: Place) -> None:
    plant_a_key(place)
    widen_a_key(place)
    with place.opened() as server:
        for key in (PLANTED, place.read_key):
            with server.http(key) as http:
                assert http.get("/v1/events").status_code == 401
        with server.http(place.admin_key) as http:
            assert http.post("/v1/events", json={"kind": "more"}).status_code == 201


def test_revoked_key_that_is_made_valid_again_is_of_no_use(place: Place) -> None:
    id = place.id_of_key("read")
    with place.opened() as server, server.http(place.admin_key) as http:
        assert http.delete(f"/v1/admin/tenants/default/keys/{id}").status_code in (200, 204)
    place.edit("key", id, revoked_ms=None)
    assert "its revoked is False, and True by entry" in run("fsck", *place.options, code=3).stdout
    with place.opened() as server, server.http(place.read_key) as http:
        assert http.get("/v1/events").status_code == 401
