"""Streams: events sent to other systems as they happen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from tallystick.cli.target import Reach, with_reach
from tallystick.client.client import Json
from tallystick.identity.streams import MODES, SINKS

_NAME = click.argument("name", metavar="NAME")


@click.group()
def streams() -> None:
    """Send events to webhooks, Splunk, OpenTelemetry, CloudEvents and object stores."""


_FILTERS: tuple[tuple[str, str], ...] = (
    ("kind", "Only this kind; order.* is every kind that begins so. May be repeated."),
    ("actor", "Only events of this actor, TYPE:ID. May be repeated."),
    ("target", "Only events about this target, TYPE:ID. May be repeated."),
    ("scope", "Only events within this scope, TYPE:ID. May be repeated."),
    ("trail", "Only events of this trail. May be repeated."),
    ("dialect", "Only events that came in through this API. May be repeated."),
)


def _with_filters(command: Callable[..., None]) -> Callable[..., None]:
    for name, text in reversed(_FILTERS):
        command = click.option(f"--{name}", f"filter_{name}", multiple=True, help=text)(command)
    return click.option("--query", "-q", "filter_q", help="Only events that match this query.")(
        command
    )


@streams.command("create")
@_NAME
@click.option("--sink", type=click.Choice(SINKS), required=True, help="Type of the receiver.")
@click.option(
    "--to", required=True, help="URL of the receiver, or name of a configured destination."
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="ordered",
    show_default=True,
    help="In log order, stopping at a failure; or event by event, continuing past failures.",
)
@click.option("--token", envvar="TALLYSTICK_STREAM_TOKEN", help="Token of a Splunk collector.")
@click.option("--header", "headers", multiple=True, help="NAME: VALUE, sent with every request.")
@click.option("--option", "options", multiple=True, help="NAME=VALUE, such as index=audit.")
@click.option(
    "--from", "start", default="now", show_default=True,
    help="Start: now, start, a position in the log or an RFC 3339 time.",
)  # fmt: skip
@_with_filters
@with_reach
def create_stream(
    reach: Reach,
    /,
    name: str,
    sink: str,
    to: str,
    mode: str,
    token: str | None,
    headers: Sequence[str],
    options: Sequence[str],
    start: str,
    **filters: Sequence[str] | str | None,
) -> None:
    """Create the stream NAME, which sends events from now on."""
    body: Json = {"name": name, "sink": sink, "to": to, "mode": mode, "from": _place(start)}
    body["filter"] = {key.removeprefix("filter_"): v for key, v in filters.items() if v}
    body["headers"] = dict(_pair(text, ":", "--header") for text in headers)
    body["options"] = dict(_pair(text, "=", "--option") for text in options)
    if token is not None:
        body["token"] = token
    created = reach.ask_tenant("POST", "streams", body=body)
    reach.show(created, lambda: _created(created))


@streams.command("list")
@with_reach
def list_streams(reach: Reach) -> None:
    """List streams, with the lag and the last failure of each."""
    rows = reach.ask_tenant("GET", "streams")["streams"]
    reach.show_table(
        rows, ("name", "sink", "to", "mode", "state", "lag", "delivered_at", "problem", "reason")
    )


@streams.command("show")
@_NAME
@click.option("--deliveries", is_flag=True, help="Show the latest deliveries.")
@click.option("--dead", is_flag=True, help="Show the dead letters.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@with_reach
def show_stream(reach: Reach, name: str, deliveries: bool, dead: bool, limit: int) -> None:
    """Show the stream NAME, its latest deliveries, or its dead letters."""
    params = {"limit": str(limit)}
    if deliveries:
        rows = reach.ask_tenant("GET", "streams", name, "deliveries", params=params)
        columns = ("at", "from", "to", "events", "attempt", "status", "took_ms", "problem")
        reach.show_table(rows["deliveries"], columns)
        return
    if dead:
        rows = reach.ask_tenant("GET", "streams", name, "dead-letters", params=params)
        reach.show_table(rows["dead_letters"], ("from", "to", "attempts", "problem"))
        return
    stream = reach.ask_tenant("GET", "streams", name)
    reach.show(stream, lambda: _lines(stream))


@streams.command("pause")
@_NAME
@click.option("--reason", help="Reason, shown with the stream.")
@with_reach
def pause_stream(reach: Reach, name: str, reason: str | None) -> None:
    """Stop sending until the stream is resumed; no events are lost."""
    body = {} if reason is None else {"reason": reason}
    _acted(reach, name, "pause", body, "paused")


@streams.command("resume")
@_NAME
@with_reach
def resume_stream(reach: Reach, name: str) -> None:
    """Resume a paused or disabled stream where it stopped."""
    _acted(reach, name, "resume", {}, "resumed")


@streams.command("test")
@_NAME
@with_reach
def test_stream(reach: Reach, name: str) -> None:
    """Send a test message to the receiver and show its response."""
    outcome = reach.ask_tenant("POST", "streams", name, "test", body={})
    reach.show(outcome, lambda: _tested(outcome))
    if not outcome["delivered"]:
        raise click.exceptions.Exit(1)


@streams.command("replay")
@_NAME
@click.option("--from", "start", help="Position or RFC 3339 time from which to send again.")
@click.option("--to", "end", help="Position or time before which to stop and continue as before.")
@click.option("--dead", is_flag=True, help="Send all dead letters again instead.")
@with_reach
def replay_stream(reach: Reach, name: str, start: str | None, end: str | None, dead: bool) -> None:
    """Send a range of events, or the dead letters, again."""
    body: Json = {"dead": dead}
    if start is not None:
        body["from"] = _place(start)
    if end is not None:
        body["to"] = _place(end)
    _acted(reach, name, "replay", body, "sends again")


@streams.command("skip")
@_NAME
@click.option(
    "--to", "end", help="Position or time to continue from; default: past the failing batch."
)
@with_reach
def skip_stream(reach: Reach, name: str, end: str | None) -> None:
    """Continue past what the receiver rejects, or from any position in the log."""
    _acted(reach, name, "skip", {} if end is None else {"to": _place(end)}, "skipped")


@streams.command("rotate-secret")
@_NAME
@with_reach
def rotate_secret(reach: Reach, name: str) -> None:
    """Create a new secret; the old one also signs for 24 hours."""
    rotated = reach.ask_tenant("POST", "streams", name, "rotate-secret", body={})
    reach.show(rotated, lambda: _created(rotated))


@streams.command("delete")
@_NAME
@with_reach
def delete_stream(reach: Reach, name: str) -> None:
    """Delete the stream NAME; its deliveries stay on record."""
    reach.ask_tenant("DELETE", "streams", name)
    reach.show({"name": name, "deleted": True}, lambda: f"stream {name} deleted")


def _acted(reach: Reach, name: str, act: str, body: Json, what: str) -> None:
    stream = reach.ask_tenant("POST", "streams", name, act, body=body)
    reach.show(stream, lambda: f"stream {name} {what}; {stream['lag']:,} entries behind")


def _created(stream: Json) -> str:
    lines = [f"stream {stream['name']} sends to {stream['to']}, {stream['mode']}"]
    if stream.get("secret"):
        lines += [f"secret      {stream['secret']}", f"public key  {stream['public_key']}"]
    return "\n".join(lines)


def _lines(stream: Json) -> str:
    told = {name: value for name, value in stream.items() if value not in (None, {}, [])}
    return "\n".join(f"{name:16} {value}" for name, value in told.items())


def _tested(outcome: Json) -> str:
    if outcome["delivered"]:
        return f"the receiver took it in {outcome['took_ms']} ms"
    answer = f": {outcome['answer']}" if outcome.get("answer") else ""
    return f"{outcome.get('problem', 'it was not taken')}{answer}"


def _pair(text: str, sign: str, option: str) -> tuple[str, str]:
    name, found, value = text.partition(sign)
    if not found or not name.strip():
        raise click.UsageError(f"{option} is written NAME{sign}VALUE")
    return name.strip(), value.strip()


def _place(text: str) -> str | int:
    """Return a position as a number, and a time or word as it is."""
    return int(text) if text.isascii() and text.isdigit() else text


COMMANDS = (streams,)
