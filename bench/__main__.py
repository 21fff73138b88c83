"""Runs every measurement that fits a coffee break; `bench.scale` is a target of its own."""

from __future__ import annotations

from bench import write

if __name__ == "__main__":
    write.main()
