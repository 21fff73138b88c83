"""Lists, counts and search over many events; `python -m bench.scale` runs it."""
