"""Files that must outlast a power failure: there whole or not at all, and on disk on return."""

from __future__ import annotations

import os
from pathlib import Path


def create_folder(path: Path) -> None:
    """Make a folder, and those above it, for its owner only; one that exists stays as it is."""
    if path.is_dir():
        return
    create_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    flush_folder(path.parent)


def create_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file that does not exist yet; its folder must.

    Raises: FileExistsError, OSError.
    """
    begun = _begin(path, data, mode)
    try:
        # A link, unlike a rename, never takes the place of another file.
        os.link(begun, path)
    finally:
        begun.unlink()
    flush_folder(path.parent)


def replace_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file, in place of the one with its name if it exists; its folder must exist.

    Raises: OSError.
    """
    _begin(path, data, mode).replace(path)
    flush_folder(path.parent)


def flush_folder(path: Path) -> None:
    """Wait until the names in a folder are on disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _begin(path: Path, data: bytes, mode: int) -> Path:
    """Write what is to become a file beside it, on disk."""
    begun = path.with_name(f".{path.name}.{os.getpid()}.new")
    begun.unlink(missing_ok=True)
    handle = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return begun
