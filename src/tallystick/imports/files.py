"""Files as other systems deliver them: in folders, packed or not, some of them not meant.

What is packed is known by its first bytes, not by its name.
"""

from __future__ import annotations

import fnmatch
import gzip
import io
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple, cast

from tallystick.errors import Malformed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENDINGS = (".json", ".jsonl", ".ndjson", ".log")
"""How files of a folder end that are read, in any letter case, packed or not."""

_PACKED_ENDINGS = (".gz", ".gzip", ".zst", ".zstd")
_DOCUMENTS = ("readme", "license", "licence", "notice", "changelog")
_GZIP, _ZSTD, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_ZSTD_WINDOW_LOG_MAX = 27
"""128 MiB, as far as the zstd program itself goes without being told to."""

BROKEN = (OSError, EOFError, zlib.error, zstd.ZstdError, zipfile.BadZipFile, NotImplementedError)
"""What reading a file raises that is cut off, damaged or not to be had."""


class LeftOut(Malformed):
    """A file or a value that is none of what is imported."""


class ImportSource(NamedTuple):
    """A file to be read, and its name for people: its path below the folder that was named."""

    path: Path
    name: str


class Sources(NamedTuple):
    """What paths hold: files to be read, names of files left out, names of mere documents."""

    found: list[ImportSource]
    left_out: list[str]
    documents: list[str]


def sources(paths: Sequence[Path], exclude: Sequence[str]) -> Sources:
    """Return the files that paths name, and those in the folders that they name.

    A file that is named itself is read whatever it is called. What `exclude` matches, a name or a
    path below its folder, is passed over in silence.
    """
    chosen = Sources([], [], [])
    for path in paths:
        if not path.is_dir():
            chosen.found.append(ImportSource(path, path.name))
            continue
        for file in sorted(file for file in path.rglob("*") if not file.is_dir()):
            name = str(file.relative_to(path))
            if any(fnmatch.fnmatch(text, glob) for glob in exclude for text in (name, file.name)):
                continue
            if _is_document(file.name):
                chosen.documents.append(name)
            elif _is_read(file.name):
                chosen.found.append(ImportSource(file, name))
            else:
                chosen.left_out.append(name)
    return chosen


def _is_document(name: str) -> bool:
    """Tell whether a file is for people, or is kept there by a system: it never holds records."""
    return name.startswith(".") or name.lower().startswith(_DOCUMENTS) or name.endswith(".md")


def _is_read(name: str) -> bool:
    name = name.lower()
    for ending in _PACKED_ENDINGS:
        name = name.removesuffix(ending)
    return name.endswith((*ENDINGS, ".zip"))


def streams(file: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield what a file holds: itself, unpacked, or each file of an archive, with its name in it.

    Raises: one of BROKEN, here or when it is read.
    """
    buffered = _buffered(file)
    if buffered.peek(4).startswith(_ZIP):
        with zipfile.ZipFile(buffered) as archive:
            for item in archive.infolist():
                if not item.is_dir():
                    with archive.open(item) as member:
                        yield item.filename, unpacked(member)
    else:
        yield "", unpacked(buffered)


def unpacked(file: IO[bytes]) -> IO[bytes]:
    """Return a stream that unpacks what it reads, if that is packed with gzip or zstd."""
    buffered = _buffered(file)
    head = buffered.peek(4)
    if head.startswith(_GZIP):
        return cast(IO[bytes], gzip.GzipFile(fileobj=buffered))
    if head.startswith(_ZSTD):
        options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG_MAX}
        return cast(IO[bytes], zstd.ZstdFile(buffered, options=options))
    return buffered


def _buffered(file: IO[bytes]) -> io.BufferedReader:
    """Return a stream that can be looked into, since a pipe cannot be read twice."""
    if isinstance(file, io.BufferedReader):
        return file
    return io.BufferedReader(cast(io.RawIOBase, file))
