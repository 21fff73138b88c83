"""Lists, totals and resources on PostgreSQL, written with the batch whose entries they list."""
