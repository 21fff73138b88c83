"""Signed notes: a text with the Ed25519 signatures of those who vouch for it.

This module makes and opens notes and reads both forms of a key, the verifier key that anyone may
have and the private one; it neither keeps keys nor knows what a text means.
Source: C2SP signed-note v1.0.0.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tallystick.errors import BadSignature, MalformedNote, SettingsError
from tallystick.tlog.encoding import from_base64, to_base64

NOTE_BYTES_MAX: Final = 1_000_000
SIGNATURES_MAX: Final = 100

_ED25519: Final = b"\x01"
_KEY_BYTES: Final = 32
_KEY_ID_BYTES: Final = 4
_PRIVATE_PREFIX: Final = "PRIVATE+KEY+"
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_DASH: Final = "\u2014 "


class Signature(NamedTuple):
    """One signature line of a note, not necessarily of a key we know."""

    name: str
    key_id: bytes
    signature: bytes

    def to_line(self) -> str:
        """Return the line as it stands in a note, with its line end."""
        return f"{_DASH}{self.name} {to_base64(self.key_id + self.signature)}\n"


class EncodedKey(NamedTuple):
    """The parts of a key's encoded form, public or private; `algorithm` says of what kind it is."""

    name: str
    key_id: bytes
    algorithm: int
    key: bytes


class Note(NamedTuple):
    """A note that was opened: its text, and which of the known keys have signed it."""

    text: str
    verifiers: tuple[Verifier, ...]


@dataclass(frozen=True, slots=True)
class Verifier:
    """An Ed25519 public key under a name; `str` gives its encoded form, the "vkey"."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not is_key_name(self.name):
            raise MalformedNote("a key's name is text without spaces and plus signs")
        if len(self.public_key) != _KEY_BYTES:
            raise MalformedNote("an Ed25519 key has 32 bytes")

    @classmethod
    def parse(cls, vkey_text: str) -> Verifier:
        """Read an encoded verifier key.

        Raises: MalformedNote unless it is an Ed25519 key whose id is the one its name and key give.
        """
        name, key_id, key = _parse_key(vkey_text)
        verifier = cls(name, key)
        if verifier.key_id != key_id:
            raise MalformedNote("the verifier key's id does not match its name and key")
        return verifier

    @property
    def key_id(self) -> bytes:
        """Return the four bytes by which signature lines refer to the key."""
        named = self.name.encode("utf-8") + b"\n" + _ED25519 + self.public_key
        return sha256(named).digest()[:_KEY_ID_BYTES]

    def verify(self, text: str, signature: bytes) -> None:
        """Check a signature over the text of a note.

        Raises: BadSignature if it is not this key's.
        """
        self.verify_bytes(text.encode("utf-8"), signature)

    def verify_bytes(self, message: bytes, signature: bytes) -> None:
        """Check a signature over bytes that are no note.

        Raises: BadSignature if it is not this key's.
        """
        try:
            key = Ed25519PublicKey.from_public_bytes(self.public_key)
            key.verify(signature, message)
        except (InvalidSignature, ValueError) as exc:
            raise BadSignature(f"the signature is not by {self.name}") from exc

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{to_base64(_ED25519 + self.public_key)}"


class PrivateKey(Protocol):
    """What signs with an Ed25519 key, wherever the key is."""

    def sign(self, data: bytes, /) -> bytes:
        """Return the signature over bytes."""

    def public_key(self) -> Ed25519PublicKey:
        """Return the public half."""


class Signer:
    """An Ed25519 private key under a name, and others that sign the same notes."""

    __slots__ = ("_also", "_key", "_line_start", "key_id", "name", "verifier")

    def __init__(self, name: str, key: PrivateKey, also: tuple[Signer, ...] = ()) -> None:
        self._key = key
        self._also = also
        self.verifier = Verifier(name, key.public_key().public_bytes_raw())
        self.name = name
        self.key_id = self.verifier.key_id
        self._line_start = f"{_DASH}{name} "

    @classmethod
    def generate(cls, name: str) -> Signer:
        """Make a new key."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def from_private_text(cls, text: str) -> Signer:
        """Read the encoded private key, with or without its line end.

        Raises: SettingsError, which never repeats any of it, if it is damaged.
        """
        try:
            if not text.startswith(_PRIVATE_PREFIX):
                raise MalformedNote("it does not start as an encoded private key does")
            name, key_id, seed = _parse_key(text.rstrip("\n").removeprefix(_PRIVATE_PREFIX))
            signer = cls(name, Ed25519PrivateKey.from_private_bytes(seed))
        except MalformedNote as exc:
            raise SettingsError("the log's private key is damaged", hint=exc.message) from exc
        if signer.key_id != key_id:
            raise SettingsError("the log's private key does not match its own id")
        return signer

    def under(self, name: str, also: tuple[Signer, ...] = ()) -> Signer:
        """Return a signer with the same key under another name, and so with another key id.

        The signers `also` given add their signatures to each note.
        """
        return Signer(name, self._key, also)

    def alone(self) -> Signer:
        """Return the signer of this key without those that sign beside it."""
        return Signer(self.name, self._key) if self._also else self

    @property
    def private_key(self) -> PrivateKey:
        """What signs."""
        return self._key

    def seed(self) -> bytes:
        """Return the 32 secret bytes of the key, from which others may be derived.

        Raises: SettingsError when the key is kept elsewhere.
        """
        if not isinstance(self._key, Ed25519PrivateKey):
            raise SettingsError("the signing key is kept by an external signer")
        return self._key.private_bytes_raw()

    def to_private_text(self) -> str:
        """Return the encoded private key, a line to be kept secret."""
        seed = to_base64(_ED25519 + self.seed())
        return f"{_PRIVATE_PREFIX}{self.name}+{self.key_id.hex()}+{seed}\n"

    def sign(self, text: str) -> str:
        """Return the note of `text` with our signature.

        Shape: `text` ends in a newline and has no other control characters.
        Raises: MalformedNote if it does not.
        """
        if not text.endswith("\n") or _CONTROL.search(text):
            raise MalformedNote("the text must consist of whole lines without control characters")
        signature = self.sign_bytes(_encode(text))
        line_end = b64encode(self.key_id + signature).decode("ascii")
        own = f"{text}\n{self._line_start}{line_end}\n"
        return own + "".join(signer.signature_line(text) for signer in self._also)

    def signature_line(self, text: str) -> str:
        """Return the line by which this key signs the text of a note."""
        signature = self.sign_bytes(_encode(text))
        return Signature(self.name, self.key_id, signature).to_line()

    def sign_bytes(self, message: bytes) -> bytes:
        """Return our signature over bytes that cannot be taken for a note's text."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"Signer({self.name!r})"


def open_note(note: str | bytes, verifiers: Iterable[Verifier]) -> Note:
    """Check every signature by a known key and return the text with the keys that have signed.

    Signatures by unknown keys are ignored, even where they share a name or an id with a known one.
    Raises: MalformedNote if it is no note or too large; BadSignature if no known key has signed,
    or one of their signatures is wrong.
    """
    known = _by_name_and_id(verifiers)
    text, signatures = split_note(note)
    signed: dict[tuple[str, bytes], Verifier] = {}
    for signature in signatures:
        identity = (signature.name, signature.key_id)
        verifier = known.get(identity)
        if verifier is None:
            continue
        if identity in signed:
            raise MalformedNote(f"{signature.name} has signed twice")
        verifier.verify(text, signature.signature)
        signed[identity] = verifier
    if not signed:
        raise BadSignature("no known key has signed the note")
    return Note(text, tuple(signed.values()))


def split_note(note: str | bytes) -> tuple[str, list[Signature]]:
    """Return the text of a note and its signatures, none of which is checked.

    Raises: MalformedNote if it is no note or too large.
    """
    text, lines = _split(_decode(note))
    return text, [parse_signature(line) for line in lines]


def is_key_name(name: str) -> bool:
    """Tell whether `name` can stand in a signature line: not empty, no spaces, no plus."""
    if not name or "+" in name or any(map(str.isspace, name)) or _CONTROL.search(name):
        return False
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _by_name_and_id(verifiers: Iterable[Verifier]) -> dict[tuple[str, bytes], Verifier]:
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise MalformedNote(f"two known keys called {verifier.name} share an id")
    return known


def _decode(note: str | bytes) -> str:
    if len(note) > NOTE_BYTES_MAX:
        raise MalformedNote(f"a note has at most {NOTE_BYTES_MAX} bytes")
    if isinstance(note, bytes):
        try:
            return note.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise MalformedNote("a note is text in UTF-8") from exc
    if len(_encode(note)) > NOTE_BYTES_MAX:
        raise MalformedNote(f"a note has at most {NOTE_BYTES_MAX} bytes")
    return note


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise MalformedNote("a note is text in UTF-8") from exc


def _split(note: str) -> tuple[str, list[str]]:
    """Return the text and the signature lines, which follow the last empty line."""
    if _CONTROL.search(note):
        raise MalformedNote("a note has no control characters")
    text, blank, signatures = note.rpartition("\n\n")
    if not (blank and signatures.endswith("\n")):
        raise MalformedNote("a note is a text, an empty line, and signature lines")
    lines = signatures.removesuffix("\n").split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise MalformedNote(f"a note has at most {SIGNATURES_MAX} signatures")
    return text + "\n", lines


def parse_signature(line: str) -> Signature:
    """Read a signature line, without its line end.

    Raises: MalformedNote.
    """
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not (line.startswith(_DASH) and space and is_key_name(name)):
        raise MalformedNote("a signature line is a dash, the key's name and the signature")
    data = from_base64(encoded, MalformedNote, "a signature")
    if len(data) <= _KEY_ID_BYTES:
        raise MalformedNote("a signature is longer than its key id")
    return Signature(name, data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])


def parse_encoded_key(text: str) -> EncodedKey:
    """Read either kind of encoded key, of any algorithm.

    Raises: MalformedNote.
    """
    # The name has no plus, but base64 may, so the split is from the left.
    parts = text.split("+", 2)
    if len(parts) != 3 or not _KEY_ID.fullmatch(parts[1]):
        raise MalformedNote("an encoded key is a name, an id of 8 hex digits and a key")
    name, key_id, encoded = parts
    data = from_base64(encoded, MalformedNote, "the key")
    if not data:
        raise MalformedNote("the key is empty")
    return EncodedKey(name, bytes.fromhex(key_id), data[0], data[1:])


def _parse_key(text: str) -> tuple[str, bytes, bytes]:
    """Return name, id and raw key of either kind of encoded Ed25519 key."""
    name, key_id, algorithm, key = parse_encoded_key(text)
    if algorithm != _ED25519[0] or len(key) != _KEY_BYTES:
        raise MalformedNote("the key is not an Ed25519 key")
    return name, key_id, key
