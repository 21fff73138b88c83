"""The ledger: every write and every read of a tenant's events passes through it."""
