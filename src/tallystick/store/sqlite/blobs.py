"""The content of blobs as files in a data folder: one a tenant and digest.

An upload is written beside them and takes its place by a rename once it is on disk, so a file
that is there is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tallystick import durable
from tallystick.errors import StoreCorrupt, StoreFailed
from tallystick.store.blob_content import Content

_FOLDER_MODE = 0o700
_ZEROS = bytes(256 * 1024)


class FolderBlobs:
    """Content of blobs in one folder; uploads under way in another on the same disk."""

    def __init__(self, folder: Path, uploads: Path) -> None:
        self._folder = folder
        self._uploads = uploads

    def begin(self, tenant: str) -> FileUpload:
        """Begin an upload."""
        target = self._folder / _name_of(tenant)
        return FileUpload(self._uploads, lambda file, content: _keep(target, file, content))

    def read(self, tenant: str, digest: str, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop) of some content, fewer where it ends."""
        try:
            with self._path(tenant, digest).open("rb") as file:
                file.seek(start)
                return file.read(stop - start)
        except OSError as error:
            raise StoreCorrupt(f"content {digest} cannot be read: {error.strerror}") from error

    def has(self, tenant: str, digest: str) -> bool:
        """Tell whether some content is there."""
        return self._path(tenant, digest).is_file()

    def digests(self, tenant: str) -> list[str]:
        """Return the digests of all content of a tenant, in order."""
        return sorted(path.name for path in (self._folder / _name_of(tenant)).glob("??/*"))

    def remove(self, tenant: str, digest: str) -> None:
        """Overwrite some content with zeros, then remove its file."""
        path = self._path(tenant, digest)
        try:
            with path.open("r+b") as file:
                for _ in range(0, path.stat().st_size, len(_ZEROS)):
                    file.write(_ZEROS)
                durable.flush_file(file)
            path.unlink()
            durable.flush_folder(path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreFailed(
                f"content {digest} cannot be removed", hint="check disk and rights"
            ) from error

    def _path(self, tenant: str, digest: str) -> Path:
        return self._folder / _name_of(tenant) / digest[:2] / digest

    def close(self) -> None:
        """Do nothing: no file is kept open."""


def forget_uploads(folder: Path) -> None:
    """Remove what an earlier process left half uploaded in its folder for that."""
    shutil.rmtree(folder, ignore_errors=True)


class FileUpload:
    """One upload in a file of its own, which `keep` takes over once it is whole."""

    def __init__(self, uploads: Path, keep: Callable[[Path, Content], None]) -> None:
        """Begin in the folder `uploads`.

        Raises: StoreFailed.
        """
        with failures():
            uploads.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=uploads)
        self._file = os.fdopen(handle, "wb")
        self._path = Path(name)
        self._keep = keep
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        """SHA-256 in hex of what was written so far."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Add to the content."""
        self._digest.update(data)
        self.size += len(data)
        with failures():
            self._file.write(data)

    def finish(self) -> Content:
        """Make the content durable and readable by its digest."""
        content = Content(self.digest, self.size)
        if not self._file.closed:
            with failures():
                durable.flush_file(self._file)
                self._file.close()
        self._keep(self._path, content)
        return content

    def abort(self) -> None:
        """Forget what was written."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)


def _keep(target: Path, upload: Path, content: Content) -> None:
    """Give an uploaded file its name below `target`."""
    folder = target / content.digest[:2]
    with failures():
        made = [path for path in (folder, target) if not path.exists()]
        folder.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
        # The same content may be there already: it is replaced by itself.
        durable.rename_file(upload, folder / content.digest)
        for path in made:
            durable.flush_folder(path.parent)


def _name_of(tenant: str) -> str:
    """Return a name for a tenant's folder: its id may hold anything."""
    return hashlib.sha256(tenant.encode()).hexdigest()[:32]


@contextlib.contextmanager
def failures() -> Iterator[None]:
    """Turn errors of the file system into ours."""
    try:
        yield
    except OSError as error:
        raise StoreFailed("the upload cannot be written", hint="check disk and rights") from error
