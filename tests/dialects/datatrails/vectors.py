"""The public known answers that the tests of this folder share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[2] / "vectors"


def load(name: str) -> Any:
    """Return one file of known answers."""
    return json.loads((_FOLDER / name).read_text())


def hashes(texts: list[str]) -> list[bytes]:
    """Return hexadecimal texts as bytes."""
    return [bytes.fromhex(text) for text in texts]
