"""The independent verifier finds a flipped bit in each kind of file that the product writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tallystick.dialects.datatrails.merklelog import mmr, receipts
from tests.dialects.datatrails import independent_verifier as verifier
from tests.dialects.datatrails import logs

_HEIGHT = 3
_LOG = logs.public_log([logs.event(i) for i in range(7)], _HEIGHT)
_READ = verifier.read_log(_LOG.files, height=_HEIGHT)
_ANSWERS = _LOG.answers()
_NODE = mmr.size_of(2)
_PATH = [_LOG.node(i) for i in mmr.inclusion_path(_NODE, _LOG.size)]
_PEAK = _LOG.node(6)

pytestmark = pytest.mark.row("D-72", "D-74", "D-76", "D-77", "D-78")


def _flipped(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield `data` once a byte, with one bit flipped, a different one from byte to byte."""
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        yield at, bytes(changed)


def _check_log(files: list[bytes]) -> None:
    read = verifier.read_log(files, height=_HEIGHT)
    for answer in _ANSWERS:
        verifier.check_event(read, answer, log_id=str(logs.TENANT))
    if read.epoch != 1:
        raise verifier.Mismatch("the epoch is that of the events")


def _inclusion(form: receipts.Form) -> bytes:
    return receipts.inclusion_receipt(_NODE, _PATH, peak=_PEAK, sealer=logs.SEALER, form=form)


_KINDS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "first massif": (
        _LOG.files[0],
        lambda data: _check_log([data, _LOG.files[1]]),
    ),
    "last massif": (
        _LOG.files[1],
        lambda data: _check_log([_LOG.files[0], data]),
    ),
    "seal": (
        _LOG.seal(),
        lambda data: verifier.check_seal(data, _READ, logs.PUBLIC_KEY),
    ),
    "sample receipt": (
        _inclusion(receipts.Form.SAMPLE),
        lambda data: verifier.check_inclusion(data, _LOG.node(_NODE), logs.PUBLIC_KEY),
    ),
    "draft receipt": (
        _inclusion(receipts.Form.DRAFT),
        lambda data: verifier.check_inclusion(data, _LOG.node(_NODE), logs.PUBLIC_KEY),
    ),
    "consistency receipt": (
        receipts.consistency_receipt(4, _LOG.size, nodes=_LOG.node, sealer=logs.SEALER),
        lambda data: verifier.check_consistency(
            data, 4, [_LOG.node(2), _LOG.node(3)], logs.PUBLIC_KEY
        ),
    ),
}


@pytest.mark.parametrize("kind", _KINDS)
def test_flipped_bit_is_found_anywhere_in_the_file(kind: str) -> None:
    data, check = _KINDS[kind]
    check(data)
    for at, changed in _flipped(data):
        try:
            check(changed)
        except verifier.Mismatch:
            continue
        pytest.fail(f"a bit flipped in byte {at} of {len(data)} goes unnoticed")


def test_changed_event_is_found() -> None:
    event = _ANSWERS[3]
    for changed in (
        event | {"attributes": event["attributes"] | {"inspector": "Dreyfus"}},
        event | {"trails": []},
        event | {"event_type": ""},
        event | {"identity": "events/00000000-0000-7000-8000-000000000000"},
        event | {"created_at": event["created_at"] + 1},
    ):
        with pytest.raises(verifier.Mismatch):
            verifier.check_event(_READ, changed, log_id=str(logs.TENANT))
