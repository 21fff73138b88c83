"""The store on PostgreSQL: many server processes, one truth."""
