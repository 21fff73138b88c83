"""Runs every measurement of the table; `bench.scale` and others are targets of their own."""

from __future__ import annotations

from bench.table.main import main

if __name__ == "__main__":
    main()
