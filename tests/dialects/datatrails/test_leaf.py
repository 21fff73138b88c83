"""A leaf is the vendor's leaf: the published production values come out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tallystick.dialects.datatrails.merklelog import leaf
from tallystick.events import ids
from tests.dialects.datatrails import vectors

_VECTORS = vectors.load("events_v1.json")


@pytest.mark.row("D-69")
@pytest.mark.parametrize("vector", _VECTORS["leaf_vectors"])
def test_published_production_leaf_is_reproduced(vector: dict[str, Any]) -> None:
    event, log_id = vector["event"], UUID(vector["log_id"])
    serialized = leaf.serialized(event["attributes"], event["trails"], event.get("event_type"))
    made = leaf.event_leaf(
        serialized,
        identity=event["identity"],
        idtimestamp=bytes.fromhex(vector["idtimestamp"]),
        log_id=log_id,
    )
    assert serialized.decode() == vector["serialized"]
    assert made.extra.hex() == vector["extra_bytes"]
    assert made.value.hex() == vector["leaf"]


@pytest.mark.parametrize("vector", _VECTORS["trie_keys"])
def test_published_index_key_is_reproduced(vector: dict[str, str]) -> None:
    key = leaf.trie_key(vector["log_id_text"].encode(), vector["app_id"])
    assert key.hex() == vector["key"]


@pytest.mark.row("D-30")
@pytest.mark.parametrize("vector", _VECTORS["idtimestamps"])
def test_published_idtimestamp_is_reproduced_from_its_time(vector: dict[str, Any]) -> None:
    sequence = int(vector["hex"][-6:], 16)
    assert ids.idtimestamp(vector["unix_ms"], sequence) == vector["hex"]


@pytest.mark.row("D-30")
def test_idtimestamp_epoch_is_one_millisecond_short_of_two_to_the_forty() -> None:
    last_of_first_epoch = (1 << 40) - 2
    assert ids.idtimestamp(last_of_first_epoch, 0) == "00fffffffffe000000"
    assert ids.idtimestamp(last_of_first_epoch + 1, 0) == "010000000000000000"


@pytest.mark.row("D-31")
def test_content_hash_can_be_checked_from_the_event_alone() -> None:
    serialized = leaf.serialized({"foo": "bar"}, [], "")
    # printf '40:{"attributes":{"foo":"bar"},"trails":[]}' | sha256sum
    assert leaf.content_hash(serialized) == (
        "1db4b6c08e3beaf490876217200ef9360dd9e3f6ead41867605e09b6c091df17"
    )


def test_absent_and_empty_event_types_are_one() -> None:
    assert (
        leaf.serialized({}, [], None)
        == leaf.serialized({}, [], "")
        == b"29:" + (b'{"attributes":{},"trails":[]}')
    )


def test_entry_leaf_carries_its_hash_and_its_own_rule() -> None:
    log_id = UUID("112758ce-a8cb-4924-8df8-fcba1e31f8b0")
    made = leaf.entry_leaf(b"\x07" * 32, identity="entries/x", idtimestamp=bytes(9), log_id=log_id)
    assert made.value == b"\x07" * 32
    assert made.extra == b"\xff" + log_id.bytes + bytes(7)
    assert len(made.extra) == leaf.EXTRA_BYTES
