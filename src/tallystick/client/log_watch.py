"""The watch that a client keeps on the log behind its answers.

After the first answer, then once a minute and when the client is closed, the log is compared with
the last head that is remembered of it, and with the checkpoint that came with the last answer. A
check that cannot be made, because the server is away or refuses it, is made later; one that fails
is raised from the call that noticed it.
"""

from __future__ import annotations

import threading
import time
import warnings
from base64 import b64decode
from typing import TYPE_CHECKING, Final

from tallystick.client.log_check import CheckedLog, check_log
from tallystick.client.remembered_heads import HeadMoved, PinnedHeads
from tallystick.client.shown_log import ServerLog
from tallystick.errors import BadConsistencyProof, SettingsError
from tallystick.tlog.checkpoint import open_checkpoint
from tallystick.tlog.note import Verifier
from tallystick.tlog.proof import verify_consistency

if TYPE_CHECKING:
    from tallystick.client.client import Client

INTERVAL_S: Final = 60.0


class LogWatch:
    """Watches one client's log; safe to share between threads."""

    def __init__(
        self, client: Client, heads: PinnedHeads, place: str, url: str, pin: Verifier | None
    ) -> None:
        self._client = client
        self._heads = heads
        self._place = place
        self._url = url
        self._pin = pin
        # Held while a check runs; a thread that finds it held leaves the check to the other one.
        self._checking = threading.Lock()
        # Written by any thread, each value whole: the checkpoint of the last answer, in base64.
        self._shown: str | None = None
        # Written only while `_checking` is held.
        self._checked_s: float | None = None
        self.checked: CheckedLog | None = None
        """The log as it was last found to be in order."""

    def answered(self, checkpoint: str) -> None:
        """Note the checkpoint of an answer, and check the log when it is time to.

        Raises: VerificationError.
        """
        self._shown = checkpoint
        last = self._checked_s
        if last is None or time.monotonic() - last >= INTERVAL_S:
            self.check()

    def check(self) -> None:
        """Check the log now, if something was shown since the last check.

        Raises: VerificationError.
        """
        from tallystick.client.client import ApiError, Unreachable

        if self._shown is None or not self._checking.acquire(blocking=False):
            return
        try:
            self._checked_s = time.monotonic()
            shown, self._shown = self._shown, None
            self._check(shown)
        except (ApiError, Unreachable):
            # The call that brought us here has its answer: a later one asks again.
            self._shown = self._shown or shown
        finally:
            self._checking.release()

    def _check(self, shown: str) -> None:
        while True:
            log = ServerLog(self._client)
            checked = check_log(log, self._heads, self._place, self._url, self._pin)
            _require_shown(shown, log, checked)
            self.checked = checked
            if checked.old == checked.new:
                return
            try:
                self._heads.remember(checked.key, checked.note, instead_of=checked.old)
            except HeadMoved:
                continue
            return


def _require_shown(shown: str, log: ServerLog, checked: CheckedLog) -> None:
    """See that the log contains what the last answer was covered by.

    Raises: BadConsistencyProof, BadSignature.
    """
    covering = open_checkpoint(b64decode(shown), [checked.key], checked.key.name)
    if covering.size > checked.new.size:
        raise BadConsistencyProof(
            f"rewound: an answer showed {covering.size:,} entries, the log {checked.new.size:,}"
        )
    proof = log.consistency(covering.size, checked.new.size)
    try:
        verify_consistency(covering.size, covering.root, checked.new.size, checked.new.root, proof)
    except BadConsistencyProof as error:
        raise BadConsistencyProof(
            f"forked: an answer was covered by a checkpoint that the log does not continue "
            f"({error.message})"
        ) from error


def open_watch(
    client: Client, heads: PinnedHeads, place: str, url: str, pin: str | None
) -> LogWatch | None:
    """Return a watch that remembers heads in a folder; None, with a warning, where it cannot.

    Raises: MalformedNote for a pin that is no verifier key.
    """
    verifier = None if pin is None else Verifier.parse(pin)
    try:
        heads.require_writable()
    except SettingsError as error:
        warnings.warn(f"the log is not watched: {error.message}", stacklevel=3)
        return None
    return LogWatch(client, heads, place, url, verifier)
