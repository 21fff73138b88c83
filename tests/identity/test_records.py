"""Identity: what was changed while it was read is not remembered as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.identity.records import ApiKey, User
from tallystick.store.base import IdentityRow
from tests.support.live_server import TENANT, LiveServer, open_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with open_server(tmp_path) as live:
        yield live


def test_a_record_changed_while_it_is_read_is_read_again(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = server.create_user(TENANT, "481")
    identity, store = server.node.identity, server.node.store
    identity.changed()
    read = store.identity

    def shut_out_meanwhile(tenant: str, kind: str, id: str) -> IdentityRow | None:
        row = read(tenant, kind, id)
        monkeypatch.undo()
        changed = msgspec.structs.replace(user, disabled=True)
        server.change(User, TENANT, "481", lambda user: acts.change_user(user, changed))
        return row

    monkeypatch.setattr(store, "identity", shut_out_meanwhile)
    identity.get(User, TENANT, "481")
    found = identity.get(User, TENANT, "481")
    assert found is not None
    assert found.disabled


def test_a_key_revoked_while_it_is_looked_up_is_of_no_use(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = server.create_key(TENANT, (Scope.READ,))
    identity, store = server.node.identity, server.node.store
    [key] = [key for key in identity.list(ApiKey, TENANT) if key.scopes == (Scope.READ,)]
    find = store.find_identity

    def revoke_meanwhile(namespace: str, text: str) -> IdentityRow | None:
        row = find(namespace, text)
        monkeypatch.undo()
        server.change(ApiKey, TENANT, key.id, lambda key: acts.revoke_key(key, now_ms=1))
        return row

    monkeypatch.setattr(store, "find_identity", revoke_meanwhile)
    identity.principal_of_key(secret)
    assert identity.principal_of_key(secret) is None
