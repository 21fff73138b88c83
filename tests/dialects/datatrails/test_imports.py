"""Moving in: events and blobs of another service keep their identities, times and hashes."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import uuid4

import pytest

from tests.dialects.datatrails import independent_verifier as verifier
from tests.dialects.datatrails.conftest import HEIGHT, Account, Json
from tests.dialects.datatrails.test_blobs import attachment

IMPORTS = "/extensions/datatrails/imports"


def old_event(**members: Any) -> Json:
    """Return an event as another service answered it."""
    return {
        "identity": f"events/{uuid4()}",
        "attributes": {"inspector": "Clouseau", "d": {"a": "1"}},
        "trails": ["Clouseau"],
        "event_type": "Safety Conformance",
        "origin_tenant": f"tenant/{uuid4()}",
        "created_by": str(uuid4()),
        "created_at": 1736421833577,
        "confirmation_status": "CONFIRMED",
        "ledger_entry": {
            "index": "16",
            "idtimestamp": "0196cf103fe5064c00",
            "content_hash": "0e9ba3f1815fe893bab3ece6b5e396e8e804ee57061239fbee7b497d94b24ee8",
            "hash_schema": "v0",
            "log_id": str(uuid4()),
        },
        **members,
    }


def move_in(account: Account, body: object) -> list[tuple[str, str]]:
    """Import events and return what became of each."""
    answer = account.app.post(IMPORTS, json=body)
    assert answer.status_code == 200, answer.text
    return [(event["identity"], event["outcome"]) for event in answer.json()["events"]]


def test_moved_event_keeps_identity_creator_and_time(account: Account) -> None:
    old = old_event()
    assert move_in(account, old) == [(old["identity"], "stored")]
    shown = account.confirmed(old["identity"])
    for name in ("identity", "attributes", "trails", "event_type", "created_by", "created_at"):
        assert shown[name] == old[name]
    assert shown["origin_tenant"] == f"tenant/{account.uuid}"
    # Its place is one in this log; the old one is kept beside it.
    assert shown["ledger_entry"]["log_id"] == account.uuid
    id = old["identity"].removeprefix("events/")
    native = account.admin.get(f"/v1/events/{id}").json()
    assert native["original"]["ledger_entry"] == old["ledger_entry"]
    log = verifier.read_log(account.massifs(), height=HEIGHT)
    leaf = next(one for one in log.leaves if one.node == int(shown["ledger_entry"]["index"]))
    content = verifier.serialize(old)
    value = hashlib.sha256(b"\0" + leaf.extra + leaf.idtimestamp + content).digest()
    assert leaf.value == value


def test_moved_events_are_found_by_the_time_they_had(account: Account) -> None:
    first, second = old_event(created_at=1000), old_event(created_at=2000)
    move_in(account, {"events": [first, second]})
    new = account.create(event_type="new")["identity"]
    assert account.found("created_at le 1000") == [first["identity"]]
    assert account.found("created_at gt '1000' and created_at lt 3000") == [second["identity"]]
    assert account.found("created_at ne 2000") == [first["identity"], new]
    creator = f"created_by eq '{first['created_by']}'"
    assert account.found(creator) == [first["identity"]]


def test_same_event_is_moved_once_and_another_under_its_name_refused(account: Account) -> None:
    old = old_event()
    assert [move_in(account, old)[0][1] for _ in range(2)] == ["stored", "known"]
    changed = old | {"attributes": {}}
    assert move_in(account, changed) == [(old["identity"], "refused")]
    assert account.found() == [old["identity"]]


def test_one_bad_event_spoils_no_other(account: Account) -> None:
    good = old_event()
    bad: list[Any] = [
        7, {}, old_event(identity="assets/x"), old_event(created_at="1736421833577"),
        old_event(created_at=1 << 60), old_event(attributes={"n": 7}), old_event(trails="x"),
        old_event(created_by=7), old_event(event_type="x" * 2000),
        old_event(created_by="x" * 2000),
    ]  # fmt: skip
    told = move_in(account, {"events": [*bad[:5], good, *bad[5:]]})
    assert [outcome for _, outcome in told] == ["refused"] * 5 + ["stored"] + ["refused"] * 5
    assert account.found() == [good["identity"]]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"events": 7}', b"\xff"])
def test_body_that_is_no_list_of_events_is_refused(account: Account, body: bytes) -> None:
    assert account.app.post(IMPORTS, content=body).status_code == 400
    many = json.dumps({"events": [{}] * 1001})
    assert account.app.post(IMPORTS, content=many).status_code == 400


def test_blob_keeps_its_id_so_that_old_events_still_name_it(account: Account) -> None:
    id = str(uuid4())
    path = f"/extensions/datatrails/blobs/{id.upper()}"
    files = {"file": ("f", b"old content", "image/png")}
    record = account.app.post(path, files=files).json()
    assert record["identity"] == f"blobs/{id}"
    assert account.app.post(path, files=files).status_code == 409
    assert account.app.post("/extensions/datatrails/blobs/x", files=files).status_code == 400
    old = old_event(attributes={"arc_primary_image": attachment(record)})
    move_in(account, old)
    answer = account.app.get(f"/archivist/v2/attachments/{old['identity']}/{id}")
    assert answer.content == b"old content"
