"""A witness for the logs of others: what it knows of them, and when it cosigns.

Of each log the witness keeps the latest checkpoint that it cosigned. It cosigns another one only
if a proof shows that the log grew from there, so it never vouches for two histories. Comparing and
writing are one transaction, on disk before the cosignature leaves. Source: C2SP tlog-witness.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from tallystick.clock import Clock
from tallystick.durable import create_file, create_folder, replace_file
from tallystick.errors import (
    BadConsistencyProof,
    BadSignature,
    Malformed,
    MalformedNote,
    NotFound,
    SettingsError,
)
from tallystick.store.sqlite.connection import open_connection, translated
from tallystick.tlog.checkpoint import Checkpoint
from tallystick.tlog.cosignature import CosignatureAlgorithm, Cosigner, has_ml_dsa
from tallystick.tlog.encoding import from_base64
from tallystick.tlog.hashing import EMPTY_ROOT
from tallystick.tlog.note import Verifier, open_note, split_note
from tallystick.tlog.policy import PolicyWitness
from tallystick.tlog.proof import verify_consistency
from tallystick.witness.requests import SIZE_TYPE, CosignRequest, checkpoint_path

KEY_FILE: Final = "witness.key"
STATE_FILE: Final = "witness.db"
LOGS_FILE: Final = "logs"

_SEED_BYTES: Final = 32
_TEXT: Final = "text/plain; charset=utf-8"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS cosigned (
    origin TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note TEXT NOT NULL
) STRICT, WITHOUT ROWID
"""


class WitnessReply(NamedTuple):
    """What a witness answers: an HTTP status, a body and its media type."""

    status: int
    body: str
    media_type: str = _TEXT


class Witness:
    """A witness over its folder; safe to share between threads."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Open a folder that `init_witness` made.

        Raises: SettingsError; StoreBusy, StoreCorrupt, StoreFailed.
        """
        self._folder = folder
        self._clock = clock
        self.cosigners = read_cosigners(folder)
        # One request at a time: comparing, writing and answering must not be mixed up.
        self._lock = threading.Lock()
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        with translated():
            self._state = open_connection(folder / STATE_FILE, flags)
            self._state.execute(_SCHEMA)

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            self._state.close()

    def add_checkpoint(self, body: bytes) -> WitnessReply:
        """Cosign a checkpoint, or say why not.

        Raises: StoreBusy, StoreCorrupt, StoreFailed.
        """
        try:
            request = CosignRequest.parse(body)
            text, _ = split_note(request.note)
            keys = self._keys_of(text.split("\n", 1)[0])
            opened = open_note(request.note, keys)
            lines = _signature_lines(request.note, opened.verifiers)
            checkpoint = _checkpoint(opened.text)
        except (Malformed, MalformedNote) as error:
            return _refusal(400, error.message)
        except NotFound as error:
            return _refusal(404, error.message)
        except BadSignature as error:
            return _refusal(403, error.message)
        except BadConsistencyProof as error:
            return _refusal(422, error.message)
        if request.old_size > checkpoint.size:
            return _refusal(400, "the old size is larger than that of the checkpoint")
        with self._lock, translated():
            return self._cosign(request, checkpoint, text + "\n" + lines)

    def checkpoint(self, path: str) -> str | None:
        """Return the latest checkpoint cosigned, found by the path a monitor asks for."""
        with self._lock, translated():
            for origin, note in self._state.execute("SELECT origin, note FROM cosigned"):
                if checkpoint_path(str(origin)) == path:
                    return str(note)
        return None

    def _cosign(self, request: CosignRequest, checkpoint: Checkpoint, signed: str) -> WitnessReply:
        # The write lock is taken before reading: another process may have the folder open too.
        with self._written():
            found = self._state.execute(
                "SELECT size, root FROM cosigned WHERE origin = ?", (checkpoint.origin,)
            ).fetchone()
            size, root = (0, EMPTY_ROOT) if found is None else (int(found[0]), bytes(found[1]))
            if request.old_size != size:
                return WitnessReply(409, f"{size}\n", SIZE_TYPE)
            try:
                verify_consistency(size, root, checkpoint.size, checkpoint.root, request.proof)
            except BadConsistencyProof as error:
                return _refusal(422, error.message)
            time_s = self._clock.now_ms() // 1000
            lines = "".join(each.cosign(checkpoint.to_text(), time_s) for each in self.cosigners)
            self._state.execute(
                "INSERT INTO cosigned VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
                "SET size = excluded.size, root = excluded.root, note = excluded.note",
                (checkpoint.origin, checkpoint.size, checkpoint.root, signed + lines),
            )
        return WitnessReply(200, lines)

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        self._state.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._state.execute("ROLLBACK")
            raise
        self._state.execute("COMMIT")

    def _keys_of(self, origin: str) -> list[Verifier]:
        # Read each time: the operator may add a log while the witness runs.
        keys = [key for key in read_logs(self._folder) if key.name == origin]
        if not keys:
            raise NotFound("this witness does not know that log")
        return keys


def init_witness(folder: Path, name: str, *, ml_dsa: bool | None = None) -> None:
    """Make the folder of a new witness with its keys: Ed25519, and ML-DSA-44 where there is one.

    Raises: SettingsError when the folder holds a witness, or cannot be made; MalformedNote.
    """
    kinds = [CosignatureAlgorithm.ED25519]
    if has_ml_dsa() if ml_dsa is None else ml_dsa:
        kinds.append(CosignatureAlgorithm.ML_DSA_44)
    texts = [
        Cosigner(name, kind, secrets.token_bytes(_SEED_BYTES)).to_private_text() for kind in kinds
    ]
    try:
        create_folder(folder)
        create_file(folder / KEY_FILE, "".join(texts).encode())
    except FileExistsError:
        raise SettingsError(f"{folder} already contains a witness") from None
    except OSError as error:
        raise SettingsError(f"{folder} cannot be made: {error.strerror}") from error


def has_witness(folder: Path) -> bool:
    """Tell whether a folder holds a witness."""
    return (folder / KEY_FILE).exists()


def read_cosigners(folder: Path) -> list[Cosigner]:
    """Return the private keys of the witness in a folder.

    Raises: SettingsError.
    """
    path = folder / KEY_FILE
    try:
        if path.stat().st_mode & 0o077:
            raise SettingsError(
                f"{path} is readable by users other than its owner", hint=f"chmod 600 {path}"
            )
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise SettingsError(
            f"{folder} contains no witness", hint=f"tallystick witness init {folder} --name NAME"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read") from error
    if not lines:
        raise SettingsError(f"{path} is empty")
    return [Cosigner.from_private_text(line) for line in lines]


def witness_lines(cosigners: Sequence[Cosigner], url: str) -> list[str]:
    """Return the lines by which a log adds the witness, one for each of its keys."""
    lines = []
    for cosigner in cosigners:
        verifier = cosigner.verifier
        suffix = "" if verifier.algorithm is CosignatureAlgorithm.ED25519 else "-ml-dsa-44"
        lines.append(PolicyWitness(verifier.name + suffix, verifier, url).to_line())
    return lines


def read_logs(folder: Path) -> list[Verifier]:
    """Return the keys of the logs that the witness in a folder knows.

    Raises: SettingsError that names the line.
    """
    try:
        lines = (folder / LOGS_FILE).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{folder / LOGS_FILE} cannot be read") from error
    found: list[Verifier] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            found.append(parse_log(line))
        except MalformedNote as error:
            raise SettingsError(f"{folder / LOGS_FILE}, line {number}: {error.message}") from None
    return found


def parse_log(line: str) -> Verifier:
    """Read a log's key, alone or in a policy's line `log KEY [URL]`.

    Raises: MalformedNote.
    """
    words = line.split()
    words = words[1:] if words[:1] == ["log"] else words
    if len(words) not in (1, 2):
        raise MalformedNote("a log is a key, and perhaps a URL")
    return Verifier.parse(words[0])


def add_log(folder: Path, verifier: Verifier) -> bool:
    """Let the witness in a folder know a log; tell whether it did not before."""
    if verifier in read_logs(folder):
        return False
    path = folder / LOGS_FILE
    before = path.read_bytes() if path.exists() else b""
    replace_file(path, before + f"log {verifier}\n".encode())
    return True


def _checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint in a text that is signed.

    Raises: MalformedNote; BadConsistencyProof for an empty log whose root is another one.
    """
    lines = text.split("\n")
    is_empty = len(lines) >= 3 and lines[1] == "0"
    if is_empty and from_base64(lines[2], MalformedNote, "the root") != EMPTY_ROOT:
        raise BadConsistencyProof("this is not the root of the empty log")
    return Checkpoint.parse(text)


def _signature_lines(note: str, verifiers: Sequence[Verifier]) -> str:
    """Return the signature lines of known keys, and no others: whatever they hold is not kept."""
    known = {(verifier.name, verifier.key_id) for verifier in verifiers}
    _, signatures = split_note(note)
    return "".join(each.to_line() for each in signatures if (each.name, each.key_id) in known)


def _refusal(status: int, reason: str) -> WitnessReply:
    return WitnessReply(status, f"{reason}\n")
