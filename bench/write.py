"""The write path: durable singles and batches beside their ceiling and a plain service.

Rounds alternate between the servers, so that whatever else the machine does hits all of them; the
medians and the raw rounds are printed. A second pass makes every flush 2 ms slower.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from bench import servers

ROUNDS = 3
SECONDS = 4.0
CONNECTIONS = 64
BURST = 25
"""Batches of a burst: what a second's worth of the wanted rate is."""
PEER_RATE_MIN = 1_000
FLUSH_MS = 2.0
WANTED = {
    "single / ceiling": 0.25,
    "single / peer": 8.0,
    "burst events/s": 25_000,
    "p99 ms at half of saturation": 25.0,
    "idle MB": 120.0,
}

LAG = "tallystick_follower_lag_entries{"

Result = dict[str, Any]


def events(count: int, seed: int = 1) -> list[str]:
    """Return events of about 640 bytes, with the skew of real ones."""
    dice = random.Random(seed)  # noqa: S311  # a load, no secret
    kinds = ["order.created"] * 5 + ["order.updated"] * 3 + ["iam.CreateUser", "invoice.created"]
    return [
        json.dumps(
            {
                "kind": dice.choice(kinds),
                "occurred_at": 1_700_000_000_000 + n * 37,
                "actor": {"type": "user", "id": f"u{int(dice.paretovariate(1.1)) % 5000}"},
                "target": {"type": "order", "id": f"o{dice.randrange(20_000)}", "name": "An order"},
                "scopes": [{"type": "shop", "id": f"s{dice.randrange(50)}"}],
                "data": {
                    "total": round(dice.uniform(1, 900), 2),
                    "note": "".join(dice.choices("abcdefghij klmno", k=330)),
                    "items": [{"sku": dice.randrange(999), "n": dice.randrange(9)}] * 2,
                },
            }
        )
        for n in range(count)
    ]


def request(body: str, path: str = "/v1/events", kind: str = "application/json") -> str:
    """Return a whole HTTP request."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {servers.KEY}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}"
    )


def load(
    port: int,
    requests: list[str],
    connections: int,
    rate: float | None = None,
    count: int | None = None,
) -> Result:
    """Run the load generator in a process of its own and return what it saw."""
    job = {
        "port": port, "requests": requests, "connections": connections, "seconds": SECONDS,
        "rate": rate, "count": count,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"], input=json.dumps(job), stdout=subprocess.PIPE,
        text=True, check=True, timeout=SECONDS * 10 + 30,
    )  # fmt: skip
    result: Result = json.loads(done.stdout)
    if result["errors"]:
        raise SystemExit(f"{result['errors']} requests failed: {result}")
    return result


def measure(scratch: Path, environment: dict[str, str] | None) -> Result:
    """Measure all servers side by side; with slow flushes if the environment makes them."""
    bodies = events(2_000)
    singles = [request(body) for body in bodies]
    ndjson = "application/x-ndjson"
    batches = [request("\n".join(bodies[n : n + 1000]), kind=ndjson) for n in (0, 500, 1000)]
    peer_batches = [
        request("\n".join(bodies[n : n + 1000]), "/v1/batches", ndjson) for n in (0, 500, 1000)
    ]
    folder = scratch / "data"
    url = f"sqlite:///{scratch / 'peer.db'}"
    with servers.tallystick(folder, environment) as (port, process):
        idle_mb = _rss_mb(process.pid)
        with servers.ceiling(folder) as ceiling, servers.peer(url, environment) as peer:
            steps = {
                "ceiling": lambda: load(ceiling, singles, CONNECTIONS)["rate"],
                "single": lambda: load(port, singles, CONNECTIONS)["rate"],
                "peer": lambda: load(peer, singles, CONNECTIONS)["rate"],
                "burst": lambda: load(port, batches, 4, count=BURST)["rate"] * 1000,
                "batch": lambda: load(port, batches, 4)["rate"] * 1000,
                "peer batch": lambda: load(peer, peer_batches, 4)["rate"] * 1000,
            }
            rounds: dict[str, list[float]] = {name: [] for name in steps}
            for _ in range(ROUNDS):
                for name, step in steps.items():
                    settle(port)
                    rounds[name].append(step())
        median = {name: statistics.median(values) for name, values in rounds.items()}
        settle(port)
        half = load(port, singles, CONNECTIONS, rate=median["single"] / 2)
    return {
        "rounds": rounds,
        "median": median,
        "single / ceiling": median["single"] / median["ceiling"],
        "single / peer": median["single"] / median["peer"],
        "batch / peer batch": median["batch"] / median["peer batch"],
        "burst events/s": median["burst"],
        "p99 ms at half of saturation": half["p99"],
        "p50 ms at half of saturation": half["p50"],
        "idle MB": idle_mb,
    }


def settle(port: int, timeout_s: float = 60) -> None:
    """Wait until the followers have caught up: nobody is measured beside one."""
    headers = {"Authorization": f"Bearer {servers.KEY}"}
    ask = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=headers)
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        with urllib.request.urlopen(ask) as answer:  # noqa: S310  # the server under measurement
            lines = answer.read().decode().splitlines()
        lags = [float(line.split()[-1]) for line in lines if line.startswith(LAG)]
        if lags and not any(lags):
            return
        time.sleep(0.1)
    raise SystemExit(f"the followers did not catch up within {timeout_s:.0f} seconds")


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def report(name: str, result: Result) -> None:
    """Print medians, raw rounds, and each figure beside the one wanted."""
    print(f"\n== {name}")
    for server, values in result["rounds"].items():
        raw = "  ".join(f"{value:,.0f}" for value in values)
        print(f"{server:12} median {result['median'][server]:>10,.0f}/s   rounds {raw}")
    for figure, value in result.items():
        if figure in ("rounds", "median"):
            continue
        wanted = WANTED.get(figure)
        told = "" if wanted is None else f"   (wanted: {wanted:,})"
        print(f"{figure:32} {value:>12,.2f}{told}")


def main() -> None:
    """Measure, print, and fail if the peer was too slow to be a fair one."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as scratch:
        fast = measure(_folder(scratch, "fast"), None)
        report("this disk", fast)
        environment = servers.slow_flush(Path(scratch), FLUSH_MS)
        if environment is not None:
            report(f"+{FLUSH_MS} ms a flush", measure(_folder(scratch, "slow"), environment))
        else:
            print("no C compiler: the pass with slower flushes was left out")
    if fast["median"]["peer"] < PEER_RATE_MIN:
        raise SystemExit(f"the peer did under {PEER_RATE_MIN:,}/s: no fair comparison")


def _folder(scratch: str, name: str) -> Path:
    folder = Path(scratch) / name
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
