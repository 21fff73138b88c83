"""One tenant's log: sequencing, views of its events, proofs, keys and idempotency."""
