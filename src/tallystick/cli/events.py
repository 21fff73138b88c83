"""Events and proofs: append, list, get, search, receipt, verify."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click
import msgspec

from tallystick.cli.target import Reach, with_reach
from tallystick.client.client import Json
from tallystick.errors import Malformed
from tallystick.imports.files import BROKEN, unpacked
from tallystick.imports.splitting import texts_of

_COLUMNS = ("index", "occurred_at", "kind", "actor", "target", "id")
_RECEIPT_BYTES_MAX = 16 * 1024 * 1024


@click.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--idempotency-key", help="Makes sending the same input again safe.")
@with_reach
def append(reach: Reach, file: IO[bytes], idempotency_key: str | None) -> None:
    """Store events from FILE (or standard input): one JSON object, an array, or one a line.

    FILE may be packed with gzip or zstd. Lines that are refused are reported and do not stop the
    others. Events that are stored already, by their id or the key, are counted as such.
    """
    stored = known = failed = 0
    with reach.client() as client:
        for results in client.append_lines(_events(file), idempotency_key=idempotency_key):
            for result in results:
                if result.error is None:
                    stored, known = stored + (result.status != 200), known + (result.status == 200)
                    if not reach.as_json:
                        click.echo(result.id)
                else:
                    failed += 1
                    click.echo(f"line {result.line}: {result.error}", err=True)
    told = {"stored": stored, "already_there": known, "failed": failed}
    repeated = f", {known} already there" if known else ""
    reach.show(told, lambda: f"{stored} stored{repeated}, {failed} refused")
    if failed:
        raise SystemExit(1)


def _events(file: IO[bytes]) -> Iterator[bytes]:
    """Yield one JSON text an event, unpacked."""
    try:
        yield from texts_of(unpacked(file))
    except BROKEN as error:
        raise Malformed(f"the input is truncated or damaged: {error}") from None
    except Malformed as error:
        raise Malformed(f"the input is neither JSON nor lines of JSON: {error.message}") from None


@click.group()
def events() -> None:
    """Read events."""


@events.command("list")
@click.option("--kind", multiple=True, help="Kind, exact or like order.*; repeatable.")
@click.option("--actor", multiple=True, metavar="TYPE:ID")
@click.option("--target", multiple=True, metavar="TYPE:ID")
@click.option("--scope", multiple=True, metavar="TYPE:ID")
@click.option("--trail", multiple=True)
@click.option("--from", "start", help="Not before this time (RFC 3339).")
@click.option("--to", "stop", help="Before this time (RFC 3339).")
@click.option("--order", type=click.Choice(["desc", "asc"]), default="desc", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option("--log", "whole_log", is_flag=True, help="Every entry of the log, as recorded.")
@click.option("-q", "query", help="Search query; see `tallystick search --help`.")
@with_reach
def list_events(
    reach: Reach,
    kind: tuple[str, ...],
    actor: tuple[str, ...],
    target: tuple[str, ...],
    scope: tuple[str, ...],
    trail: tuple[str, ...],
    start: str | None,
    stop: str | None,
    order: str,
    limit: int,
    whole_log: bool,
    query: str | None,
) -> None:
    """List events, newest first."""
    params: Json = {
        "kind": kind, "actor": actor, "target": target, "scope": scope, "trail": trail,
        "from": start, "to": stop, "order": order, "q": query,
        "view": "log" if whole_log else None,
    }  # fmt: skip
    with reach.client() as client:
        rows = list(client.events(params, limit=limit))
    reach.show_table(rows, _COLUMNS)


@events.command("get")
@click.argument("event_id")
@with_reach
def get_event(reach: Reach, event_id: str) -> None:
    """Print one event."""
    with reach.client() as client:
        found = client.event(event_id)
    pretty = msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
    click.echo(pretty)


@click.command()
@click.argument("query")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option("--sort", help="Fields, such as -occurred_at,data.total; default newest first.")
@click.option("--total", is_flag=True, help="Count all matches.")
@with_reach
def search(reach: Reach, query: str, limit: int, sort: str | None, total: bool) -> None:
    """Search events with Lucene syntax.

    For example: actor:alice kind:order.* -kind:order.viewed data.total:[100 TO *] "free text"
    """
    with reach.client() as client:
        rows = list(client.events({"q": query, "sort": sort}, limit=limit))
        if total:
            page = client.page({"q": query, "limit": 1, "total": "true"})
            click.echo(f"{page['total']} events match", err=True)
    reach.show_table(rows, _COLUMNS)


@click.command()
@click.argument("event_id")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@with_reach
def receipt(reach: Reach, event_id: str, out: Path | None) -> None:
    """Fetch the receipt of an event, verify it, and print or write it."""
    with reach.client() as client:
        body = client.receipt(event_id)
    if out is None:
        sys.stdout.buffer.write(body)
        return
    out.write_bytes(body)
    click.echo(f"receipt written to {out}", err=True)


COMMANDS = (append, events, search, receipt)
