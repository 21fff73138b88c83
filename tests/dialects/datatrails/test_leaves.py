"""Every entry of a tenant's log is one leaf; which rule it follows depends on what it is."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given

from tallystick.dialects.datatrails import wire
from tallystick.dialects.datatrails.merklelog.leaf import Rule
from tallystick.dialects.datatrails.publiclog import leaves
from tallystick.events.event import Event, Op
from tests.dialects.datatrails import independent_verifier as verifier
from tests.dialects.datatrails import logs, strategies, vectors


def test_published_event_becomes_the_published_leaf() -> None:
    vector = vectors.load("events_v1.json")["leaf_vectors"][0]
    published = vector["event"]
    # The vendor made the idtimestamp 442 ms after storing; here both are one time.
    recorded_ms = vectors.load("events_v1.json")["idtimestamps"][2]["unix_ms"]
    event = logs.event(
        int(vector["idtimestamp"][-6:], 16),
        id=published["identity"].removeprefix("events/"),
        recorded_ms=recorded_ms,
        kind="",
        trails=(),
        data=published["attributes"],
    )
    made = leaves.leaf_of(
        event, salt_hash=bytes(32), entry_hash=bytes(32), log_id=UUID(vector["log_id"])
    )
    assert made.idtimestamp.hex() == vector["idtimestamp"]
    assert made.value.hex() == vector["leaf"]
    assert made.extra.hex() == vector["extra_bytes"]


@pytest.mark.row("D-29", "D-30", "D-31", "D-69")
@given(strategies.EVENTS)
def test_leaf_of_an_event_can_be_checked_from_the_answer_alone(event: Event) -> None:
    made, view = logs.leaf(event), logs.view(event)
    answer = wire.from_event(view, tenant_uuid=logs.TENANT, status=wire.Status.COMMITTED)
    recomputed = sha256(b"\0" + made.extra + made.idtimestamp[1:] + verifier.serialize(answer))
    if event.erased:
        assert made.value == logs.entry_hash(event.index)
        assert made.extra[0] == Rule.ENTRY
    else:
        assert made.value == recomputed.digest()
        assert made.extra[0] == Rule.EVENT
    assert made.idtimestamp.hex() == answer["ledger_entry"]["idtimestamp"]
    identity = answer["identity"].encode()
    assert made.key == sha256(b"\0" + logs.TENANT.bytes + identity).digest()


@pytest.mark.parametrize("op", [op for op in Op if op is not Op.RECORD])
def test_other_entry_becomes_its_own_leaf_hash(op: Op) -> None:
    event = logs.event(3, op=op)
    made = logs.leaf(event)
    assert made.value == logs.entry_hash(3)
    assert made.extra == bytes([Rule.ENTRY]) + logs.TENANT.bytes + bytes(7)
    assert made.key != logs.leaf(logs.event(3)).key


def test_foreign_leaf_dies_with_its_salts() -> None:
    event = logs.event(0, dialect="native", data={"pin": "1234"})
    leaf_1 = leaves.leaf_of(event, salt_hash=b"\1" * 32, entry_hash=b"", log_id=logs.TENANT)
    leaf_2 = leaves.leaf_of(event, salt_hash=b"\2" * 32, entry_hash=b"", log_id=logs.TENANT)
    assert leaf_1.value != leaf_2.value


def test_log_of_all_kinds_of_entries_reads_as_one() -> None:
    kinds = [
        logs.event(0),
        logs.event(1, op=Op.SYSTEM),
        logs.event(2, dialect="native", data={"a": 1}),
        logs.event(3, op=Op.RETRACT),
        logs.event(4, dialect="native", erased=("data",), data={}),
        logs.event(5),
    ]
    log = logs.public_log(kinds, 3)
    read = verifier.read_log(log.files, height=3)
    shown = [answer for answer in log.answers() if int(answer["ledger_entry"]["index"]) not in (7,)]
    numbers = [verifier.check_event(read, answer, log_id=str(logs.TENANT)) for answer in shown]
    assert numbers == [0, 2, 5]
    assert verifier.check_seal(log.seal(), read, logs.PUBLIC_KEY) == log.size
