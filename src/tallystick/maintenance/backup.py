"""Backup and restore of a data folder: exactly what cannot be made again.

A backup is one tar file: a consistent copy of every database of truth (taken while the server
runs), the signing key, blobs, time stamps, and a manifest with the digest of each file. Indexes are
left out; they rebuild themselves from the log.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import apsw
import msgspec

from tallystick import durable
from tallystick.data_folder import (
    BLOBS_FOLDER,
    KEY_FILE,
    LEDGER_FILE,
    PUBLIC_FILE,
    STREAMS_FILE,
    TIMESTAMPS_FOLDER,
)
from tallystick.errors import SettingsError, StoreCorrupt, StoreFailed
from tallystick.json_text import NOT_JSON

FORMAT = "tallystick-backup/1"
DATABASES = (STREAMS_FILE, PUBLIC_FILE, LEDGER_FILE)
"""SQLite databases that a restored folder goes on with; those that exist are copied, in this
order: what was sent or published must not be ahead of the log."""

FOLDERS = (BLOBS_FOLDER, TIMESTAMPS_FOLDER)
"""What an authority said of a time cannot be asked for again later."""

_MANIFEST = "manifest.json"
_CHUNK_BYTES = 1024 * 1024
_PAGES_AT_ONCE = 1000

Progress = Callable[[int, int], None]


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """What a backup holds: SHA-256 in hex by file name."""

    format: str
    files: dict[str, str]


def back_up(folder: Path, out: IO[bytes], progress: Progress) -> Manifest:
    """Write a backup of the data folder to `out`.

    Raises: SettingsError when the folder holds no store, StoreFailed.
    """
    if not (folder / LEDGER_FILE).exists():
        raise SettingsError(f"{folder} contains no store")
    manifest = Manifest(FORMAT, {})
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="backup-") as scratch,
        tarfile.open(fileobj=out, mode="w|") as archive,
    ):
        for name in DATABASES:
            if (folder / name).exists():
                copy = Path(scratch) / name
                _copy_database(folder / name, copy, progress)
                _add(archive, copy, name, manifest)
                copy.unlink()
        for path in _plain_files(folder):
            _add(archive, path, str(path.relative_to(folder)), manifest)
        _add_bytes(archive, _MANIFEST, msgspec.json.encode(manifest))
    return manifest


def restore(source: IO[bytes], folder: Path) -> Manifest:
    """Fill a new data folder from a backup and check every file against the manifest.

    Raises: SettingsError when the folder is not empty, StoreCorrupt when the backup is damaged.
    """
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(f"{folder} is not empty", hint="restore into a new folder")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found: dict[str, str] = {}
    manifest: Manifest | None = None
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for member in archive:
                data = archive.extractfile(member)
                if data is None:
                    raise StoreCorrupt(f"the backup holds {member.name!r}, which is not a file")
                if member.name == _MANIFEST:
                    manifest = msgspec.json.decode(data.read(), type=Manifest)
                else:
                    found[member.name] = _extract(data, folder, member.name)
    except (tarfile.TarError, *NOT_JSON, EOFError) as error:
        raise StoreCorrupt(f"the backup is incomplete: {error}") from error
    if manifest is None or manifest.format != FORMAT:
        raise StoreCorrupt(
            "the backup has no manifest: it is truncated, or is not a Tallystick backup"
        )
    if manifest.files != found:
        wrong = sorted(set(manifest.files.items()) ^ set(found.items()))[0][0]
        raise StoreCorrupt(f"{wrong} in the backup contradicts its manifest")
    return manifest


def _copy_database(source: Path, copy: Path, progress: Progress) -> None:
    try:
        reading = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)
        writing = apsw.Connection(str(copy))
        try:
            reading.set_busy_timeout(10_000)
            with writing.backup("main", reading, "main") as backup:
                while not backup.done:
                    backup.step(_PAGES_AT_ONCE)
                    progress(backup.page_count - backup.remaining, backup.page_count)
            writing.execute("PRAGMA journal_mode = DELETE")
        finally:
            writing.close()
            reading.close()
    except apsw.Error as error:
        raise StoreFailed(f"{source.name} could not be copied: {error}") from error


def _plain_files(folder: Path) -> Iterator[Path]:
    yield folder / KEY_FILE
    for name in FOLDERS:
        yield from sorted(path for path in (folder / name).rglob("*") if path.is_file())


def _add(archive: tarfile.TarFile, path: Path, name: str, manifest: Manifest) -> None:
    with path.open("rb") as file:
        manifest.files[name] = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        header = tarfile.TarInfo(name)
        header.size = path.stat().st_size
        header.mode = 0o600
        archive.addfile(header, file)


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size = len(data)
    header.mode = 0o600
    archive.addfile(header, io.BytesIO(data))


def _extract(data: IO[bytes], folder: Path, name: str) -> str:
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise StoreCorrupt(f"the backup holds {name!r}, which lies outside the folder")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with durable.creating_file(target) as file:
        while chunk := data.read(_CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()
