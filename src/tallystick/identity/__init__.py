"""Tenants, users, keys and tokens: who calls, and what the caller may see and do."""
