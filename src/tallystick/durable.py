"""Files that must outlast a power failure: there whole or not at all, and on disk on return.

A file is written beside its place, flushed, renamed, and then its folder is flushed, in this order:
a rename that reaches the disk before the content would leave an empty file. The folder must exist
and belong to the caller.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


def create_folder(path: Path) -> None:
    """Make a folder, and those above it, for its owner only; one that exists stays as it is.

    Raises: OSError; NotADirectoryError when a file stands in the way.
    """
    if path.is_dir():
        return
    if path.exists():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    create_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    flush_folder(path.parent)


def create_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file that does not exist yet.

    Raises: FileExistsError, OSError.
    """
    with creating_file(path, mode=mode) as file:
        file.write(data)


@contextlib.contextmanager
def creating_file(path: Path, *, mode: int = 0o600) -> Iterator[IO[bytes]]:
    """Yield a file that gets its name once the block has ended well.

    Raises: FileExistsError, OSError.
    """
    begun = _beside(path)
    try:
        with _begin(begun, mode) as file:
            yield file
        # A link, unlike a rename, never takes the place of another file.
        os.link(begun, path)
    finally:
        begun.unlink(missing_ok=True)
    flush_folder(path.parent)


def replace_file(
    path: Path, data: bytes, *, mode: int = 0o600, may_fall_back: bool = False
) -> None:
    """Write a file, in place of the one with its name if it exists.

    With `may_fall_back` a power failure may bring the earlier file back, whole: that saves the
    flush of the folder.
    Raises: OSError.
    """
    begun = _beside(path)
    with _begin(begun, mode) as file:
        file.write(data)
    if may_fall_back:
        os.replace(begun, path)
    else:
        rename_file(begun, path)


def append_lines(path: Path, lines: bytes, *, mode: int = 0o600) -> None:
    """Add whole lines to a file, made if it does not exist; a line that was cut off ends before.

    Raises: OSError.
    """
    is_new = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_CREAT, mode)
    with os.fdopen(handle, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            lines = lines if file.read(1) == b"\n" else b"\n" + lines
        file.write(lines)
        flush_file(file)
    if is_new:
        flush_folder(path.parent)


def rename_file(source: Path, target: Path) -> None:
    """Give a file whose content is on disk another name, in place of the one that has it.

    Raises: OSError.
    """
    os.replace(source, target)
    flush_folder(target.parent)


def flush_file(file: IO[Any]) -> None:
    """Wait until what was written to a file is on disk.

    Raises: OSError.
    """
    file.flush()
    os.fsync(file.fileno())


def flush_folder(path: Path) -> None:
    """Wait until the names in a folder are on disk.

    Raises: OSError.
    """
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path) -> Path:
    # Threads of one process may replace the same file at once.
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.new")


@contextlib.contextmanager
def _begin(path: Path, mode: int) -> Iterator[IO[bytes]]:
    """Yield an empty file, on disk in the end; it is removed when the block fails."""
    path.unlink(missing_ok=True)
    # Exclusive, so that its mode is ours and no link is followed.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            flush_file(file)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
