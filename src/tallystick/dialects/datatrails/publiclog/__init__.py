"""The public log of a tenant: following the log of record, keeping and checking what is public."""
