"""Exported lines against what proves them: the receipt in the line, or an evidence bundle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tallystick import times
from tallystick.client.client import Json
from tallystick.errors import RequestError, VerificationError
from tallystick.tlog.receipt import VerifiedReceipt

_DEFAULTS: Final[Mapping[str, Any]] = {
    "id": None, "index": None, "kind": None, "op": "record", "dialect": None, "actor": None,
    "target": None, "scopes": [], "trails": [], "original": None, "leaf_hash": None,
}  # fmt: skip
_TIMES: Final = ("occurred_at", "recorded_at")
_REVISED: Final[Mapping[str, Any]] = {"data": {}, "previous": None, "erased": []}
_LINKS: Final = frozenset({"receipt", "proof", "revision", "leaf"})
_OPTIONAL: Final = frozenset({"leaf_hash", "erased"})
"""Members that not every answer of the server has."""


def compare_with_receipt(row: Json, found: VerifiedReceipt, leaf: bytes) -> set[str]:
    """Compare a row with what its receipt proves; return the members that it does not prove.

    Raises: VerificationError.
    """
    place = found.sections.get("place") or {}
    expected: Json = {
        **{name: found.entry[name] for name in ("id", "kind", "op", "dialect")},
        "index": found.index,
        "actor": found.sections.get("actor"),
        "target": found.sections.get("target"),
        "scopes": place.get("scopes", []),
        "trails": place.get("trails", []),
        "original": place.get("original"),
        "leaf_hash": leaf.hex(),
    }
    _compare(row, expected, _DEFAULTS)
    for name in _TIMES:
        _compare_times(row, name, int(found.entry[name.replace("_at", "_ms")]))
    if row.get("revision", found.index) != found.index:
        return _others(row) | (_REVISED.keys() & row.keys()) | {"revision"}
    shown = {"data": found.sections.get("data") or {}, "previous": found.sections.get("previous"),
             "erased": list(found.erased)}  # fmt: skip
    _compare(row, shown, _REVISED)
    return _others(row)


def compare_with_bundle(row: Json, told: Json) -> set[str]:
    """Compare a row with the line of a verified bundle; return the members that are in neither.

    Raises: VerificationError.
    """
    if row.get("revision", told["index"]) != told["revision"]:
        raise VerificationError(
            f"entry {told['index']} is shown at revision {row.get('revision')}, and stands in the "
            f"bundle at {told['revision']}",
            hint="make a bundle of the size that the lines were exported at",
        )
    _compare(row, {**told, "leaf_hash": told["leaf"]}, {**_DEFAULTS, **_REVISED})
    for name in _TIMES:
        _compare_times(row, name, times.from_rfc3339(str(told[name])))
    return _others(row)


def rows_of_bundle(path: Path, wanted: Iterable[int]) -> dict[int, Json]:
    """Return the events of a verified bundle at places of the log."""
    places = set(wanted)
    found: dict[int, Json] = {}
    with zipfile.ZipFile(path) as archive, archive.open("events.ndjson") as lines:
        for line in lines:
            told: Json = json.loads(line)
            if told["index"] in places:
                found[told["index"]] = told
    return found


def _compare(row: Json, expected: Json, defaults: Mapping[str, Any]) -> None:
    for name, default in defaults.items():
        if name in _OPTIONAL and name not in row:
            continue
        if row.get(name, default) != expected.get(name, default):
            raise VerificationError(f"{name} contradicts what is proven of the entry")


def _compare_times(row: Json, name: str, ms: int) -> None:
    try:
        is_same = times.from_rfc3339(str(row.get(name))) == ms
    except RequestError:
        is_same = False
    if not is_same:
        raise VerificationError(f"{name} contradicts what is proven of the entry")


def _others(row: Json) -> set[str]:
    return row.keys() - _DEFAULTS.keys() - _REVISED.keys() - _LINKS - set(_TIMES)
