"""Records compared with the acts that made them: sessions, whose damage must give no rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tallystick import data_folder
from tallystick.errors import StoreCorrupt, Unauthenticated
from tallystick.events.event import Event, Op
from tallystick.identity import acts
from tallystick.identity.records import Session, decode
from tallystick.identity.replay import IdentityReplay, identity_differences
from tallystick.identity.tokens import Issued
from tallystick.store.base import IdentityRow
from tests.support.live_server import TENANT, LiveServer, open_server

SESSION = Session(id="s1", tenant=TENANT, user="481", turn=1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with open_server(tmp_path / "data") as live:
        live.create_user(TENANT, "481", login="matt")
        yield live


def entry(index: int, act: acts.Act) -> Event:
    """Return the entry that records an act."""
    draft = act.draft
    return Event(
        tenant=TENANT, index=index, id=str(index), kind=draft.kind, op=Op.SYSTEM,
        target=draft.target, occurred_ms=1, recorded_ms=1, dialect="native", data=draft.data,
    )  # fmt: skip


def found(*done: acts.Act, stored: IdentityRow | None) -> list[str]:
    """Return what is wrong with a record after these acts."""
    replay = IdentityReplay(TENANT)
    for index, act in enumerate(done):
        replay.apply(entry(index, act))
    return [each.what for each in replay.differences([] if stored is None else [stored])]


def row(act: acts.Act) -> IdentityRow:
    doc = act.writes[0].doc
    assert doc is not None
    return IdentityRow(TENANT, "session", SESSION.id, doc)


def test_refreshed_and_ended_sessions_are_as_the_log_records() -> None:
    refreshed, ended = acts.continue_session(SESSION), acts.end_session(SESSION, 5)
    assert found(refreshed, stored=row(refreshed)) == []
    assert found(refreshed, ended, stored=row(ended)) == []


def test_sessions_that_were_edited_or_deleted_are_found() -> None:
    refreshed, ended = acts.continue_session(SESSION), acts.end_session(SESSION, 5)
    assert found(refreshed, ended, stored=row(refreshed)) == [
        "its ended is False, and True by entry 1"
    ]
    assert found(refreshed, ended, stored=None) == ["it is gone, though entry 1 tells of it"]
    assert found(stored=row(refreshed)) == ["no entry of the log tells of it"]


def logged_in(server: LiveServer) -> Issued:
    user = server.user(TENANT, "481")
    return server.node.issuer.issue_for_user(user, client="cf", scopes=("cloud_controller.read",))


def end(server: LiveServer, token: Issued) -> None:
    """Use a refresh token again after its successor, which ends its session."""
    form = {"grant_type": "refresh_token", "client_id": "cf"}
    with server.plain_http() as http:
        shown = token.refresh_token
        for _ in range(2):
            answer = http.post("/oauth/token", data={**form, "refresh_token": shown})
            shown = answer.json()["refresh_token"]
        again = http.post("/oauth/token", data={**form, "refresh_token": token.refresh_token})
        assert again.status_code == 401


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE identity "
        "SET doc = CAST(replace(CAST(doc AS TEXT), ',\"ended\":true', '') AS BLOB) "
        "WHERE kind = 'session'",
        "DELETE FROM identity WHERE kind = 'session'",
    ],
)
def test_a_session_that_was_ended_gives_no_rights_once_its_record_is_damaged(
    server: LiveServer, damage: str
) -> None:
    node, token = server.node, logged_in(server)
    end(server, token)
    size = node.store.log_heads()[0].size
    assert identity_differences(node.store, TENANT, size) == []
    connection = apsw.Connection(str(node.folder / data_folder.LEDGER_FILE))
    kept = connection.execute("SELECT * FROM identity WHERE kind = 'session'").fetchall()
    connection.execute(damage)
    assert connection.changes() == 1
    differences = identity_differences(node.store, TENANT, size)
    assert [each.kind for each in differences] == ["session"]
    node.identity.distrust((each.tenant, each.kind, each.id) for each in differences)
    with pytest.raises(Unauthenticated, match="session"):
        node.issuer.bearer(token.access_token)
    assert token.refresh_token is not None
    with pytest.raises(Unauthenticated, match="session"):
        node.issuer.refreshed(token.refresh_token, client="cf")
    # The server is checked once it has stopped.
    connection.executemany("INSERT OR REPLACE INTO identity VALUES (?, ?, ?, ?)", kept)
    connection.close()


@pytest.mark.parametrize("doc", [b"", b"{", b"[]", b'{"id":"\xeb"}', b"\xff"])
def test_a_record_that_is_no_json_is_named(doc: bytes) -> None:
    refreshed = acts.continue_session(SESSION)
    stored = IdentityRow(TENANT, "session", SESSION.id, doc)
    assert found(refreshed, stored=stored) == ["it does not decode"]
    with pytest.raises(StoreCorrupt, match="a session on record does not decode"):
        decode(doc, Session)
