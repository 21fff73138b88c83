"""Policies: which logs are trusted, and which witnesses must have cosigned their checkpoints.

A policy is a text of lines: `log`, `witness`, `group` and `quorum`. Source: C2SP tlog-policy.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from tallystick.errors import BadSignature, MalformedNote, VerificationError
from tallystick.tlog.checkpoint import Checkpoint, open_checkpoint
from tallystick.tlog.cosignature import (
    Cosignature,
    CosignatureVerifier,
    cosignatures_of,
)
from tallystick.tlog.note import Verifier, split_note

T = TypeVar("T")

POLICY_BYTES_MAX: Final = 1_000_000
LINES_MAX: Final = 1_000
"""Logs, witnesses and groups that a policy may name, each."""

_NO_QUORUM: Final = "none"
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BLANKS: Final = re.compile(r"[ \t]+")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")


class PolicyLog(NamedTuple):
    """A trusted log: its key, whose name is the origin, and where it may be reached."""

    verifier: Verifier
    url: str | None


class PolicyWitness(NamedTuple):
    """A witness: its name within the policy, its key, and where it takes checkpoints."""

    name: str
    verifier: CosignatureVerifier
    url: str | None

    def to_line(self) -> str:
        """Return the line by which a policy names the witness, without its line end."""
        return " ".join(("witness", self.name, str(self.verifier), *filter(None, (self.url,))))


class PolicyGroup(NamedTuple):
    """So many of these witnesses and groups must have cosigned."""

    name: str
    threshold: int
    members: tuple[str, ...]


class AcceptedCheckpoint(NamedTuple):
    """A checkpoint that a policy accepts, and who has cosigned it."""

    checkpoint: Checkpoint
    cosignatures: tuple[Cosignature, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Trusted logs, known witnesses, and which of them make a quorum."""

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    groups: tuple[PolicyGroup, ...]
    quorum: str

    @classmethod
    def parse(cls, text: str | bytes) -> Policy:
        """Read a policy.

        Raises: MalformedNote that names the line.
        """
        reading = _Reading()
        for number, line in enumerate(_lines(text), 1):
            try:
                reading.take(line)
            except VerificationError as error:
                raise MalformedNote(f"policy, line {number}: {error.message}") from error
        if reading.quorum is None:
            raise MalformedNote("the policy has no quorum line")
        return cls(
            tuple(reading.logs),
            tuple(reading.witnesses),
            tuple(reading.groups),
            reading.quorum,
        )

    def accept(self, note: str | bytes) -> AcceptedCheckpoint:
        """Return the checkpoint in a note that a trusted log signed and a quorum cosigned.

        Raises: MalformedNote; BadSignature that says what is missing.
        """
        origin = split_note(note)[0].split("\n", 1)[0]
        keys = [log.verifier for log in self.logs if log.verifier.name == origin]
        if not keys:
            raise BadSignature(f"the policy knows no log {origin!r}")
        checkpoint = open_checkpoint(note, keys, origin)
        cosigned = cosignatures_of(note, [witness.verifier for witness in self.witnesses])
        signers = {each.verifier for each in cosigned}
        names = {each.name for each in self.witnesses if each.verifier in signers}
        if not self.is_quorum(names):
            raise BadSignature(
                f"the quorum {self.quorum!r} is not reached: "
                f"cosigned by {', '.join(sorted(names)) or 'nobody'}"
            )
        return AcceptedCheckpoint(checkpoint, tuple(cosigned))

    def is_quorum(self, names: Collection[str]) -> bool:
        """Tell whether these witnesses, by their names in the policy, make a quorum."""
        reached = {name: name in names for name in (each.name for each in self.witnesses)}
        reached[_NO_QUORUM] = True
        # A group names only what stands above it.
        for group in self.groups:
            count = sum(reached[member] for member in group.members)
            reached[group.name] = count >= group.threshold
        return reached[self.quorum]


def parse_witness(line: str) -> PolicyWitness:
    """Read one witness line, with or without the word `witness` before it.

    Raises: MalformedNote.
    """
    words = _words(line)
    return _witness(words[1:] if words[:1] == ["witness"] else words)


class _Reading:
    """A policy as far as its lines were read."""

    def __init__(self) -> None:
        self.logs: list[PolicyLog] = []
        self.witnesses: list[PolicyWitness] = []
        self.groups: list[PolicyGroup] = []
        self.quorum: str | None = None
        self._names: set[str] = {_NO_QUORUM}
        self._members: set[str] = {_NO_QUORUM}
        self._keys: set[tuple[str, bytes]] = set()

    def take(self, line: str) -> None:
        """Read the next line."""
        words = _words(line)
        if not words or words[0].startswith("#"):
            return
        takers = {
            "log": self._log,
            "witness": self._witness,
            "group": self._group,
            "quorum": self._quorum,
        }
        taker = takers.get(words[0])
        if taker is None:
            raise MalformedNote(f"{words[0]!r} is not log, witness, group or quorum")
        taker(words[1:])

    def _log(self, words: list[str]) -> None:
        if len(words) not in (1, 2):
            raise MalformedNote("a log has a key and perhaps a URL")
        log = PolicyLog(Verifier.parse(words[0]), words[1] if len(words) == 2 else None)
        self._take_key("log", log.verifier.public_key)
        _append(self.logs, log)

    def _witness(self, words: list[str]) -> None:
        witness = _witness(words)
        # The same Ed25519 key and a key of another kind are two keys.
        self._take_key("witness", witness.verifier.public_key)
        self._take_name(witness.name)
        _append(self.witnesses, witness)

    def _group(self, words: list[str]) -> None:
        if len(words) < 3:
            raise MalformedNote("a group has a name, a threshold and members")
        name, threshold, *members = words
        for member in members:
            self._check_defined(member)
            if member in self._members:
                raise MalformedNote(f"{member!r} is a member twice, or can be none")
            self._members.add(member)
        self._take_name(name)
        _append(self.groups, PolicyGroup(name, _threshold(threshold, members), tuple(members)))

    def _quorum(self, words: list[str]) -> None:
        if len(words) != 1:
            raise MalformedNote("a quorum is one name")
        if self.quorum is not None:
            raise MalformedNote("two quorum lines")
        self._check_defined(words[0])
        self.quorum = words[0]

    def _check_defined(self, name: str) -> None:
        if name not in self._names:
            raise MalformedNote(f"{name!r} is not defined above")

    def _take_name(self, name: str) -> None:
        if name in self._names:
            raise MalformedNote(f"the name {name!r} is taken")
        self._names.add(name)

    def _take_key(self, kind: str, key: bytes) -> None:
        if (kind, key) in self._keys:
            raise MalformedNote(f"two {kind} lines with the same key")
        self._keys.add((kind, key))


def _witness(words: list[str]) -> PolicyWitness:
    if len(words) not in (2, 3):
        raise MalformedNote("a witness has a name, a key and perhaps a URL")
    verifier = CosignatureVerifier.parse(words[1])
    return PolicyWitness(words[0], verifier, words[2] if len(words) == 3 else None)


def _threshold(text: str, members: list[str]) -> int:
    named: Mapping[str, int] = {"any": 1, "all": len(members)}
    if text in named:
        return named[text]
    if not _NUMBER.fullmatch(text) or int(text) > len(members):
        raise MalformedNote("a threshold is any, all, or a number up to that of the members")
    return int(text)


def _append(found: list[T], one: T) -> None:
    if len(found) == LINES_MAX:
        raise MalformedNote(f"a policy names at most {LINES_MAX} logs, witnesses or groups")
    found.append(one)


def _lines(text: str | bytes) -> list[str]:
    # Octets above ASCII are opaque: a name is equal to another one byte by byte.
    if len(text) > POLICY_BYTES_MAX:
        raise MalformedNote(f"a policy has at most {POLICY_BYTES_MAX} bytes")
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    if not text.endswith("\n"):
        raise MalformedNote("the last line of the policy has no line end")
    return text.removesuffix("\n").split("\n")


def _words(line: str) -> list[str]:
    if _FORBIDDEN.search(line):
        raise MalformedNote("control characters other than tabs are not allowed")
    return [word for word in _BLANKS.split(line) if word]
