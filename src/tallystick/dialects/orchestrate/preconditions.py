"""If-Match and If-None-Match: what a write expects of what is there. Pure.

Source: wire specification, sections 4 and 17.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from tallystick.dialects.orchestrate.errors import Refusal
from tallystick.errors import Malformed

_ENTITY_TAG = re.compile(r'(?:W/)?"?([^"]*?)(?:-gzip)?"?\Z')
_REF = re.compile(r"[0-9a-fA-F]{1,16}\Z")
_ANY = ("*", '"*"')


class Precondition(NamedTuple):
    """What must be there for a write to happen: one of some versions, anything, or nothing."""

    refs: frozenset[str] = frozenset()
    present: bool = False
    absent: bool = False

    @property
    def is_open(self) -> bool:
        """Tell whether the write happens in any case."""
        return not (self.refs or self.present or self.absent)

    def check(self, current: str | None) -> None:
        """Let a write pass if what is there now has the ref `current` (None: nothing is there).

        Raises: Refusal item_version_mismatch or item_already_present.
        """
        if (self.refs and current not in self.refs) or (self.present and current is None):
            raise Refusal("item_version_mismatch")
        if self.absent and current is not None:
            raise Refusal("item_already_present")


def parse_condition(
    if_match: Sequence[str], if_none_match: Sequence[str], *, absence: bool = True
) -> Precondition:
    """Return the condition that a request's headers set; each may come several times.

    `absence` False refuses If-None-Match, which only a PUT may have.
    Raises: Refusal item_ref_malformed; Malformed for both headers, or for an If-None-Match that
    is no star.
    """
    if not if_none_match:
        tags = [tag for header in if_match for tag in header.split(",")]
        if [tag.strip() for tag in tags] == ["*"]:
            return Precondition(present=True)
        return Precondition(frozenset(map(parse_ref, tags)))
    if if_match:
        raise Malformed("If-Match and If-None-Match exclude each other", path="If-None-Match")
    if not absence:
        raise Malformed("If-None-Match has no meaning here", path="If-None-Match")
    if any(header.strip() not in _ANY for header in if_none_match):
        raise Malformed('If-None-Match can only be "*"', path="If-None-Match")
    return Precondition(absent=True)


def parse_ref(text: str) -> str:
    """Return a ref from an entity tag, with or without quotes and the mark of compression.

    Raises: Refusal item_ref_malformed for what is no hexadecimal number.
    """
    match = _ENTITY_TAG.match(text.strip())
    if match is None or not _REF.match(match[1]):
        raise Refusal("item_ref_malformed", {"ref": text[:64]})
    return match[1].lower()


def entity_tag(ref: str) -> str:
    """Return a ref as the value of an ETag header."""
    return f'"{ref}"'
