"""Every statement the PostgreSQL store sends while it serves, by name, from `queries.sql`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from typing import Final

_NAMED = re.compile(r"^-- name: (\w+)\n(?:-- .*\n)+", re.MULTILINE)


def load(text: str) -> dict[str, bytes]:
    """Return the statements of a file of named statements."""
    marks = list(_NAMED.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return {
        mark[1]: text[mark.end() : end].strip().removesuffix(";").encode()
        for mark, end in zip(marks, ends, strict=True)
    }


STATEMENTS: Final[Mapping[str, bytes]] = load(
    resources.files(__package__).joinpath("queries.sql").read_text("utf-8")
)
