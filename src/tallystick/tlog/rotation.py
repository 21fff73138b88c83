"""The statement that another key signs a log from now on: a note signed by both keys.

Its text names the log, both verifier keys, and until when the former one signs checkpoints beside
the new one. A reader who has pinned the former key follows it to the new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tallystick import times
from tallystick.errors import MalformedNote, VerificationError
from tallystick.tlog.note import Signer, Verifier, open_note

HEADER: Final = "tallystick key rotation v1"


def sign_rotation(new: Signer, former: Signer, until_ms: int) -> str:
    """Return the statement; both signers stand under the log's origin."""
    lines = (
        HEADER,
        new.name,
        f"from {former.verifier}",
        f"to {new.verifier}",
        f"both sign until {times.to_rfc3339(until_ms)}",
    )
    text = "".join(f"{line}\n" for line in lines)
    return new.under(new.name, (former,)).sign(text)


def verify_rotation(statement: str, former: Verifier) -> Verifier:
    """Return the key that a statement leads to from a pinned one.

    Raises: MalformedNote, BadSignature.
    """
    lines = statement.split("\n")
    if len(lines) < 5 or lines[0] != HEADER or lines[1] != former.name:
        raise MalformedNote("this is no rotation of the key of this log")
    if lines[2] != f"from {former}" or not lines[3].startswith("to "):
        raise MalformedNote("the rotation is of another key")
    new = Verifier.parse(lines[3].removeprefix("to "))
    if new.name != former.name:
        raise MalformedNote("the new key is for another log")
    if len(open_note(statement, [former, new]).verifiers) != 2:
        raise MalformedNote("a rotation is signed by both keys")
    return new


def follow_rotations(statements: Iterable[str], pinned: Verifier) -> Verifier:
    """Return the key that statements, oldest first, lead to; those of other keys are left out."""
    key = pinned
    for statement in statements:
        try:
            key = verify_rotation(statement, key)
        except VerificationError:
            continue
    return key
