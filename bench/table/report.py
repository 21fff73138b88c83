"""The report that a run writes: the table, raw rounds, machine and versions."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.table.rows import Part, Row

PACKAGES = (
    "tallystick", "uvicorn", "httptools", "uvloop", "msgspec", "cryptography", "tantivy", "psycopg",
    "fastapi", "pydantic", "sqlalchemy", "asyncpg", "eventsourcing", "pymerkle",
)  # fmt: skip


def machine() -> list[str]:
    """Return what the run happened on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = Path("/proc/meminfo").read_text().split("\n", 1)[0].split()[1]
    return [
        f"{len(models)} processors ({models[0] if models else 'unknown'}), "
        f"{int(memory) / 1024**2:.1f} GB of memory, {platform.platform()}",
        f"CPython {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    ]


def commit() -> str:
    """Return the commit that was measured, marked where files had been changed."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def load_average() -> str:
    """Return how busy the machine was over the last minutes."""
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def written(parts: Mapping[str, Mapping[str, Any]], missing: Sequence[str] = ()) -> str:
    """Return the report of some parts, as the state keeps them; `missing` were never measured."""
    read = {name: _part(saved) for name, saved in parts.items()}
    lines = ["# Measured", "", "Written by `python -m bench`; medians, raw rounds below.", ""]
    lines += [f"- {line}" for line in machine()]
    lines += _loaded(parts)
    if missing:
        lines += ["", f"Not measured yet: {', '.join(missing)}."]
    lines += ["", "| | measured | must | goal | |", "|---|--:|--:|--:|---|"]
    lines += [_row(row) for part in read.values() for row in part.rows]
    lines += ["", "## Raw rounds", ""]
    for name, part in read.items():
        saved = parts[name]
        lines += [
            f"### {name}",
            "",
            f"{saved['plan']}, commit {saved['commit']}, {saved['at']}; load average before "
            f"{saved['before']}, after {saved['after']}.",
            "",
            *(f"{note}" for note in part.notes),
            *([""] if part.notes else []),
            *(_rounds(label, values) for label, values in part.rounds.items()),
            "",
        ]
    return "\n".join(lines)


def _loaded(parts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say which parts were measured beside other work: their figures claim nothing."""
    processors = os.cpu_count() or 1
    loaded = [name for name, saved in parts.items() if _last_minute(saved) > processors]
    if not loaded:
        return []
    return [
        "",
        f"**Not on a quiet machine: {', '.join(loaded)}.** Before these parts began, more than"
        f" {processors} processes wanted the {processors} processors. Read their figures as no"
        " claim, neither for Tallystick nor against a peer.",
    ]


def _last_minute(saved: Mapping[str, Any]) -> float:
    return float(saved["before"].split()[0])


def _part(saved: Mapping[str, Any]) -> Part:
    return Part([Row(*row) for row in saved["rows"]], saved["rounds"], saved["notes"])


def _row(row: Row) -> str:
    wanted = ["" if limit is None else f"{limit:,g}" for limit in (row.must, row.goal)]
    return f"| {row.name} | {_number(row.value)} | {wanted[0]} | {wanted[1]} | {row.verdict()} |"


def _rounds(label: str, values: Sequence[float]) -> str:
    return f"- {label}: {'  '.join(_number(value) for value in values)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
