"""Stores: where the log of record and identity are kept; two native ones, one contract."""
