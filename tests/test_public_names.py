"""The public face of the library: exactly these names, each usable by itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tallystick

PUBLIC = {
    "ApiError", "Client", "LineResult", "TallystickError", "Unreachable", "VerificationError",
    "VerifiedReceipt", "Verifier", "__version__", "verify_receipt",
}  # fmt: skip


def test_package_exports_exactly_its_public_names() -> None:
    assert set(tallystick.__all__) == set(dir(tallystick)) == PUBLIC
    assert list(tallystick.__all__) == sorted(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_name_can_be_imported(name: str) -> None:
    program = f"from tallystick import {name}; print({name})"
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_other_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Server'"):
        tallystick.Server  # noqa: B018  # the access is the test


def test_verifier_needs_no_http_library() -> None:
    program = "import sys, tallystick; tallystick.verify_receipt; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert not set(done.stdout.split()) & {"httpx2", "starlette", "apsw", "tantivy"}
