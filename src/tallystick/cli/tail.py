"""`tallystick tail`: events as they are committed, until somebody says stop."""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Iterator

import click
import msgspec

from tallystick.cli.target import Reach, with_reach
from tallystick.client.client import Client, Json, StreamEvent, Unreachable

_SINCE = re.compile(r"(\d{1,9})([smhdw])\Z", re.ASCII)
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_WAIT_S = (1.0, 30.0)
"""The first and the longest wait before connecting again."""

_INTERRUPTED = 130
_COLOURS = ("green", "yellow", "blue", "magenta", "cyan", "bright_blue", "bright_magenta")
_CHANGES = {"revise": "revised", "retract": "retracted", "erase": "erased"}


@click.command()
@click.option("--kind", multiple=True, help="Kind, exact or like order.*; repeatable.")
@click.option("--actor", multiple=True, metavar="TYPE:ID")
@click.option("--target", multiple=True, metavar="TYPE:ID")
@click.option("--scope", multiple=True, metavar="TYPE:ID")
@click.option("--trail", multiple=True)
@click.option("--dialect", multiple=True, help="The API that wrote it; repeatable.")
@click.option("-q", "query", help="Search query; see `tallystick search --help`.")
@click.option("--log", "whole_log", is_flag=True, help="Every entry of the log, as recorded.")
@click.option("--since", help="Begin with events recorded since: 2h, 30m, 1d, or an RFC 3339 time.")
@click.option("--cursor", help="Continue after an id that --json printed.")
@click.option("--limit", type=click.IntRange(1), help="Stop after this many events.")
@click.option("--color/--no-color", default=None, help="Colours; on a terminal by default.")
@with_reach
def tail(
    reach: Reach,
    kind: tuple[str, ...],
    actor: tuple[str, ...],
    target: tuple[str, ...],
    scope: tuple[str, ...],
    trail: tuple[str, ...],
    dialect: tuple[str, ...],
    query: str | None,
    whole_log: bool,
    since: str | None,
    cursor: str | None,
    limit: int | None,
    color: bool | None,
) -> None:
    """Print events as they are committed; connects again when the connection is lost.

    With --json an event is a line: {"op": ..., "cursor": ..., "event": ...}. Ends with 130 when
    interrupted, with 1 when the server refuses.
    """
    params: Json = {
        "kind": kind, "actor": actor, "target": target, "scope": scope, "trail": trail,
        "dialect": dialect, "q": query, "view": "log" if whole_log else None,
        "since": None if since is None else _since(since), "cursor": cursor,
    }  # fmt: skip
    left = limit
    try:
        with reach.client() as client:
            for sent in _followed(client, params):
                line = _json_line(sent) if reach.as_json else _line(sent)
                click.echo(line, color=color)
                sys.stdout.flush()
                left = None if left is None else left - 1
                if left == 0:
                    return
    except KeyboardInterrupt:
        raise SystemExit(_INTERRUPTED) from None


def _followed(client: Client, params: Json) -> Iterator[StreamEvent]:
    """Yield events for ever, connecting again behind the last id that came."""
    last_id: str | None = None
    wait_s = _WAIT_S[0]
    while True:
        try:
            for sent in client.stream(params, last_id=last_id):
                last_id, wait_s = sent.id, _WAIT_S[0]
                if sent.data is not None:
                    yield sent
            reason = "the server ended the stream"
        except Unreachable as error:
            reason = error.message
        pause_s = wait_s * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
        click.echo(f"tallystick: {reason}; trying again in {pause_s:.0f} s", err=True)
        time.sleep(pause_s)
        wait_s = min(2 * wait_s, _WAIT_S[1])


def _since(text: str) -> str:
    """Return a time for the server: a stretch such as 2h counts back from now."""
    stretch = _SINCE.match(text)
    if stretch is None:
        return text
    return str(time.time_ns() // 1_000_000 - int(stretch[1]) * _UNITS_MS[stretch[2]])


def _json_line(sent: StreamEvent) -> str:
    told = {"op": sent.op, "cursor": sent.id, "event": sent.data}
    return msgspec.json.encode(told).decode()


def _line(sent: StreamEvent) -> str:
    event = sent.data or {}
    when = str(event.get("occurred_at") or event.get("recorded_at"))
    kind = str(event.get("kind", ""))
    parts = [click.style(when, dim=True), click.style(_plain(kind), fg=_colour(kind), bold=True)]
    if sent.op in _CHANGES:
        parts.append(click.style(_CHANGES[sent.op], fg="red"))
    summary = event.get("summary")
    if sent.op in ("retract", "erase"):
        parts.append(str(event.get("id") or f"sha256:{event.get('id_sha256')}"))
    elif isinstance(summary, dict):
        parts.append(_plain(str(summary.get("text"))))
    return "  ".join(part for part in parts if part)


def _colour(kind: str) -> str:
    """Return the colour of a kind's class: the same one every time."""
    return _COLOURS[sum(kind.partition(".")[0].encode()) % len(_COLOURS)]


def _plain(text: str) -> str:
    """Return a text that a terminal only shows: events may hold what it would obey."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


COMMANDS = (tail,)
