"""What a log sends to a witness to have a checkpoint cosigned. Source: C2SP tlog-witness."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from tallystick.errors import Malformed, MalformedNote
from tallystick.tlog.encoding import from_base64, to_base64
from tallystick.tlog.hashing import HASH_BYTES

ADD_CHECKPOINT: Final = "add-checkpoint"
"""Where below its submission prefix a witness takes checkpoints."""

SIZE_TYPE: Final = "text/x.tlog.size"
"""The media type of the size that a witness answers when it expected another old size."""

REQUEST_BYTES_MAX: Final = 64 * 1024
PROOF_HASHES_MAX: Final = 63

_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")


class CosignRequest(NamedTuple):
    """A checkpoint, the size that the witness is believed to know, and the proof between both."""

    old_size: int
    proof: Sequence[bytes]
    note: str

    def to_bytes(self) -> bytes:
        """Return the body of the request."""
        lines = [f"old {self.old_size}", *map(to_base64, self.proof), "", self.note]
        return "\n".join(lines).encode()

    @classmethod
    def parse(cls, body: bytes) -> CosignRequest:
        """Read the body of a request; the note in it is not looked at.

        Raises: Malformed.
        """
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed("the request is text in UTF-8") from None
        head, blank, note = text.partition("\n\n")
        old, *proof = head.split("\n")
        match = _OLD.fullmatch(old)
        if not blank or match is None:
            raise Malformed("the request is an old size, a proof, an empty line and a checkpoint")
        if len(proof) > PROOF_HASHES_MAX:
            raise Malformed(f"a proof has at most {PROOF_HASHES_MAX} hashes")
        return cls(int(match[1]), [_hash(line) for line in proof], note)


def checkpoint_path(origin: str) -> str:
    """Return where below its monitoring prefix a witness shows what it cosigned of a log."""
    return f"{sha256(origin.encode()).hexdigest()}/checkpoint"


def _hash(line: str) -> bytes:
    try:
        data = from_base64(line, MalformedNote, "a hash of the proof")
    except MalformedNote as error:
        raise Malformed(error.message) from None
    if len(data) != HASH_BYTES:
        raise Malformed("a hash of the proof has 32 bytes")
    return data
