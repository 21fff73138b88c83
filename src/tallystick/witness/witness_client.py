"""One exchange with one witness: a checkpoint goes there, cosignatures or a conflict come back.

Source: C2SP tlog-witness.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import httpx2

from tallystick.errors import StoreCorrupt, TallystickError, VerificationError
from tallystick.log.head_proof import root_at
from tallystick.log.proofs import Proofs
from tallystick.store.base import LogHead, Store
from tallystick.tlog.checkpoint import open_checkpoint
from tallystick.tlog.cosignature import Cosignature, CosignatureVerifier, cosignatures_of
from tallystick.tlog.note import Verifier
from tallystick.witness.requests import ADD_CHECKPOINT, CosignRequest, checkpoint_path

TIMEOUT_S: Final = 5.0

_ANSWER_BYTES_MAX: Final = 64 * 1024
_TURNS: Final = 3
_SIZE: Final = re.compile(r"(0|[1-9][0-9]{0,18})\n")


class WitnessFailed(TallystickError):
    """The witness did not cosign the checkpoint."""

    code = "witness_failed"


class WitnessConflict(WitnessFailed):
    """The witness knows a history of the log that is longer than this one, or another one.

    `is_proven` when it showed a checkpoint that our own key signed.
    """

    code = "witness_conflict"

    def __init__(self, message: str, *, is_proven: bool) -> None:
        super().__init__(message)
        self.is_proven = is_proven


class _Answer(NamedTuple):
    status: int
    text: str


class WitnessClient:
    """Speaks with witnesses on behalf of a store's logs; safe to share between threads."""

    def __init__(self, store: Store, proofs: Proofs) -> None:
        self._store = store
        self._proofs = proofs
        self._http = httpx2.Client(timeout=TIMEOUT_S, follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def cosign(
        self, head: LogHead, url: str, keys: Sequence[CosignatureVerifier], old_size: int
    ) -> list[Cosignature]:
        """Have a head cosigned; `old_size` is what the witness is believed to know.

        Raises: WitnessFailed, WitnessConflict; StoreBusy, StoreError.
        """
        old_size = min(old_size, head.size)
        for _ in range(_TURNS):
            proof = self._proofs.consistency(head.tenant, old_size, head.size)
            request = CosignRequest(old_size, proof, head.checkpoint)
            answer = self._ask("POST", f"{url}/{ADD_CHECKPOINT}", request.to_bytes())
            if answer.status == 200:
                return _cosignatures(head, answer.text, keys)
            if answer.status != 409:
                raise self._refused(head, url, answer)
            size = _size(answer.text)
            if size > head.size:
                raise self._overtaken(head, url, size)
            old_size = size
        raise WitnessFailed("the witness keeps reporting other sizes: other clients submit too")

    def _refused(self, head: LogHead, url: str, answer: _Answer) -> WitnessFailed:
        reason = f"{answer.status} {answer.text.strip()[:200]}".strip()
        if answer.status == 422:
            known = "the witness knows another history of this log"
            return WitnessConflict(f"{known}: {reason}", is_proven=self._is_proven(head, url))
        if answer.status == 404:
            reason += "; the witness has to be given the log's key"
        return WitnessFailed(reason)

    def _overtaken(self, head: LogHead, url: str, size: int) -> WitnessFailed:
        """Return why a witness knows more of a log: another server, or a log that was set back."""
        now = self._store.log_head(head.tenant)
        if now is not None and now.size >= size:
            return WitnessFailed("another server submitted first")
        told = f"the witness knows {size:,} entries, this log has {head.size:,}"
        return WitnessConflict(told, is_proven=self._is_proven(head, url))

    def _is_proven(self, head: LogHead, url: str) -> bool:
        """Tell whether a witness shows a checkpoint by our key that this log cannot have had."""
        try:
            answer = self._ask("GET", f"{url}/{checkpoint_path(head.origin)}", b"")
            if answer.status != 200:
                return False
            verifier = Verifier.parse(self._proofs.verifier_key(head.tenant))
            shown = open_checkpoint(answer.text, [verifier], head.origin)
            now = self._store.log_head(head.tenant) or head
            if shown.size > now.size:
                return True
            return root_at(self._store, head.tenant, shown.size) != shown.root
        except (WitnessFailed, VerificationError, StoreCorrupt):
            return False

    def _ask(self, method: str, url: str, body: bytes) -> _Answer:
        try:
            with self._http.stream(method, url, content=body) as response:
                data = b""
                for piece in response.iter_bytes():
                    data += piece
                    if len(data) > _ANSWER_BYTES_MAX:
                        raise WitnessFailed("the witness's answer is too large")
                return _Answer(response.status_code, data.decode("utf-8", "replace"))
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise WitnessFailed(f"the witness cannot be reached: {error}") from error


def _cosignatures(
    head: LogHead, lines: str, keys: Sequence[CosignatureVerifier]
) -> list[Cosignature]:
    try:
        found = cosignatures_of(head.checkpoint + lines, keys)
    except VerificationError as error:
        raise WitnessFailed(f"the witness returned no cosignature: {error.message}") from error
    if not found:
        raise WitnessFailed("the witness signs with another key than the one configured")
    return found


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise WitnessFailed("the witness reports no size")
    return int(match[1])
