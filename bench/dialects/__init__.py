"""Measurements of the five dialects; `python -m bench.dialects` runs them."""
