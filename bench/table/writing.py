"""Writing: singles, batches, a burst and a sustained load, each beside the plain services."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench import servers
from bench.load import finish, run_apart, start_apart
from bench.postgres import databases
from bench.table.rows import Part, Rounds, Row, World, alternate, best, medians
from bench.write import CONNECTIONS, events, request, settle

NDJSON = "application/x-ndjson"
BATCH = 1_000
BATCH_CONNECTIONS = 4
PEERS = ("SQLite", "PostgreSQL, psycopg", "PostgreSQL, asyncpg")
CATCH_UP_S = 900.0


@contextlib.contextmanager
def peers(scratch: Path) -> Iterator[dict[str, int]]:
    """Run the plain services, each on a database of its own; yield their ports by name."""
    with contextlib.ExitStack() as stack:
        threads, asynchronous = stack.enter_context(databases("bench_psycopg", "bench_asyncpg"))
        urls = (
            f"sqlite:///{scratch / 'peer.db'}",
            threads.replace("postgresql://", "postgresql+psycopg://", 1),
            asynchronous,
        )
        yield {
            name: stack.enter_context(servers.peer(url))
            for name, url in zip(PEERS, urls, strict=True)
        }


def singles(world: World) -> Part:
    """Measure single durable events, then their latency at half of what saturates the server."""
    plan = world.plan
    requests = [request(body) for body in events(2_000)]
    with servers.tallystick(world.scratch / "data") as (port, _), peers(world.scratch) as others:
        ports = {"Tallystick": port, **others}
        rounds = alternate(
            {name: partial(_rate, at, requests, plan.round_s) for name, at in ports.items()},
            plan.rounds,
            lambda: settle(port, CATCH_UP_S),
        )
        middle = medians(rounds)
        half: Rounds = {"p50 ms": [], "p99 ms": []}
        for _ in range(plan.rounds):
            settle(port, CATCH_UP_S)
            seen = finish(
                start_apart(
                    port, requests, connections=CONNECTIONS, seconds=2 * plan.round_s,
                    rate=middle["Tallystick"] / 2,
                )
            )  # fmt: skip
            half["p50 ms"].append(seen["p50"])
            half["p99 ms"].append(seen["p99"])
    ratio, p99_ms = middle["Tallystick"] / best(middle, PEERS), medians(half)["p99 ms"]
    return Part(
        [
            Row("single durable POST / best plain service", ratio, 9, 15),
            Row("singles p99 at half of saturation, ms", p99_ms, 20, 10, less=True),
        ],
        {**{f"{name}, events/s": values for name, values in rounds.items()},
         **{f"half of saturation, {name}": values for name, values in half.items()}},
        [],
    )  # fmt: skip


def batches(world: World) -> Part:
    """Measure NDJSON batches that go on for a minute, with every follower on."""
    plan = world.plan
    own, theirs = batch_requests("/v1/events"), batch_requests("/v1/batches")
    with servers.tallystick(world.scratch / "data") as (port, _), peers(world.scratch) as others:
        rounds = alternate(
            {name: partial(_batch_rate, at, theirs, plan.round_s) for name, at in others.items()},
            plan.rounds,
            lambda: None,
        )
        rounds["Tallystick"] = [_batch_rate(port, own, plan.batches_s)]
    middle = medians(rounds)
    ratio = middle["Tallystick"] / best(middle, PEERS)
    return Part(
        [Row(f"NDJSON batches for {plan.batches_s:.0f} s / best plain service", ratio, 2, 4)],
        {f"{name}, events/s": values for name, values in rounds.items()},
        ["Followers of Tallystick work meanwhile; the services have none."],
    )


def burst(world: World) -> Part:
    """Measure how fast many events are taken at once, and how long until all can be searched."""
    count = world.plan.burst_events
    with servers.tallystick(world.scratch / "data") as (port, _):
        began_s = time.perf_counter()
        sent = run_apart(
            port, batch_requests("/v1/events"), connections=BATCH_CONNECTIONS, seconds=3_600,
            count=count // BATCH,
        )  # fmt: skip
        took_s = time.perf_counter() - began_s
    rate = sent["rate"] * BATCH
    name = "burst of one million events, events/s" if count == 1_000_000 else (
        f"burst of {count:,} events, events/s"
    )  # fmt: skip
    return Part([Row(name, rate, 14_000, 20_000)], {"events/s": [rate], "s": [took_s]}, [])


def sustained(world: World) -> Part:
    """Measure events a second over a load and the time until every follower has them."""
    rounds: Rounds = {"accepted, events/s": [], "caught up, events/s": []}
    with servers.tallystick(world.scratch / "data") as (port, _):
        settle(port, CATCH_UP_S)
        began_s = time.perf_counter()
        sent = run_apart(
            port, batch_requests("/v1/events"), connections=BATCH_CONNECTIONS,
            seconds=world.plan.sustained_s,
        )  # fmt: skip
        settle(port, CATCH_UP_S)
        took_s = time.perf_counter() - began_s
    rounds["accepted, events/s"].append(sent["rate"] * BATCH)
    rounds["caught up, events/s"].append(sent["requests"] * BATCH / took_s)
    name = "sustained with every follower caught up, events/s"
    return Part([Row(name, rounds["caught up, events/s"][0], 6_000, 9_500)], rounds, [])


def postgres(world: World) -> Part:
    """Measure singles and batches of Tallystick on PostgreSQL beside the services on it."""
    plan = world.plan
    requests = [request(body) for body in events(2_000)]
    own, theirs = batch_requests("/v1/events"), batch_requests("/v1/batches")
    with contextlib.ExitStack() as stack:
        [database] = stack.enter_context(databases("bench_tallystick"))
        running = servers.tallystick(world.scratch / "data", database=database)
        port, _ = stack.enter_context(running)
        others = stack.enter_context(peers(world.scratch))
        steps = {"Tallystick, singles/s": partial(_rate, port, requests, plan.round_s)}
        for name in PEERS[1:]:
            at = others[name]
            steps[f"{name}, singles/s"] = partial(_rate, at, requests, plan.round_s)
        steps["Tallystick, batches, events/s"] = partial(_batch_rate, port, own, plan.round_s)
        for name in PEERS[1:]:
            at = others[name]
            steps[f"{name}, batches, events/s"] = partial(_batch_rate, at, theirs, plan.round_s)
        rounds = alternate(steps, plan.rounds, lambda: settle(port, CATCH_UP_S))
    middle = medians(rounds)
    single = middle["Tallystick, singles/s"] / best(middle, [f"{n}, singles/s" for n in PEERS[1:]])
    many = middle["Tallystick, batches, events/s"] / best(
        middle, [f"{name}, batches, events/s" for name in PEERS[1:]]
    )
    return Part(
        [Row("PostgreSQL singles / peer", single, 6, 10),
         Row("PostgreSQL batches / peer", many, 1.5, 3)],
        rounds,
        [],
    )  # fmt: skip


def batch_requests(path: str) -> list[str]:
    """Return batches of 1,000 lines of JSON that differ."""
    bodies = events(2_000)
    return [
        request("\n".join(bodies[at : at + BATCH]), path, NDJSON)
        for at in (0, 250, 500, 750, 1_000)
    ]


def _rate(port: int, requests: list[str], seconds: float) -> float:
    rate: float = run_apart(port, requests, connections=CONNECTIONS, seconds=seconds)["rate"]
    return rate


def _batch_rate(port: int, requests: list[str], seconds: float) -> float:
    seen = run_apart(port, requests, connections=BATCH_CONNECTIONS, seconds=seconds)
    return float(seen["rate"] * BATCH)
