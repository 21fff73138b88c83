"""JSON at the door: decoded once, with errors that name the place. Pure.

Floats are doubles, the last duplicate member wins, integers of any size survive.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from tallystick import limits
from tallystick.errors import Malformed

Shape = TypeVar("Shape")

_PATH = re.compile(r" - at `(\$[^`]*)`\Z")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_LONE_SURROGATE = re.compile(
    rb"(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2})(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
_BYTE = re.compile(r"byte (\d+)")
_NO_NUMBER = re.compile(rb"-?(?:NaN|Infinity)")
_any = msgspec.json.Decoder()


def decode_as(decoder: msgspec.json.Decoder[Shape], text: bytes) -> Shape:
    """Return `text` decoded into the decoder's type.

    Raises: Malformed, with a JSON pointer as its path where the place is known.
    """
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        message, pointer = _explain(str(error))
        raise Malformed(message, path=pointer) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
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


def encode(value: object) -> bytes:
    """Return a JSON value as text without blanks."""
    return msgspec.json.encode(value)


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
    return message


def _explain(message: str) -> tuple[str, str]:
    match = _PATH.search(message)
    if match is None:
        return message, ""
    steps = [name or number for name, number in _STEP.findall(match[1])]
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
    return message[: match.start()], pointer
