"""Tallystick: one tamper-evident event store behind five documented Events APIs.

The names below are the library's public face: a client of a server, and the verifier of receipts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallystick.client.client import ApiError, Client, LineResult, Unreachable
    from tallystick.errors import TallystickError, VerificationError
    from tallystick.tlog.note import Verifier
    from tallystick.tlog.receipt import VerifiedReceipt, verify_receipt

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "Client",
    "LineResult",
    "TallystickError",
    "Unreachable",
    "VerificationError",
    "VerifiedReceipt",
    "Verifier",
    "__version__",
    "verify_receipt",
]

# Imported on first use: the verifier must run without an HTTP library, and a command that needs
# none of this must not wait for it.
_HOMES = {
    "ApiError": "tallystick.client.client",
    "Client": "tallystick.client.client",
    "LineResult": "tallystick.client.client",
    "TallystickError": "tallystick.errors",
    "Unreachable": "tallystick.client.client",
    "VerificationError": "tallystick.errors",
    "VerifiedReceipt": "tallystick.tlog.receipt",
    "Verifier": "tallystick.tlog.note",
    "verify_receipt": "tallystick.tlog.receipt",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tallystick' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
