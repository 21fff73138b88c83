"""Queries: one tree for every little language, and what it means over plain values."""
