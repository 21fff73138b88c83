"""Measures the dialects: pages over many events, single writes, and the public log."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.dialects import public_log, serving, world, writes
from bench.dialects.asking import print_load_average
from bench.dialects.pages import Pages

PARTS = ("pages", "writes", "log")


def main() -> None:
    """Run the parts asked for, all unless told, and name the figures that missed their target."""
    parser = argparse.ArgumentParser(prog="python -m bench.dialects", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="for the pages")
    parser.add_argument(
        "--folder", type=Path, help="data folder of the pages: filled if there is none, and kept"
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all unless given")
    given = parser.parse_args()
    parts = given.parts or PARTS
    if not set(parts) <= set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as scratch:
        if "pages" in parts:
            print_load_average()
            missed += _pages(given.folder or Path(scratch) / "pages", given.events)
        if "writes" in parts:
            print_load_average()
            missed += writes.measure(Path(scratch) / "writes")
        if "log" in parts:
            print_load_average()
            missed += public_log.measure(Path(scratch) / "log")
    print_load_average()
    print("\n".join(["missed:", *missed]) if missed else "all targets met")


def _pages(folder: Path, events: int) -> list[str]:
    world.filled(folder, events)
    with serving.server(folder) as port:
        serving.wait_until_followed(port)
        return [figure.name for figure in Pages(port, events).measure() if figure.missed]


if __name__ == "__main__":
    main()
