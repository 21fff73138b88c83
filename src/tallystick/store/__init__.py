"""Stores: where the log of record and identity are kept. Two native implementations, one contract."""
