"""PostgreSQL: durable singles and batches beside a plain service on the same server, and lists.

Rounds alternate between the two, each on a database of its own, so that whatever else the machine
does hits both; the medians and the raw rounds are printed. Then the log is filled to a size, and
pages are asked for, one at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from bench import servers
from bench.load import run_apart
from bench.write import CONNECTIONS, ROUNDS, SECONDS, Result, events, load, request, settle

BATCH = 1_000
BATCH_CONNECTIONS = 4
DISTINCT = 100_000
"""So many events differ; a larger fill repeats them."""
VARIANTS = 20
"""Requests of one figure that differ from each other."""
PAGES = {
    "newest": "",
    "oldest": "&order=asc",
    "deep in, by cursor": "&cursor={cursor}",
    "of a kind": "&kind={kind}",
    "of a kind in ten minutes": "&kind={kind}&from={begin}Z&to={end}Z",
    "of an actor": "&actor=user:u{n}",
    "on a target": "&target=order:o{far}",
    "in a scope": "&scope=shop:s{n}",
    "of an actor on a target": "&actor=user:u1&target=order:o{far}",
    "actor, kind and scope": "&actor=user:u{n}&kind={kind}&scope=shop:s{n}",
}
TOTALS = {
    "of everything": "",
    "of a kind": "&kind={kind}",
    "of an actor": "&actor=user:u{n}",
    "in a scope": "&scope=shop:s{n}",
    "on a target": "&target=order:o{far}",
}
KINDS = ("order.created", "order.updated", "iam.CreateUser", "invoice.created")
BEGIN = datetime(2023, 11, 14, 22, 15)  # in UTC, as the events are
PAGE_P50_MS = 5.0
SETTLE_S = 1_800
BEHIND = "SELECT count(*) FROM logs JOIN publications p USING (tenant) WHERE p.leaves < size"
WANTED = {"single / peer": 5.0, "batch / peer batch": 4.0}


@contextlib.contextmanager
def databases(*names: str) -> Iterator[list[str]]:
    """Yield the URLs of new databases on one server, which are dropped in the end."""
    with servers.postgres() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            version = connection.execute("SELECT version()").fetchone()
            print(*(version or ())[:1], f"load average {os.getloadavg()}", sep="\n")
            for name in names:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield [urlsplit(url)._replace(path=f"/{name}").geturl() for name in names]
        with psycopg.connect(url, autocommit=True) as connection:
            for name in names:
                drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
                connection.execute(drop.format(sql.Identifier(name)))


def write(port: int, own: str, peer: int) -> Result:
    """Return the rates of both servers, round by round."""
    bodies = events(2_000)
    ndjson = "application/x-ndjson"
    parts = ["\n".join(bodies[n : n + BATCH]) for n in (0, 500, 1000)]
    singles = [request(body) for body in bodies]
    batches = [request(part, kind=ndjson) for part in parts]
    peer_batches = [request(part, "/v1/batches", ndjson) for part in parts]
    steps = {
        "single": lambda: load(port, singles, CONNECTIONS)["rate"],
        "peer": lambda: load(peer, singles, CONNECTIONS)["rate"],
        "batch": lambda: load(port, batches, BATCH_CONNECTIONS)["rate"] * BATCH,
        "peer batch": lambda: load(peer, peer_batches, BATCH_CONNECTIONS)["rate"] * BATCH,
    }
    rounds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            rounds[name].append(step())
            settle_all(port, own)
    return rounds


def settle_all(port: int, database: str) -> None:
    """Wait until search and public log have everything: nobody is measured beside a follower."""
    settle(port, SETTLE_S)
    deadline_s = time.monotonic() + SETTLE_S
    with psycopg.connect(database, autocommit=True) as connection:
        while connection.execute(BEHIND).fetchone() != (0,):
            if time.monotonic() > deadline_s:
                raise SystemExit("the public log did not catch up")
            time.sleep(0.2)


def report_rates(rounds: dict[str, list[float]]) -> None:
    """Print medians, raw rounds and the ratios that are wanted."""
    median = {name: statistics.median(values) for name, values in rounds.items()}
    for name, values in rounds.items():
        raw = "  ".join(f"{value:,.0f}" for value in values)
        print(f"{name:12} median {median[name]:>10,.0f}/s   rounds {raw}")
    for ratio, wanted in WANTED.items():
        one, other = ratio.split(" / ")
        print(f"{ratio:20} {median[one] / median[other]:>8.2f}   (wanted: {wanted})")


def fill(port: int, count: int) -> None:
    """Append events in batches."""
    bodies = events(min(count, DISTINCT), seed=2)
    batches = [
        request("\n".join(bodies[n : n + BATCH]), kind="application/x-ndjson")
        for n in range(0, len(bodies), BATCH)
    ]
    sent = 0
    while sent * BATCH < count:
        wanted = min(len(batches), -(-count // BATCH) - sent)
        run_apart(port, batches, connections=2, seconds=3600, count=wanted)
        sent += wanted


def report_pages(port: int, own: str, events_count: int) -> None:
    """Print how long pages and totals take, once nothing follows any longer."""
    settle_all(port, own)
    cursors = [
        json.loads(ask(port, f"/v1/events?limit=50&offset={events_count * n // 25}"))["next"]
        for n in range(1, VARIANTS + 1)
    ]
    wanted = f"(wanted: p50 under {PAGE_P50_MS})"
    report_gets(
        port, "page", {name: f"limit=50{rest}" for name, rest in PAGES.items()}, cursors, wanted
    )
    report_gets(
        port, "total", {n: f"limit=1&total=true{rest}" for n, rest in TOTALS.items()}, cursors
    )


def report_gets(
    port: int, what: str, asked: dict[str, str], cursors: list[str], wanted: str = ""
) -> None:
    """Print how long lists take, asked for one at a time over one connection kept alive."""
    for name, query in asked.items():
        paths = [f"/v1/events?{variant(query, n, cursors)}" for n in range(VARIANTS)]
        for path in paths:
            ask(port, path)
        requests = [
            f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {servers.KEY}\r\n\r\n"
            for path in paths
        ]
        seen = run_apart(port, requests, connections=1, seconds=SECONDS / 2)
        print(
            f"{what} {name:26} p50 {seen['p50']:7.2f} ms   p99 {seen['p99']:7.2f} ms"
            f"   {seen['requests']:5,} requests   {wanted}"
        )


def variant(query: str, n: int, cursors: list[str]) -> str:
    """Return one of the requests of a figure."""
    begin = BEGIN + timedelta(minutes=2 * n)
    return query.format(
        n=n + 1,
        far=(n + 1) * 977,
        kind=KINDS[n % len(KINDS)],
        cursor=cursors[n],
        begin=begin.isoformat(),
        end=(begin + timedelta(minutes=10)).isoformat(),
    )


def ask(port: int, path: str) -> bytes:
    """Return the answer to a GET, however long it takes."""
    headers = {"Authorization": f"Bearer {servers.KEY}"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    with urllib.request.urlopen(asked, timeout=3600) as answer:  # noqa: S310
        content: bytes = answer.read()
        return content


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.postgres", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="events behind the pages")
    parser.add_argument("--only", choices=["rates", "pages"])
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="tallystick-bench-") as scratch,
        databases("bench_tallystick", "bench_peer") as (own, others),
        servers.tallystick(Path(scratch) / "data", database=own) as (port, _),
    ):
        if options.only != "pages":
            peer_url = others.replace("postgresql://", "postgresql+psycopg://", 1)
            with servers.peer(peer_url) as peer:
                report_rates(write(port, own, peer))
        if options.only != "rates":
            fill(port, options.events)
            report_pages(port, own, options.events)
        print(f"load average {os.getloadavg()}")


if __name__ == "__main__":
    main()
