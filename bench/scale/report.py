"""What was measured, as a page of Markdown with the wanted figures beside."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from bench.scale import ingest
from bench.scale.asking import Latencies
from bench.scale.ingest import Ingest
from bench.scale.questions import AGGREGATES, COUNTS, LISTS, SEARCH

QUIET_MS: dict[str, tuple[float | None, float | None]] = {
    LISTS: (3.0, 15.0), COUNTS: (10.0, None), SEARCH: (15.0, None), AGGREGATES: (15.0, None),
}  # fmt: skip
"""Wanted of a quiet store: median and 99th percentile."""

BUSY_MS: dict[str, tuple[float | None, float | None]] = {
    LISTS: (None, 50.0), COUNTS: (None, 50.0), SEARCH: (None, 300.0), AGGREGATES: (None, 300.0),
}  # fmt: skip
"""Wanted under writes, likewise."""

INDEX_SHARE = 0.6
LAG_S = 1.0
HALF_P99_MS = 25.0
INGEST_SHARE = 0.8


class Asked(NamedTuple):
    """One question with what it took."""

    name: str
    group: str
    quiet: Latencies
    busy: Latencies
    rival: Latencies


class Sizes(NamedTuple):
    """Bytes on disk."""

    events: int
    raw: int
    ledger: int
    views: int
    search: int
    rival: int


def page(
    sizes: Sizes, asked: Sequence[Asked], written: dict[str, Ingest], writes: dict[str, float]
) -> str:
    """Return the report."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return "\n".join(
        [
            f"# {sizes.events:,} events",
            "",
            f"{now}; {os.cpu_count()} cores, {platform.python_implementation()} "
            f"{platform.python_version()}; load average at the end {load}.",
            "",
            *_size_lines(sizes),
            "",
            *_question_lines(asked, writes),
            "",
            *(_ingest_lines(written) if written else ()),
            "",
        ]
    )


def _size_lines(sizes: Sizes) -> list[str]:
    share = (sizes.views + sizes.search) / sizes.raw
    return [
        "## Size",
        "",
        f"Events as JSON: {_mb(sizes.raw)}, {sizes.raw / sizes.events:.0f} bytes each.",
        f"Ledger {_mb(sizes.ledger)}; lists {_mb(sizes.views)}; search {_mb(sizes.search)}: "
        f"indexes are {share:.2f} of the events{_mark(share, INDEX_SHARE)}.",
        f"SQLite with its indexes: {_mb(sizes.rival)}.",
    ]


def _question_lines(asked: Sequence[Asked], writes: dict[str, float]) -> list[str]:
    lines = [
        "## Questions",
        "",
        "Milliseconds over HTTP, one client, 50 rows a page. SQLite is asked in the bench's own",
        "process, on the quiet store; the ratio is its median by ours. **Bold** misses what is",
        "wanted.",
        "",
        "| | question | quiet p50 | p99 | under writes p50 | p99 | SQLite p50 | p99 | ratio |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for one in asked:
        (p50, p99), (_, busy_p99) = QUIET_MS[one.group], BUSY_MS[one.group]
        cells = [
            one.group, one.name, _cell(one.quiet.p50, p50), _cell(one.quiet.p99, p99),
            _cell(one.busy.p50, None), _cell(one.busy.p99, busy_p99),
            _cell(one.rival.p50, None), _cell(one.rival.p99, None),
            f"{one.rival.p50 / one.quiet.p50:.2g}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Writes meanwhile: {writes['rate']:.0f} single events a second, "
        f"p50 {writes['p50']:.1f} ms, p99 {writes['p99']:.1f} ms.",
        "",
        "Wanted quiet: lists p50 3 and p99 15, counts p50 10, search and aggregates p50 15;",
        "under writes p99: lists and counts 50, search and aggregates 300.",
    ]
    return lines


def _ingest_lines(written: dict[str, Ingest]) -> list[str]:
    lines = [
        "## Writing with every follower on",
        "",
        f"{ingest.OFFERED:,} events/s were offered for {ingest.SUSTAINED_S:.0f} s, then as many as"
        " were answered.",
        "",
        "| stored before | stored/s of those offered | lists lag s | search lag s | most events/s"
        " | singles/s at saturation | p50 ms at half | p99 ms at half |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, one in written.items():
        cells = [
            name,
            _cell(one.rate, 0.99 * ingest.OFFERED, at_least=True),
            _cell(one.lists_lag_s, LAG_S),
            _cell(one.search_lag_s, LAG_S),
            f"{one.most:,.0f}",
            f"{one.saturation:,.0f}",
            _cell(one.half_p50_ms, None),
            _cell(one.half_p99_ms, HALF_P99_MS),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    rates = [one.most for one in written.values()]
    share = rates[-1] / rates[0]
    missed = "**" if share < INGEST_SHARE else ""
    lines += ["", f"Most of the last by the first: {missed}{share:.2f}{missed} (wanted 0.8)."]
    return lines


def _cell(value: float, wanted: float | None, *, at_least: bool = False) -> str:
    text = f"{value:,.0f}" if value >= 1000 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
    if wanted is not None and (value < wanted if at_least else value > wanted):
        return f"**{text}**"
    return text


def _mark(value: float, wanted: float) -> str:
    return f" (**wanted {wanted}**)" if value > wanted else f" (wanted {wanted})"


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
