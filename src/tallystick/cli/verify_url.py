"""`tallystick verify URL`: whether a log only grew since it was last looked at."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import click
import msgspec

from tallystick import times
from tallystick.client.client import Client, Json, Unreachable
from tallystick.client.log_check import CheckedLog, check_log
from tallystick.client.remembered_heads import HeadMoved, PinnedHeads, default_folder
from tallystick.client.shown_log import place_of, shown_log
from tallystick.clock import SystemClock
from tallystick.errors import MalformedNote
from tallystick.tlog.encoding import to_base64
from tallystick.tlog.note import Verifier

CREDENTIAL_VARIABLE: Final = "TALLYSTICK_KEY"

_NOT_PROVEN: Final = (
    "that what the events say is true, and that everything was recorded that should have been",
    "that other readers are shown the same log: compare heads with them, or ask for witnesses",
)
_FIRST_CONTACT: Final = "anything about the time before this first contact"
_UNCONFIRMED: Final = "whose log this is: compare the key with its owner by another way"


def is_url(what: str) -> bool:
    """Tell whether something to verify is a log somewhere else."""
    return what.startswith(("http://", "https://"))


def verify_url(
    url: str,
    *,
    credential: str | None,
    pin: str | None,
    heads: Path | None,
    as_json: bool,
    interval_s: float | None,
) -> None:
    """Check the log at a URL, once without an interval, else until somebody stops it.

    Raises: VerificationError; when it is checked once, also Unreachable and ApiError.
    """
    remembered = PinnedHeads(heads or default_folder())
    credential = credential or os.environ.get(CREDENTIAL_VARIABLE) or None
    verifier = _pinned(pin)
    if interval_s is None:
        _check(url, credential, verifier, remembered, as_json)
        return
    try:
        while True:
            try:
                _check(url, credential, verifier, remembered, as_json)
            except Unreachable as error:
                click.echo(f"{_now()} not checked: {error.message}", err=True)
            time.sleep(interval_s)
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


def _pinned(pin: str | None) -> Verifier | None:
    try:
        return None if pin is None else Verifier.parse(pin.strip())
    except MalformedNote as error:
        raise click.BadParameter(error.message, param_hint="--pin") from error


def _check(
    url: str,
    credential: str | None,
    pin: Verifier | None,
    remembered: PinnedHeads,
    as_json: bool,
) -> None:
    base = url.rstrip("/")
    with Client(base) as public, Client(base, credential, watch=False) as private:
        while True:
            log = shown_log(private if credential else public, public)
            # A public log is the same for everybody: its place needs no credential.
            place = place_of(base, credential if log.needs_credential else None)
            checked = check_log(log, remembered, place, base, pin)
            _show(url, checked, remembered, as_json)
            if checked.old == checked.new:
                return
            try:
                # Last: a run that is cut off before repeats all of it.
                remembered.remember(checked.key, checked.note, instead_of=checked.old)
            except HeadMoved:
                continue
            return


def _show(url: str, checked: CheckedLog, remembered: PinnedHeads, as_json: bool) -> None:
    proven, not_proven = _proven(checked), _not_proven(checked)
    if as_json:
        told: Json = {
            "verified": True,
            "url": url,
            "origin": checked.key.name,
            "key": str(checked.key),
            "pinned_now": checked.pinned_now,
            "old_size": None if checked.old is None else checked.old.size,
            "size": checked.new.size,
            "root": to_base64(checked.new.root),
            "remembered": str(remembered.path_of(checked.key)),
            "proven": proven,
            "not_proven": not_proven,
        }
        click.echo(msgspec.json.encode(told).decode())
        return
    lines = [f"{_now()} {checked.key.name}: {checked.new.size:,} entries"]
    if checked.pinned_now:
        lines.append(f"  pinned      {checked.key}")
    lines += [f"  proven      {each}" for each in proven]
    lines += [f"  not proven  {each}" for each in not_proven]
    click.echo("\n".join(lines))


def _proven(checked: CheckedLog) -> list[str]:
    signed = "the pinned key signed this size and root"
    if checked.pinned_now:
        signed = (
            "the key that the log names, which is pinned from now on, signed this size and root"
        )
    if checked.old is None:
        return [signed]
    if checked.old.size == 0:
        return [signed, "the log was empty at the last check"]
    old, added = checked.old.size, checked.new.size - checked.old.size
    return [
        signed,
        f"all {old:,} entries that were there at the last check are there, unchanged and in order; "
        f"{added:,} were added behind them",
    ]


def _not_proven(checked: CheckedLog) -> list[str]:
    first = [] if checked.old is not None else [_FIRST_CONTACT]
    unconfirmed = [_UNCONFIRMED] if checked.pinned_now else []
    return [*first, *unconfirmed, *_NOT_PROVEN]


def _now() -> str:
    return times.to_rfc3339(SystemClock().now_ms())
