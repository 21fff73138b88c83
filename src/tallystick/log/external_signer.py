"""A signing key that another program keeps: a hardware module, a key service, a file elsewhere.

The program is started once and asked in lines of JSON, one answer a line. It never gets to choose
the key: each signature is verified with the public key in the key file before it is used.
Source: docs/design/external-signer.md.
"""

from __future__ import annotations

import contextlib
import select
import shlex
import subprocess
import threading
from base64 import b64decode, b64encode
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tallystick.errors import SettingsError, StoreFailed

TIMEOUT_S: Final = 10.0

_LINE_BYTES_MAX: Final = 64 * 1024
_STOP_S: Final = 2.0


class _Answer(msgspec.Struct):
    public_key: str | None = None
    signature: str | None = None
    error: str | None = None


class _Failed(Exception):
    """The program did not answer a question."""


class ExternalKey:
    """A private key behind a command; safe to share between threads."""

    def __init__(self, command: str, public_key: bytes) -> None:
        self._public = Ed25519PublicKey.from_public_bytes(public_key)
        # Held for one question and its answer.
        self._lock = threading.Lock()
        self._program = _Program(command)

    def public_key(self) -> Ed25519PublicKey:
        """Return the public half, which the key file names."""
        return self._public

    def sign(self, data: bytes, /) -> bytes:
        """Return the signature over bytes.

        Raises: StoreFailed when the program does not answer, or with another key's signature.
        """
        question = {"op": "sign", "message": b64encode(data).decode()}
        try:
            with self._lock:
                answer = self._program.ask_twice(question)
            signature = b64decode(answer.signature or "", validate=True)
            self._public.verify(signature, data)
        except _Failed as error:
            raise StoreFailed(
                f"the external signer does not sign: {error}",
                hint="nothing is stored until it does; look at its own messages",
            ) from error
        except (InvalidSignature, ValueError) as error:
            raise StoreFailed("the external signer signs with another key") from error
        return signature

    def close(self) -> None:
        """End the program, if it runs."""
        with self._lock:
            self._program.stop()


def public_key_of(command: str) -> bytes:
    """Return the public key that an external signer names.

    Raises: SettingsError.
    """
    program = _Program(command)
    try:
        answer = program.ask_twice({"op": "public-key"})
        key = b64decode(answer.public_key or "", validate=True)
        Ed25519PublicKey.from_public_bytes(key)
    except (_Failed, ValueError) as error:
        raise SettingsError(f"the external signer names no Ed25519 key: {error}") from error
    finally:
        program.stop()
    return key


class _Program:
    """The running command; one thread at a time asks it."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def ask_twice(self, question: dict[str, str]) -> _Answer:
        """Return the answer to a question, from a second process where the first is gone.

        Raises: _Failed.
        """
        try:
            return self._ask(question)
        except _Failed:
            self.stop()
            return self._ask(question)

    def _ask(self, question: dict[str, str]) -> _Answer:
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(msgspec.json.encode(question) + b"\n")
            process.stdin.flush()
            answer = msgspec.json.decode(self._line(process), type=_Answer)
        except OSError as error:
            raise _Failed(f"it ended: {error.strerror}") from error
        except msgspec.DecodeError as error:
            self.stop()
            raise _Failed("it answers in another form") from error
        if answer.error is not None:
            raise _Failed(answer.error[:200])
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            try:
                # The command is the operator's, from a file that only its owner can write.
                self._process = subprocess.Popen(  # noqa: S603
                    shlex.split(self._command),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    bufsize=0,
                )
            except (OSError, ValueError) as error:
                raise _Failed(f"it cannot be started: {error}") from error
        return self._process

    @staticmethod
    def _line(process: subprocess.Popen[bytes]) -> bytes:
        """Return the next line of the program. Raises: _Failed."""
        assert process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], TIMEOUT_S)
            if not ready:
                raise _Failed(f"it did not answer within {TIMEOUT_S:.0f} s")
            piece = process.stdout.read(4096)
            if not piece:
                raise _Failed("it ended")
            line += piece
            if len(line) > _LINE_BYTES_MAX:
                raise _Failed("its answer is too long")
        return line

    def stop(self) -> None:
        """End the program, if it runs."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
