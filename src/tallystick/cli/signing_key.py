"""What is done with the signing key of a data folder: rotation, and signers elsewhere."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path

import click
import msgspec

from tallystick import durable, times
from tallystick.cli.target import Reach, with_reach
from tallystick.clock import SystemClock
from tallystick.data_folder import KEY_FILE, held
from tallystick.errors import Conflict, MalformedNote, SettingsError, TallystickError
from tallystick.log.external_signer import ExternalKey, public_key_of
from tallystick.log.keys import (
    key_text,
    log_key_text,
    parse_log_key,
    read_log_key,
    signing_part,
    write_key_text,
)
from tallystick.node.node import open_node
from tallystick.tlog.encoding import from_base64, to_base64
from tallystick.tlog.note import Signer

_DAY_MS = 86_400_000
_SIGNER = click.option(
    "--signer", "command", metavar="COMMAND", help="The program that keeps the new key."
)


@click.command("rotate")
@click.option(
    "--both-for",
    "days",
    type=click.FloatRange(0, 3650),
    metavar="DAYS",
    default=30.0,
    show_default=True,
    help="Time for which the old key also signs.",
)
@_SIGNER
@with_reach
def rotate_key(reach: Reach, days: float, command: str | None) -> None:
    """Have another key sign the logs of a data folder. Stop the server before.

    Each log gets an entry with a statement that both keys sign, by which readers who pinned the
    former key follow; checkpoints are signed by both for --both-for days, then by the new one
    alone, and the former private key is destroyed. Receipts that were given out verify as before,
    with the key they name. What is derived from the first key (tokens, seals of the DataTrails log)
    stays as it is.
    """
    path = reach.folder / KEY_FILE
    until_ms = SystemClock().now_ms() + int(days * _DAY_MS)
    with held(reach.folder):
        old_text = key_text(path)
        old = parse_log_key(old_text)
        if old.former_signs():
            raise Conflict(
                "the last rotation is not over: the former key still signs",
                hint="wait until then, or end the log with: tallystick tenants succeed",
            )
        name = signing_part(old_text)
        new = _external(command) if command is not None else Signer.generate("log")
        text = log_key_text(new, old.secret(), command=command, former=(name, until_ms))
        write_key_text(path, text)
    # Opening records the rotation in each log, as the next start would.
    with contextlib.closing(open_node(reach.folder, reach.settings(), followers=False)) as node:
        logs = {head.tenant: node.ledger.proofs.verifier_key(head.tenant)
                for head in node.store.log_heads()}  # fmt: skip
        warnings = list(node.problems)
    told = {"both_sign_until": times.to_rfc3339(until_ms), "keys": logs, "problems": warnings}
    reach.show(
        told,
        lambda: "\n".join(
            [f"both keys sign until {told['both_sign_until']}; the new keys:", *logs.values(),
             *(f"not in order: {each}" for each in warnings)]
        ),
    )  # fmt: skip


@click.command("external")
@click.argument("command")
@with_reach
def external_key(reach: Reach, command: str) -> None:
    """Leave the signing key of a data folder to another program. Stop the server before.

    COMMAND is started by servers and asked for signatures; the protocol is in
    docs/design/external-signer.md, and `tallystick signer FILE` is a program that speaks it. It
    must keep the key that the folder has now; in a new folder its key becomes the folder's. For
    another key: tallystick keys rotate --signer COMMAND.
    """
    path = reach.folder / KEY_FILE
    signer = _external(command)
    with held(reach.folder):
        if path.exists():
            known = read_log_key(path)
            if known.former_signs():
                raise Conflict("the last rotation is not over: the former key still signs")
            if known.signer("log").verifier.public_key != signer.verifier.public_key:
                raise Conflict(
                    "the program keeps another key than the folder has",
                    hint="to go over to it: tallystick keys rotate --signer COMMAND",
                )
            write_key_text(path, log_key_text(signer, known.secret(), command=command))
        else:
            secret = Signer.generate("log").seed()
            durable.create_file(path, log_key_text(signer, secret, command=command).encode())
    reach.show(
        {"external": command, "key": str(signer.verifier)},
        lambda: f"{path} holds no private key now; signatures come from: {command}",
    )


def _external(command: str) -> Signer:
    """Return the signer that a command is. Raises: SettingsError."""
    if not shlex.split(command) or "\n" in command:
        raise SettingsError("a signer is a command of one line")
    return Signer("log", ExternalKey(command, public_key_of(command)))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--new", is_flag=True, help="First create FILE with a new key.")
@click.option("--from", "source", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="First create FILE with the private key of this log.key.")  # fmt: skip
def signer(file: Path, new: bool, source: Path | None) -> None:
    """Sign for a server with the key in FILE: the reference of the external-signer protocol.

    Reads questions from standard input and answers on standard output, a line of JSON each, until
    the input ends: {"op": "public-key"} and {"op": "sign", "message": BASE64}.
    """
    if new or source is not None:
        _make(file, source)
    key = _signer_of(file)
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(_answer(key, line)) + b"\n")
        sys.stdout.buffer.flush()


def _make(file: Path, source: Path | None) -> None:
    private = Signer.generate("log")
    if source is not None:
        private = Signer.from_private_text(signing_part(key_text(source)))
    try:
        durable.create_file(file, private.to_private_text().encode())
    except OSError as error:
        raise SettingsError(f"{file} cannot be made: {error.strerror}") from error


def _signer_of(file: Path) -> Signer:
    return Signer.from_private_text(key_text(file))


def _answer(key: Signer, line: bytes) -> dict[str, str]:
    """Return the answer to one question; a bad one ends nothing."""
    try:
        question = msgspec.json.decode(line, type=dict[str, str])
        if question.get("op") == "public-key":
            return {"public_key": to_base64(key.verifier.public_key)}
        if question.get("op") == "sign":
            message = from_base64(question.get("message", ""), MalformedNote, "the message")
            return {"signature": to_base64(key.sign_bytes(message))}
    except (msgspec.DecodeError, TallystickError):
        return {"error": "the question cannot be read"}
    return {"error": "unknown operation"}


COMMANDS = (signer,)
