"""Orchestrate's PUT of an event beside the native POST of the same event.

Rounds alternate between the two on one server, so that whatever else the machine does hits both.
"""

from __future__ import annotations

import json
import random
import statistics
from pathlib import Path

from bench import load
from bench.dialects import serving, world
from bench.dialects.asking import BASIC, PROGRAM, request
from tallystick.node.node import open_node
from tallystick.settings import Settings

SHARE = 0.8

_ROUNDS = 5
_ROUND_S = 4.0
_CONNECTIONS = 64
_REQUESTS = 2_000


def measure(folder: Path) -> list[str]:
    """Measure, print medians and raw rounds, and return what missed its target."""
    node = open_node(folder, Settings(), followers=False)
    world.account(node)
    node.close()
    natives, puts = _requests()
    rates: dict[str, list[float]] = {"native POST": [], "orchestrate PUT": []}
    with serving.server(folder) as port:
        _rate(port, natives, 1.0)
        _rate(port, puts, 1.0)
        for _ in range(_ROUNDS):
            rates["native POST"].append(_rate(port, natives, _ROUND_S))
            rates["orchestrate PUT"].append(_rate(port, puts, _ROUND_S))
    for name, found in rates.items():
        raw = "  ".join(f"{rate:,.0f}" for rate in found)
        print(f"{name:20} median {statistics.median(found):>8,.0f}/s   rounds {raw}")
    native, put = (statistics.median(found) for found in rates.values())
    print(f"orchestrate PUT / native POST {put / native:.2f}   (wanted: at least {SHARE})")
    return [] if put >= SHARE * native else ["orchestrate PUT / native POST"]


def _rate(port: int, requests: list[str], seconds: float) -> float:
    found = load.run_apart(port, requests, connections=_CONNECTIONS, seconds=seconds)
    return float(found["rate"])


def _requests() -> tuple[list[str], list[str]]:
    """Return the same events as native requests and as Orchestrate's."""
    dice = random.Random(3)  # noqa: S311  # the same events every time
    natives, puts = [], []
    for _ in range(_REQUESTS):
        key, type = f"k{dice.randrange(5_000)}", dice.choice(world.SERIES)
        value = {
            "total": round(dice.uniform(1, 900), 2),
            "note": "".join(dice.choices("abcdefghij klmno", k=330)),
            "items": [{"sku": dice.randrange(999), "n": dice.randrange(9)}] * 2,
        }
        event = {"kind": type, "target": {"type": world.COLLECTION, "id": key}, "data": value}
        natives.append(request("POST", "/v1/events", PROGRAM, json.dumps(event)))
        path = f"/v0/{world.COLLECTION}/{key}/events/{type}"
        puts.append(request("PUT", path, BASIC, json.dumps(value)))
    return natives, puts
