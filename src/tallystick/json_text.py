"""JSON at the door: decoded once, with errors that name the place. Pure.

Floats are doubles, the last duplicate member wins, integers of any size survive.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, TypeVar

import msgspec

from tallystick import limits
from tallystick.errors import Malformed

Shape = TypeVar("Shape")

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError)
"""What decoding raises for bytes that are no JSON, or not of the shape that is wanted."""

_PATH = re.compile(r" - at `(\$[^`]*)`\Z")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_OTHER_SHAPE = re.compile("Expected `([^`]*)`, got `([^`]*)`")
_UNKNOWN = re.compile("Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile("Object missing required field `(.*)`")
_SHAPES = {
    "array": "an array",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "an object",
    "str": "a string",
}
_LONE_SURROGATE = re.compile(
    rb"(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2})(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
_BYTE = re.compile(r"byte (\d+)")
_NO_NUMBER = re.compile(rb"-?(?:NaN|Infinity)")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_any = msgspec.json.Decoder()


def decode_as(decoder: msgspec.json.Decoder[Shape], text: bytes) -> Shape:
    """Return `text` decoded into the decoder's type; a byte order mark before it is passed over.

    Raises: Malformed, with a JSON pointer as its path where the place is known.
    """
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        message, pointer = explained(error)
        raise Malformed(message, path=pointer) from None
    except NOT_JSON as error:
        if text.startswith(BYTE_ORDER_MARK):
            return decode_as(decoder, text[len(BYTE_ORDER_MARK) :])
        raise Malformed(f"the body is not JSON: {_reason(text, str(error))}") from None
    except RecursionError:
        raise Malformed(f"JSON may be nested {limits.JSON_DEPTH} deep at most") from None


def decode(text: bytes) -> Any:
    """Return any JSON value.

    Raises: Malformed.
    """
    return decode_as(_any, text)


def decode_object(text: bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises: Malformed.
    """
    value = decode(text)
    if not isinstance(value, dict):
        raise Malformed("the body must be a JSON object", path="")
    return value


def check_members(members: Iterable[str], known: Collection[str], prefix: str = "") -> None:
    """Reject unknown members, so that a typo is an error rather than lost data.

    Raises: Malformed naming the first, behind the prefix.
    """
    for name in members:
        if name not in known:
            raise Malformed(
                f"unknown member {name!r}; known members: {', '.join(sorted(known))}",
                path=f"{prefix}{name}",
            )


def encode(value: object) -> bytes:
    """Return a JSON value as text without blanks."""
    return msgspec.json.encode(value)


def explained(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return what is wrong with a decoded value, and a JSON pointer to the place."""
    text, pointer = str(error), ""
    place = _PATH.search(text)
    if place is not None:
        text = text[: place.start()]
        pointer = "".join(f"/{_escaped(name or n)}" for name, n in _STEP.findall(place[1]))
    if shapes := _OTHER_SHAPE.fullmatch(text):
        wanted = " or ".join(_SHAPES.get(name, name) for name in shapes[1].split(" | "))
        return f"{_SHAPES.get(shapes[2], shapes[2])} where {wanted} is expected", pointer
    if unknown := _UNKNOWN.fullmatch(text):
        return f"unknown member {unknown[1]!r}", f"{pointer}/{_escaped(unknown[1])}"
    if missing := _MISSING.fullmatch(text):
        return f"the member {missing[1]!r} is missing", pointer
    return text, pointer


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _reason(text: bytes, message: str) -> str:
    """Name what the decoder stumbles over without naming it."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return f"it is not UTF-8 (byte {error.start})"
    lone = _LONE_SURROGATE.search(text)
    if lone is not None:
        return f"a surrogate without its other half (byte {lone.start(1)})"
    place = _BYTE.search(message)
    if place is not None and _NO_NUMBER.match(text, int(place[1])):
        return f"NaN and Infinity are no numbers ({place[0]})"
    if message == "Input data was truncated":
        return "it ends too early" if text.strip() else "it is empty"
    return message.removeprefix("JSON is malformed: ")
