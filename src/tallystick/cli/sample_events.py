"""Generated sample events: a small shop's week, the same for the same arguments. Pure."""

from __future__ import annotations

import random
from typing import Any

from tallystick.times import DAY_MS

Json = dict[str, Any]

_PEOPLE = (
    ("u-101", "Alice Okafor"), ("u-102", "Björn Lindqvist"), ("u-103", "Chen Wei"),
    ("u-104", "Dana Kowalska"), ("u-105", "Émile Roux"),
)  # fmt: skip
_PRODUCTS = ("tally stick, hazel", "tally stick, willow", "notching knife", "ink, oak gall")
_KINDS = (
    ("order.created", 6), ("order.updated", 5), ("order.cancelled", 1), ("invoice.created", 3),
    ("payment.succeeded", 3), ("payment.failed", 1), ("user.updated", 1),
)  # fmt: skip


def sample_drafts(count: int, now_ms: int, seed: int = 7) -> list[Json]:
    """Return `count` events in the native API's shape, spread over the week before `now_ms`."""
    dice = random.Random(seed)  # noqa: S311  # sample data, no secret
    kinds = [kind for kind, weight in _KINDS for _ in range(weight)]
    moments = sorted(now_ms - dice.randrange(7 * DAY_MS) for _ in range(count))
    return [_event(dice, dice.choice(kinds), moment) for moment in moments]


def _event(dice: random.Random, kind: str, occurred_ms: int) -> Json:
    person, name = dice.choice(_PEOPLE)
    number = dice.randrange(1, 80)
    noun = kind.partition(".")[0]
    quantity = dice.randrange(1, 12)
    event: Json = {
        "kind": kind,
        "occurred_at": occurred_ms,
        "actor": {"type": "user", "id": person, "name": name},
        "target": {"type": noun, "id": f"{noun}-{number}", "name": f"{noun.title()} {number}"},
        "scopes": [{"type": "shop", "id": f"shop-{number % 3}", "name": f"Shop {number % 3}"}],
        "trails": [f"{noun}/{number}"],
        "data": {
            "product": dice.choice(_PRODUCTS),
            "quantity": quantity,
            "total": round(quantity * dice.uniform(3, 40), 2),
            "currency": dice.choice(("EUR", "NOK", "GBP")),
        },
    }
    if kind.endswith(".updated"):
        event["previous"] = {"quantity": dice.randrange(1, 12)}
    return event
