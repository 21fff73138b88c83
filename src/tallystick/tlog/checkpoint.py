"""Checkpoints: the statement of a log that it has this size under this root, as a signed note.

Whether two checkpoints agree is for `proof` to say. Source: C2SP tlog-checkpoint v1.0.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tallystick.errors import BadSignature, MalformedNote
from tallystick.tlog.encoding import from_base64, to_base64
from tallystick.tlog.hashing import EMPTY_ROOT, is_hash, is_size
from tallystick.tlog.note import Signer, Verifier, open_note

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's name, its size and root, and lines that others may have added to the statement."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lines = (self.origin, *self.extensions)
        if not all(lines) or any("\n" in line for line in lines):
            raise MalformedNote("origin and extensions are single lines that are not empty")
        if not is_size(self.size):
            raise MalformedNote("the size of a log is at most 63 bits long")
        if not is_hash(self.root):
            raise MalformedNote("the root has 32 bytes")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise MalformedNote("this is not the root of the empty log")

    def to_text(self) -> str:
        """Return the text that is signed."""
        lines = (self.origin, str(self.size), to_base64(self.root), *self.extensions)
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text back.

        Raises: MalformedNote if `to_text` would spell the same statement differently.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() != "":
            raise MalformedNote("a checkpoint has at least three lines")
        origin, size, root, *extensions = lines
        if not _SIZE.fullmatch(size):
            raise MalformedNote("the size is not a decimal number")
        return cls(origin, int(size), from_base64(root, MalformedNote, "the root"), (*extensions,))


def sign_checkpoint(signer: Signer, origin: str, size: int, root: bytes) -> str:
    """Return the signed note by which a log commits to its size and root.

    Cost: one signature.
    """
    return signer.sign(Checkpoint(origin, size, root).to_text())


def open_checkpoint(
    note: str | bytes, verifiers: Iterable[Verifier], origin: str | None = None
) -> Checkpoint:
    """Return the checkpoint in a note that a known key has signed.

    Raises: MalformedNote if it is no such note; BadSignature if no known key has signed it, or it
    belongs to another log than `origin`.
    """
    checkpoint = Checkpoint.parse(open_note(note, verifiers).text)
    if origin is not None and checkpoint.origin != origin:
        raise BadSignature("the checkpoint was signed for another log")
    return checkpoint
