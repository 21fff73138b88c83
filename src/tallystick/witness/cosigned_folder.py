"""The cosigned checkpoints of a server's logs, kept in its data folder beside the log of record.

Of each log: what each witness cosigned last, the newest checkpoint with its cosignatures, and the
last one of every day, which tells years later when others had seen the log at which size. None of
it is needed to extend a log, and witnesses cosign again what is lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from tallystick import times
from tallystick.durable import create_folder, replace_file
from tallystick.json_text import NOT_JSON

_NEWEST: Final = "checkpoint"
_STATE: Final = "state.json"
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")


class LastCosignature(msgspec.Struct, frozen=True):
    """The latest cosignature by one key: of which size and root, when, and its signature line."""

    size: int
    root: bytes
    time_s: int
    line: str


class CosignedFolder:
    """Reads and writes the files; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # One writer at a time: the files of one log belong together.
        self._lock = threading.Lock()

    def latest(self, tenant: str) -> dict[str, LastCosignature]:
        """Return the latest cosignature of a log by the key of each witness."""
        with contextlib.suppress(FileNotFoundError, *NOT_JSON):
            data = (self._of(tenant) / _STATE).read_bytes()
            return msgspec.json.decode(data, type=dict[str, LastCosignature])
        return {}

    def note(self, tenant: str, day: str | None = None) -> str | None:
        """Return the newest cosigned checkpoint of a log, or the last one of a day (UTC)."""
        if day is not None and not _DAY.fullmatch(day):
            return None
        with contextlib.suppress(FileNotFoundError):
            path = self._of(tenant) / (day or _NEWEST)
            return path.read_bytes().decode(errors="replace")
        return None

    def add(self, tenant: str, checkpoint: str, cosigned: Mapping[str, LastCosignature]) -> None:
        """Keep cosignatures, by key, of one checkpoint of a log.

        Those of an older checkpoint change nothing of the newest one. Raises: OSError.
        """
        with self._lock:
            state = self.latest(tenant)
            newest = max((each.size for each in state.values()), default=0)
            state.update(cosigned)
            folder = self._of(tenant)
            create_folder(folder)
            sample = next(iter(cosigned.values()))
            if sample.size >= newest:
                same = [x for x in state.values() if (x.size, x.root) == (sample.size, sample.root)]
                note = (checkpoint + "".join(each.line for each in same)).encode()
                day = times.to_rfc3339(sample.time_s * 1000)[:10]
                replace_file(folder / day, note)
                replace_file(folder / _NEWEST, note)
            # Last: what was cosigned is asked for again unless it is all there.
            replace_file(folder / _STATE, msgspec.json.encode(state))

    def _of(self, tenant: str) -> Path:
        name = hashlib.sha256(tenant.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._folder / name
